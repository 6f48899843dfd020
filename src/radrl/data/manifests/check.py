"""Are these manifests fit to train on? ``radrl data check``.

Each manifest is a split, named as its file; of several files of one name (``a/train.jsonl b/train.jsonl``) the split is
the same. Lines are read in pieces by all cores, then each image once; about 100 bytes of each are kept.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radrl.data.manifests import burned_in
from radrl.data.manifests.line_checks import CONTROL, MOST_LISTED, Asked, Found, look, look_at_model, pieces
from radrl.errors import UserError
from radrl.example import Example
from radrl.images.files import read_image
from radrl.images.sizes import LONGEST
from radrl.manifest.jsonl import manifest_lines
from radrl.support.hashing import stable_hash

SIDE = 16  # of the difference hash: 256 bits
NEAR = 20  # of these bits, to be looked at closely: of 192,510 pairs of other NIH films the nearest differ in 22
ALIKE = 0.9  # correlation of detail; of copies (half size, JPEG 50, brighter, gamma) 0.97 and up, of others to 0.82
UNREADABLE = "image not readable"
ODD = "image to look at"
WORDS = "words in the image"
WARNED = (CONTROL,)  # kinds that are counted and named, and that nothing need be done about


class Problem(NamedTuple):
    """A thing to mend: ``file:line``, the kind it is counted under, and what is wrong with the mend."""

    where: str
    kind: str
    why: str


@dataclass
class Report:
    """What was found. ``counts`` has every kind of problem, ``problems`` the first 200 of each piece of a manifest."""

    examples: dict[str, int] = field(default_factory=dict)
    tasks: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    images: int | None = None
    burned_in: bool = False
    patients: int = 0
    without_patient: int = 0
    longest: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Whether nothing was found that should be mended."""
        return not set(self.counts) - set(WARNED)

    def add(self, where: str, kind: str, why: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_LISTED:
            self.problems.append(Problem(where, kind, why))


class _Lines(NamedTuple):
    """Of every Example: its manifest, line, place in the file, and hashes; of every image the Example it is of."""

    manifest: NDArray[np.int64]
    number: NDArray[np.int64]
    start: NDArray[np.int64]
    ids: NDArray[np.uint64]
    patients: NDArray[np.uint64]
    studies: NDArray[np.uint64]
    images: NDArray[np.uint64]
    of_line: NDArray[np.int64]


def check(
    paths: Sequence[Path],
    asked: Asked,
    *,
    images: bool = True,
    images_root: Path | None = None,
    burned_in_text: bool = False,
    workers: int = 1,
) -> Report:
    """Reads manifests and their images, and returns all that is wrong with them.

    ``images_root`` is the folder that image paths start from where that is not each manifest's own. With
    ``burned_in_text`` images that hold words are named, never the words.

    Raises:
        UserError: a manifest is missing, empty or cannot be read, the model has no tokenizer, or what reads text in
            images is not installed.
    """
    if burned_in_text and not images:
        raise UserError("--burned-in-text looks at every image; leave --no-images out")
    if burned_in_text and (problem := burned_in.missing()):
        raise UserError(problem)
    if asked.model:
        look_at_model(asked.model)
    report = Report(burned_in=burned_in_text)
    of_manifest = [pieces(path) for path in paths]
    with _pool(workers) as run:
        lines = _read(paths, of_manifest, run(partial(look, asked=asked), list(chain(*of_manifest))), report)
        _repeated_ids(paths, lines, report)
        names = list(dict.fromkeys(path.stem for path in paths))
        split = np.array([names.index(path.stem) for path in paths])
        for unit in ("patient", "study"):
            _shared_units(unit, paths, lines, split, report)
        if images:
            roots = [images_root or path.parent for path in paths]
            _images(paths, roots, lines, split, run, report)
    report.problems.sort(key=lambda problem: problem.kind)
    return report


@contextmanager
def _pool(workers: int) -> Iterator[Any]:
    """Gives a ``map`` that spreads its calls over processes."""
    if workers <= 1:
        yield map
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        try:
            yield executor.map
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


def _read(paths: Sequence[Path], of_manifest: Sequence[list], found: Iterable[Found], report: Report) -> _Lines:
    hashes = ("ids", "patients", "studies", "images")
    # typed from the start: numpy joins signed and unsigned integers as floats
    columns: dict[str, list[NDArray[Any]]] = {
        name: [np.empty(0, np.uint64 if name in hashes else np.int64)] for name in _Lines._fields
    }
    parts, count = iter(found), 0
    for number, (path, own) in enumerate(zip(paths, of_manifest, strict=True)):
        before, line = count, 0
        for _ in own:
            part = next(parts)
            columns["manifest"].append(np.full(len(part.start), number, np.int64))
            columns["number"].append(np.frombuffer(part.number, np.int64) + line)
            columns["start"].append(np.frombuffer(part.start, np.int64))
            columns["of_line"].append(np.frombuffer(part.of_line, np.int64) + count)
            for name in hashes:
                columns[name].append(np.frombuffer(getattr(part, name), np.uint64))
            for at, kind, why in part.problems:
                report.problems.append(Problem(f"{path}:{line + at}", kind, why))
            report.counts.update(part.more)
            report.tasks.update(part.tasks)
            report.languages.update(part.languages)
            report.longest = max(report.longest, part.longest)
            line, count = line + part.lines, count + len(part.start)
        if not line:
            raise UserError(f"{path}: the data set is empty; a manifest holds one Example in JSON a line")
        report.examples[str(path)] = count - before
    lines = _Lines(*(np.concatenate(columns[name]) for name in _Lines._fields))
    report.patients = len(np.unique(lines.patients[lines.patients != 0]))
    report.without_patient = int((lines.patients == 0).sum())
    return lines


def _repeated_ids(paths: Sequence[Path], lines: _Lines, report: Report) -> None:
    order = np.argsort(lines.ids, kind="stable")
    again = np.flatnonzero(lines.ids[order][1:] == lines.ids[order][:-1])
    for first, second in zip(order[again].tolist(), order[again + 1].tolist(), strict=True):
        name = f"the id '{_example(paths, lines, second).id}'" if report.counts["id twice"] < MOST_LISTED else "the id"
        why = f"{name} is already used at {_where(paths, lines, first)}; give each Example its own"
        report.add(_where(paths, lines, second), "id twice", why)


def _shared_units(
    unit: Literal["patient", "study"], paths: Sequence[Path], lines: _Lines, split: NDArray, report: Report
) -> None:
    keys, kind = {"patient": lines.patients, "study": lines.studies}[unit], f"{unit} in two splits"
    for first, second in _across(keys, split[lines.manifest]):
        if keys[first]:
            name = getattr(_example(paths, lines, second), unit) if report.counts[kind] < MOST_LISTED else ""
            why = f"{unit} '{name}' is in another split too, at {_where(paths, lines, first)}; split by {unit}"
            report.add(_where(paths, lines, second), kind, why)


def _across(keys: NDArray, split: NDArray) -> Iterator[tuple[int, int]]:
    """Yields, of each key that is in several splits, its first row in the first of them and in each other one."""
    order = np.lexsort((split, keys))  # stable: of equal ones the first row stays first
    ordered, of = keys[order], split[order]
    begins = np.r_[True, (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])] if len(order) else np.empty(0, bool)
    first = order[begins]
    same = np.flatnonzero(keys[first][1:] == keys[first][:-1])
    yield from zip(first[same].tolist(), first[same + 1].tolist(), strict=True)


class _Seen(NamedTuple):
    """An image that was read: hash of its bytes, and of what it shows; or why it could not be read; and what looks
    wrong with it all the same; whether it holds words."""

    content: int
    shows: bytes
    why: str = ""
    odd: str = ""
    words: str = ""


def _images(
    paths: Sequence[Path], roots: Sequence[Path], lines: _Lines, split: NDArray, run: Any, report: Report
) -> None:
    # one path below one root is one file, whoever names it
    root_of = np.array([stable_hash(os.path.realpath(root)) for root in roots], dtype=np.uint64)[
        lines.manifest[lines.of_line]
    ]
    files = lines.images ^ (root_of * np.uint64(0x9E3779B97F4A7C15))
    one, first, of_file = np.unique(files, return_index=True, return_inverse=True)
    report.images = len(one)
    first = first[np.argsort(lines.of_line[first], kind="stable")]
    row = lines.of_line[first]
    todo = np.stack([lines.manifest[row].astype(np.uint64), lines.start[row].astype(np.uint64), lines.images[first]], 1)
    tasks = (todo[k : k + 32] for k in range(0, len(todo), 32))
    content = np.zeros(len(one), np.uint64)
    shows = np.zeros((len(one), SIDE * SIDE // 64), np.uint64)
    at = iter(first.tolist())
    look_at = partial(_look_at, tuple(paths), tuple(roots), report.burned_in)
    for seen in (s for batch in run(look_at, tasks) for s in batch):
        index = next(at)
        if seen.why:
            report.add(_where(paths, lines, int(lines.of_line[index])), UNREADABLE, seen.why)
        if seen.odd:
            report.add(_where(paths, lines, int(lines.of_line[index])), ODD, seen.odd)
        if seen.words:
            report.add(_where(paths, lines, int(lines.of_line[index])), WORDS, seen.words)
        content[of_file[index]] = seen.content
        shows[of_file[index]] = np.frombuffer(seen.shows or bytes(SIDE * SIDE // 8), np.uint64)
    splits = split[lines.manifest[lines.of_line]]
    keys = content[of_file]
    for before, after in _across(keys, splits):
        if keys[before]:
            why = f"the same image is in another split, at {_where(paths, lines, int(lines.of_line[before]))}"
            where = _where(paths, lines, int(lines.of_line[after]))
            report.add(where, "image in two splits", f"{why}; keep it in one")
    _near(paths, roots, lines, splits, of_file, content, shows, report)


def _near(
    paths: Sequence[Path], roots: Sequence[Path], lines: _Lines, splits: NDArray, of_file: NDArray,
    content: NDArray, shows: NDArray, report: Report,
) -> None:  # fmt: skip
    """Adds pairs of images of two splits that look alike: every pair is compared by hash, the near ones in detail."""

    @lru_cache(maxsize=4096)
    def of_row(row: int) -> NDArray[np.float32]:
        manifest = int(lines.manifest[lines.of_line[row]])
        example = _example(paths, lines, int(lines.of_line[row]))
        path = next(image for image in example.images if stable_hash(image) == int(lines.images[row]))
        return detail(read_image(roots[manifest], path))

    of = []
    for kind in np.unique(splits):
        rows = np.flatnonzero(splits == kind)
        files, first = np.unique(of_file[rows], return_index=True)
        read = content[files] != 0
        of.append((files[read], rows[first[read]]))
    for second in range(1, len(of)):
        for first in range(second):
            (a, rows_a), (b, rows_b) = of[first], of[second]
            for i, j in _alike(shows[a], shows[b]):
                if content[a[i]] == content[b[j]]:  # said already
                    continue
                if float(of_row(int(rows_a[i])) @ of_row(int(rows_b[j]))) < ALIKE:
                    continue
                there = _where(paths, lines, int(lines.of_line[rows_a[i]]))
                here = _where(paths, lines, int(lines.of_line[rows_b[j]]))
                why = f"nearly the same image is in another split, at {there}; look at both and keep one"
                report.add(here, "image nearly in two splits", why)


def _alike(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    for i in range(0, len(a), 4096):
        for j in range(0, len(b), 256):
            bits = np.bitwise_count(a[i : i + 4096, None] ^ b[None, j : j + 256]).sum(axis=-1, dtype=np.int16)
            for row, column in np.argwhere(bits <= NEAR).tolist():
                yield i + row, j + column


def _look_at(paths: tuple[Path, ...], roots: tuple[Path, ...], words: bool, batch: NDArray[np.uint64]) -> list[_Seen]:
    found = []
    for manifest, start, wanted in batch.tolist():
        example = _example_at(paths[manifest], start)
        path = next((image for image in example.images if stable_hash(image) == wanted), None)
        if path is None:
            raise UserError(f"{paths[manifest]}: was changed while it was checked; check it again")
        try:
            notes: list[str] = []
            picture = read_image(roots[manifest], path, notes)
            if max(picture.size) > LONGEST * min(picture.size):
                size = f"{picture.width} x {picture.height}"
                notes.append(f"{size}, one side is above {LONGEST} times the other, which Qwen-VL does not take")
            data = (Path(roots[manifest]) / path).read_bytes()
        except (UserError, OSError) as error:
            found.append(_Seen(0, b"", str(error)))
            continue
        content = stable_hash(data)
        odd = f"{path}: {'; '.join(notes)}" if notes else ""
        burned = (
            f"{path}: look at it; paint them over or leave it out" if words and burned_in.holds_words(picture) else ""
        )
        found.append(_Seen(content, difference_hash(picture), odd=odd, words=burned))
    return found


def difference_hash(picture: Image.Image) -> bytes:
    """Returns 256 bits of what a picture shows: whether each of 16 x 16 cells is darker than its right neighbour.

    A "dHash". Own, of two lines: 64 bits, as image-hash libraries have by default, do not tell chest films apart.
    """
    small = np.asarray(picture.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX), dtype=np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()


def detail(picture: Image.Image) -> NDArray[np.float32]:
    """Returns what a picture shows at 64 x 64 without its coarse shades (8 x 8), as a vector of length 1.

    Chest films are alike in their shades; in detail only copies are.
    """
    grey = picture.convert("L").resize((64, 64), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.float32)
    coarse = Image.fromarray(pixels).resize((8, 8), Image.Resampling.BOX).resize((64, 64), Image.Resampling.BICUBIC)
    fine = (pixels - np.asarray(coarse)).ravel()
    fine -= fine.mean()
    return fine / max(float(np.linalg.norm(fine)), 1e-6)


def _example_at(path: Path, start: int) -> Example:
    line = next(manifest_lines(path, start), None)
    if line is None:
        raise UserError(f"{path}: was changed while it was checked; check it again")
    return line.example()


def _example(paths: Sequence[Path], lines: _Lines, row: int) -> Example:
    return _example_at(paths[int(lines.manifest[row])], int(lines.start[row]))


def _where(paths: Sequence[Path], lines: _Lines, row: int) -> str:
    return f"{paths[int(lines.manifest[row])]}:{int(lines.number[row])}"


KINDS = (
    "not an Example", "id twice", "empty answer", "labels", "language", "too long", CONTROL, UNREADABLE, ODD, WORDS,
    "patient in two splits",
    "image in two splits", "image nearly in two splits",
    "study in two splits",
)  # fmt: skip


def table(report: Report, listed: int = 20) -> str:
    """Returns the report as text: what there is, a row a kind of problem, and the first ``listed`` of each kind."""
    out = [f"{count:>10,}  Examples in {path}" for path, count in report.examples.items()]
    out += [f"{count:>10,}  of task {task}" for task, count in report.tasks.most_common()]
    out += [f"{count:>10,}  in language: {name}" for name, count in report.languages.most_common()]
    out.append(f"{report.patients:>10,}  patients; {report.without_patient:,} Examples name none")
    out.append("images not looked at" if report.images is None else f"{report.images:>10,}  images read")
    if report.longest:
        out.append(f"{report.longest:>10,}  tokens in the longest text")
    out.append("")
    not_asked = {"image": report.images is None, "too long": not report.longest, WORDS: not report.burned_in}
    for kind in KINDS:
        skipped = any(skip and kind.startswith(name) for name, skip in not_asked.items())
        out.append(f"{'not asked' if skipped else f'{report.counts[kind]:,}':>10}  {kind}")
    for kind in KINDS:
        own = [problem for problem in report.problems if problem.kind == kind]
        if own:
            out += ["", f"{kind}:", *(f"  {p.where}: {p.why}" for p in own[:listed])]
            if report.counts[kind] > min(len(own), listed):
                out.append(f"  and {report.counts[kind] - min(len(own), listed):,} more")
    return "\n".join(out)

"""From a published data set to manifests: ``radrl data prepare``.

Records stream from the reader through worker processes, which copy images and write Examples as text, back into one
file a split, in the reader's order. Every few seconds the files are flushed and ``prepare.json`` says how far they are,
so a run that was killed goes on from there. Memory does not grow with the data set, but for 8 bytes an Example.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from radrl.data.copies import copy, copy_name
from radrl.data.published import inside, is_plain
from radrl.data.questions import Asking, examples, why_none
from radrl.data.readers import names
from radrl.data.readers import reader as reader_of
from radrl.data.reading import Reader, Record, Skipped, chosen
from radrl.errors import UserError, nearest
from radrl.files import no_space, write_json
from radrl.images import RADVLM_PIXELS, image_size
from radrl.recipe_yaml import one_line

SECTIONS = ("findings", "impression", "both")
UNCERTAIN = ("mention", "present", "absent", "skip")
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
CHUNK = 256  # records
SECONDS_BETWEEN_SAVES = 5.0
STATE, SKIPPED, PARTS = "prepare.json", "skipped.jsonl", ".parts"
VERSION = 1  # raise it when the same files give other manifests


@dataclass(frozen=True)
class Settings:
    """What decides the manifests, besides the files.

    ``images``: copy them (at most ``max_pixels``, or ``max_side`` a side), or leave them where they are: the manifests
    then name the published paths, and a recipe names the root as ``images``. ``shares`` are of the patients of records
    whose split is not published. ``skip_bad``: broken records are listed and left out instead of stopping.
    """

    asking: Asking
    options: Mapping[str, str] = field(default_factory=dict)
    images: bool = True
    max_pixels: int = RADVLM_PIXELS
    max_side: int | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    skip_bad: bool = False


@dataclass
class Summary:
    """What a run gave: Examples by split, records read, records skipped by reason; ``bad`` are the broken ones."""

    examples: dict[str, int] = field(default_factory=dict)
    records: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)


class _Text(NamedTuple):
    """What a chunk of records became: lines by split, lines of skipped records, and hashes of the Examples' ids."""

    lines: dict[str, bytes]
    counts: dict[str, int]
    skipped: bytes
    why: dict[tuple[str, bool], int]
    ids: bytes
    records: int


def prepare(
    name: str,
    root: Path,
    out: Path,
    settings: Settings,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Writes ``out/SPLIT.jsonl``, ``out/skipped.jsonl`` and the images; returns what it did.

    A finished folder of the same settings is kept as it is; an unfinished one is gone on with. ``progress`` is called
    with the number of records done.

    Raises:
        UserError: wrong options, files that are not the data set, a broken record (unless they are skipped), ids that
            are not unique, or a folder that holds something else. What was written before stays, to go on from.
    """
    reader = reader_of(name)
    settings = replace(settings, options=chosen(reader, settings.options))
    root, out = Path(os.path.abspath(root)), Path(os.path.abspath(out))
    if not root.is_dir():
        raise UserError(f"--root {root}: no such folder; it should hold the files of {reader.title}")
    made_of = json.loads(json.dumps({"version": VERSION, "name": name, "root": str(root), **asdict(settings)}))
    state = _state(out, made_of)
    if state.get("done"):
        return Summary(**state["summary"])
    try:
        with _Files(out, made_of, state) as files:
            items = islice(reader.read(root, settings.options), files.summary.records, None)
            for text in _texts(_chunks(items), (name, root, out, settings), workers or cores()):
                files.add(text)
                if progress:
                    progress(files.summary.records)
            return files.finish()
    except OSError as error:
        if no_space(error):
            raise UserError(f"{out}: no space left on device; free some and run again to go on") from None
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None


def _state(out: Path, made_of: dict[str, Any]) -> dict[str, Any]:
    """Returns how far an earlier run came; empty where there was none, or where it was another, unfinished one."""
    file = out / STATE
    if not file.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out}: holds other files; give an empty or new folder")
        return {}
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        old, done = state["made_of"], state["done"]
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(f"{file}: not readable; give an empty or new folder") from None
    if old == made_of:
        return state
    if done or old.get("name") != made_of["name"]:
        differing = next((key for key in made_of if old.get(key) != made_of[key]), "name")
        raise UserError(
            one_line(f"{out}: made with another {differing} ({old.get(differing)}); give a new folder, or remove it")
        )
    return {}


class _Files:
    """The manifests while they grow, and the account of them."""

    def __init__(self, out: Path, made_of: dict[str, Any], state: dict[str, Any]) -> None:
        self.out, self.made_of = out, made_of
        self.parts = out / PARTS
        self.summary = Summary(**state["summary"]) if state else Summary()
        self.sizes: dict[str, int] = state.get("sizes", {})
        self.files: dict[str, IO[bytes]] = {}
        self.saved = time.monotonic()

    def __enter__(self) -> _Files:
        self.parts.mkdir(parents=True, exist_ok=True)
        for file in self.parts.iterdir():  # what was written after the last save is written again
            if file.name in self.sizes:
                os.truncate(file, self.sizes[file.name])
            else:
                file.unlink()
        self._save()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self.parts.is_dir():
            self._save()
        for file in self.files.values():
            file.close()

    def _append(self, name: str, content: bytes) -> None:
        if name not in self.files:
            self.files[name] = (self.parts / name).open("ab")
        self.files[name].write(content)

    def add(self, text: _Text) -> None:
        for split, lines in text.lines.items():
            self._append(f"{split}.jsonl", lines)
        self._append("ids", text.ids)
        self._append(SKIPPED, text.skipped)
        summary = self.summary
        summary.records += text.records
        for split, count in text.counts.items():
            summary.examples[split] = summary.examples.get(split, 0) + count
        for (why, bad), count in text.why.items():
            of = summary.bad if bad else summary.skipped
            of[why] = of.get(why, 0) + count
        if time.monotonic() - self.saved > SECONDS_BETWEEN_SAVES:
            self._save()

    def _save(self, *, done: bool = False) -> None:
        for name, file in self.files.items():
            file.flush()
            os.fsync(file.fileno())
            self.sizes[name] = file.tell()
        state = {"done": done, "made_of": self.made_of, "summary": asdict(self.summary)}
        write_json(self.out / STATE, state if done else {**state, "sizes": self.sizes})
        self.saved = time.monotonic()

    def finish(self) -> Summary:
        self._save()
        self._ids_differ()
        if not self.summary.examples:
            raise UserError(
                f"{self.out}: no record gave an Example; {STATE} there counts why, {PARTS}/{SKIPPED} lists them"
            )
        for file in sorted(self.parts.iterdir()):
            if file.name != "ids":
                file.replace(self.out / file.name)
        shutil.rmtree(self.parts)
        self._save(done=True)
        return self.summary

    def _ids_differ(self) -> None:
        file = self.parts / "ids"
        hashes = np.sort(np.fromfile(file, np.uint64)) if file.is_file() else np.empty(0, np.uint64)
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not twice:
            return
        seen: set[str] = set()
        for manifest in sorted(self.parts.glob("*.jsonl")):
            if manifest.name == SKIPPED:
                continue
            for line in manifest.open(encoding="utf-8"):
                name = json.loads(line)["id"]
                if name in seen:
                    raise UserError(one_line(f"{self.out}: two records give id '{name}'; mend the published file"))
                if _hash(name) in twice:
                    seen.add(name)


def _chunks(items: Iterable[Record | Skipped]) -> Iterator[list[Record | Skipped]]:
    items = iter(items)
    while chunk := list(islice(items, CHUNK)):
        yield chunk


def _texts(chunks: Iterable[list[Record | Skipped]], work: tuple, workers: int) -> Iterator[_Text]:
    """Yields what each chunk becomes, in order; a few chunks are under way at a time."""
    if workers <= 1:
        _begin(*work)
        yield from map(_text, chunks)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=work) as pool:
        waiting: deque[Future[_Text]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_text, chunk))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_work: tuple[Reader, Path, Path, Settings]  # of this worker process


def _begin(name: str, root: Path, out: Path, settings: Settings) -> None:
    global _work
    _work = (reader_of(name), root, out, settings)


def _text(chunk: list[Record | Skipped]) -> _Text:
    reader, _, _, settings = _work
    lines: dict[str, list[str]] = {}
    skipped: list[str] = []
    why: Counter[tuple[str, bool]] = Counter()
    ids: list[int] = []
    for item in chunk:
        made = item if isinstance(item, Skipped) else _made(item)
        if isinstance(made, Skipped):
            if made.bad and not settings.skip_bad:
                said = ": ".join(filter(None, (made.where, made.id if made.id != made.where else "", made.why)))
                detail = f" ({made.detail})" if made.detail else ""
                raise UserError(one_line(f"{said}{detail}; mend it, or leave such records out with --skip-bad"))
            skipped.append(json.dumps(made._asdict(), ensure_ascii=True) + "\n")
            why[made.why, made.bad] += 1
            continue
        split = item.split or _drawn(reader.name, item, settings.shares)
        lines.setdefault(split, []).extend(example.model_dump_json(exclude_defaults=True) + "\n" for example in made)
        ids += [_hash(example.id) for example in made]
    return _Text(
        {split: "".join(of).encode() for split, of in lines.items()},
        {split: len(of) for split, of in lines.items()},
        "".join(skipped).encode(),
        dict(why),
        np.array(ids, np.uint64).tobytes(),
        len(chunk),
    )


def _made(record: Record) -> list | Skipped:
    """Returns the Examples of a record, its images copied; or why there are none."""
    reader, root, out, settings = _work
    try:
        for path in record.images:
            if not is_plain(path):
                raise ValueError(f"image path {path!r} should be relative and stay below the root")
        frame = None if record.frame in ("unit", "image") else record.frame
        if not settings.images and record.frame != "image":
            found = examples(record, reader, settings.asking, frame)
        else:
            # asked for once without the images: no picture is copied of a record that gives nothing
            if record.frame != "image" and not examples(record, reader, settings.asking, frame):
                return why_none(record, settings.asking.kinds)
            for path in record.images:
                if not inside(root, path).is_file():
                    return Skipped(record.id, "an image is missing", bad=True, detail=path)
            size = _size(record, root, out, settings)
            record = replace(record, images=tuple(map(copy_name, record.images))) if settings.images else record
            found = examples(record, reader, settings.asking, size if record.frame == "image" else frame)
    except (ValueError, UserError) as error:  # of a box, of a text that is none, of an image
        kind = "an image cannot be read" if isinstance(error, UserError) else "not usable"
        return Skipped(record.id, kind, bad=True, detail=one_line(_first(error)))
    return found or why_none(record, settings.asking.kinds)


def _size(record: Record, root: Path, out: Path, settings: Settings) -> tuple[int, int] | None:
    """Copies the images where that is asked for; returns width and height of the first one as published."""
    sizes = [
        copy(root, path, out, settings.max_pixels, settings.max_side) if settings.images else image_size(root, path)
        for path in (record.images if settings.images else record.images[:1])
    ]
    return sizes[0] if sizes else None


def _first(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):  # its own text quotes the whole Example
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _drawn(name: str, record: Record, shares: Mapping[str, float]) -> str:
    """Returns the split that a patient falls into: the same for all records of one, whatever else is prepared."""
    unit = record.patient or record.study or record.id
    place = _hash(f"{name}/{unit}") / 2**64 * sum(shares.values())
    for split, share in shares.items():
        place -= share
        if place < 0:
            return split
    return next(reversed(shares))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big")


def described(name: str | None = None) -> str:
    """Returns the list of data sets as text, or one with its layout, access, questions and options."""
    if name is None:
        readers = [reader_of(one) for one in names()]
        return "\n".join(f"{one.name:<16}{one.title}" for one in readers)
    one = reader_of(name)
    options = [f"  --option {key}={'|'.join(o.values)}   {o.help}" for key, o in one.options.items()]
    parts = [
        f"{one.name}: {one.title}",
        f"Access: {one.access}",
        "Files below --root:",
        *(f"  {line}" for line in one.layout.splitlines()),
        f"Questions (--ask): {', '.join(one.kinds)}; without it {one.kinds[0]}",
        *(["Options:", *options] if options else []),
    ]
    return "\n".join(parts)


def run(
    name: str, root: Path, out: Path, *, ask: str, section: str, uncertain: str, option: list[str], shares: str,
    images: bool, max_pixels: int, max_side: int | None, skip_bad: bool, workers: int | None,
) -> str:  # fmt: skip
    """Prepares a data set with the command line's words; returns what to print. Raises UserError."""
    reader = reader_of(name)
    kinds = tuple(dict.fromkeys(filter(None, (word.strip() for word in ask.split(","))))) or reader.kinds[:1]
    for kind in kinds:
        if kind not in reader.kinds:
            raise UserError(
                f"--ask {kind}: '{name}' can be asked {', '.join(reader.kinds)}{nearest(kind, reader.kinds)}"
            )
    for flag, value, known in (("section", section, SECTIONS), ("uncertain", uncertain, UNCERTAIN)):
        if value not in known:
            raise UserError(f"--{flag} {value}: give {', '.join(known)}{nearest(value, known)}")
    settings = Settings(
        Asking(kinds, section, uncertain), _pairs("--option", option), images, max_pixels, max_side,
        _shares(shares), skip_bad,
    )  # fmt: skip
    with _bar() as progress:
        summary = prepare(name, root, out, settings, workers=workers, progress=progress)
    lines = [f"{out / split}.jsonl: {count} Examples" for split, count in sorted(summary.examples.items())]
    lines.append(f"{summary.records} records read")
    for title, of in (("skipped", summary.skipped), ("broken, skipped", summary.bad)):
        lines += [f"{count:>9} {title}: {why}" for why, count in sorted(of.items(), key=lambda one: -one[1])]
    if summary.skipped or summary.bad:
        lines.append(f"each is listed in {out / SKIPPED}")
    return "\n".join(lines)


def _pairs(flag: str, given: list[str]) -> dict[str, str]:
    pairs = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserError(f"{flag} {item}: write NAME=VALUE")
        pairs[name] = value
    return pairs


def _shares(text: str) -> dict[str, float]:
    try:
        shares = {name: float(value) for name, value in _pairs("--shares", text.split(",")).items()}
    except ValueError:
        shares = {}
    if (
        not shares
        or set(shares) - set(SHARES)
        or not all(0 <= v <= 1 for v in shares.values())
        or not any(shares.values())
    ):
        raise UserError(f"--shares {text}: write train=0.8,dev=0.1,test=0.1, shares from 0 to 1")
    return shares


@contextmanager
def _bar() -> Iterator[Callable[[int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("Prepare"), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done: bar.update(task, completed=done)

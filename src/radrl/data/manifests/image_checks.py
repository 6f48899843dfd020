"""What ``radrl data check`` asks of images: each is read once, and compared with those of the other splits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radrl.data.manifests import burned_in
from radrl.data.manifests.all_lines import AllLines, across, example_at
from radrl.data.manifests.check_report import ODD, UNREADABLE, WORDS, Report
from radrl.data.manifests.same_picture import ALIKE, SIDE, detail, difference_hash, near_pairs
from radrl.errors import UserError
from radrl.images.files import read_image
from radrl.images.sizes import LONGEST
from radrl.support.hashing import stable_hash

Map = Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]


class _ReadImage(NamedTuple):
    """An image that was read: hash of its bytes, and of what it shows; or why it could not be read; and what looks
    wrong with it all the same; whether it holds words."""

    content: int
    shows: bytes
    why: str = ""
    odd: str = ""
    words: str = ""


def check_images(roots: Sequence[Path], lines: AllLines, run: Map, report: Report) -> None:
    """Reads every image once, and adds those that cannot be read, are odd, hold words or are in several splits.

    ``roots`` are the folders that the image paths of each manifest start from; ``run`` spreads calls over processes.
    """
    # one path below one root is one file, whoever names it
    hashes = np.array([stable_hash(os.path.realpath(root)) for root in roots], dtype=np.uint64)
    root_of = hashes[lines.manifest[lines.of_line]]
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
    look_at = partial(_look_at, tuple(lines.paths), tuple(roots), report.burned_in)
    for seen in (s for batch in run(look_at, tasks) for s in batch):
        index = next(at)
        for kind, why in ((UNREADABLE, seen.why), (ODD, seen.odd), (WORDS, seen.words)):
            if why:
                report.add(lines.image_where(index), kind, why)
        content[of_file[index]] = seen.content
        shows[of_file[index]] = np.frombuffer(seen.shows or bytes(SIDE * SIDE // 8), np.uint64)
    splits = lines.splits()[lines.of_line]
    keys = content[of_file]
    for before, after in across(keys, splits):
        if keys[before]:
            why = f"the same image is in another split, at {lines.image_where(before)}"
            where = lines.image_where(after)
            report.add(where, "image in two splits", f"{why}; keep it in one")
    _near(roots, lines, splits, of_file, content, shows, report)


def _near(
    roots: Sequence[Path], lines: AllLines, splits: NDArray, of_file: NDArray,
    content: NDArray, shows: NDArray, report: Report,
) -> None:  # fmt: skip
    """Adds pairs of images of two splits that look alike: every pair is compared by hash, the near ones in detail."""

    @lru_cache(maxsize=4096)
    def detail_of(row: int) -> NDArray[np.float32]:
        manifest = int(lines.manifest[lines.of_line[row]])
        example = lines.example(int(lines.of_line[row]))
        path = next(image for image in example.images if stable_hash(image) == int(lines.images[row]))
        return detail(read_image(roots[manifest], path))

    images_of = []  # of each split: the files, and a row of each
    for kind in np.unique(splits):
        rows = np.flatnonzero(splits == kind)
        files, first = np.unique(of_file[rows], return_index=True)
        read = content[files] != 0
        images_of.append((files[read], rows[first[read]]))
    for second in range(1, len(images_of)):
        for first in range(second):
            (a, rows_a), (b, rows_b) = images_of[first], images_of[second]
            for i, j in near_pairs(shows[a], shows[b]):
                if content[a[i]] == content[b[j]]:  # said already
                    continue
                if float(detail_of(int(rows_a[i])) @ detail_of(int(rows_b[j]))) < ALIKE:
                    continue
                there = lines.image_where(rows_a[i])
                here = lines.image_where(rows_b[j])
                why = f"nearly the same image is in another split, at {there}; look at both and keep one"
                report.add(here, "image nearly in two splits", why)


def _look_at(
    paths: tuple[Path, ...], roots: tuple[Path, ...], words: bool, batch: NDArray[np.uint64]
) -> list[_ReadImage]:
    found = []
    for manifest, start, wanted in batch.tolist():
        example = example_at(paths[manifest], start)
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
            found.append(_ReadImage(0, b"", str(error)))
            continue
        content = stable_hash(data)
        odd = f"{path}: {'; '.join(notes)}" if notes else ""
        burned = (
            f"{path}: look at it; paint them over or leave it out" if words and burned_in.holds_words(picture) else ""
        )
        found.append(_ReadImage(content, difference_hash(picture), odd=odd, words=burned))
    return found

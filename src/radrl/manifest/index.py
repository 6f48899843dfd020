"""Where each Example of some manifests lies, and what training asks of all of them at once.

That is about 50 bytes each, and 24 an image. A manifest of a million Examples does not fit in memory as Examples, nor
is there time to check every line in full before a run. So manifests are read through once, for an index; an Example is
read, and checked in full, when it is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from radrl.errors import UserError, in_words
from radrl.example import Example
from radrl.manifest.columns import Columns
from radrl.manifest.jsonl import ManifestLine, count_line_ends, empty_manifest, manifest_lines, open_manifest, stretches
from radrl.support.machine import cores

LEAST_PART = 16 << 20  # bytes: a smaller manifest is read in this process
# Lines of a manifest: a mistake that runs through it, or one in a small manifest, is noticed at once.
CHECKED_IN_FULL = 50_000


@dataclass
class ManifestIndex:
    """Manifests, the folder each one's images start from, and a column of each of their Examples' properties.

    ``images``, ``patients`` and ``studies`` are hashes: equal where two Examples have the same images, or the same
    patient or study of one data set (0: none is known). The last three columns have an entry an image file: the
    ``images`` it is one of, a hash of the file at that path, and its size in bytes.
    """

    paths: list[Path]
    roots: list[Path]
    sizes: list[tuple[int, int]]  # bytes and time of change, to notice a manifest that is changed under a run
    manifest: np.ndarray
    start: np.ndarray
    length: np.ndarray
    task: np.ndarray
    thinking: np.ndarray
    gold: np.ndarray
    images: np.ndarray
    patients: np.ndarray
    studies: np.ndarray
    ids: np.ndarray
    file_of: np.ndarray
    file: np.ndarray
    file_size: np.ndarray
    _open_files: dict[int, int] = field(default_factory=dict, init=False)  # descriptors by number of the manifest

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_files": {}}

    def example(self, row: int) -> Example:
        """Returns the Example of a row. Raises UserError where its line is none, or the manifest was changed."""
        number = int(self.manifest[row])
        path, start = self.paths[number], int(self.start[row])
        try:
            if number not in self._open_files:
                self._open_files[number] = os.open(path, os.O_RDONLY)
                state = os.fstat(self._open_files[number])
                if (state.st_size, state.st_mtime_ns) != self.sizes[number]:
                    raise UserError(f"{path}: was changed while it was in use; start again")
            # pread: forked processes share the file, and its position
            raw = os.pread(self._open_files[number], int(self.length[row]), start)
        except OSError as error:
            raise UserError(f"{path}: cannot read the manifest: {in_words(error)}") from None
        return ManifestLine(path, 1, start, raw, counted_from=start).example()

    def line_number(self, row: int) -> int:
        """Returns the number, from 1, of the line of an Example."""
        return 1 + count_line_ends(self.paths[self.manifest[row]], 0, int(self.start[row]))


def read_index(paths: Sequence[Path], roots: Mapping[Path, Path] | None = None) -> ManifestIndex:
    """Reads manifests through once and checks that ids differ and that every image file exists.

    ``roots`` names the folder of a manifest's images where it is not the manifest's own. The first 50,000 lines of
    each are checked in full, the others for what the index holds. Large manifests are read on all cores.

    Raises:
        UserError: a manifest is missing, empty or wrong, an id is used twice, or an image is missing.
    """
    roots = roots or {}
    reading = _begun.pop(_key(paths, roots), None) or _Reading(paths, roots)
    index = ManifestIndex(
        list(paths), [roots.get(path, path.parent) for path in paths], reading.sizes, **reading.columns()
    )
    _ids_differ(index)
    return index


def start_reading(paths: Sequence[Path], roots: Mapping[Path, Path]) -> None:
    """Starts reading large manifests in other processes, for the time in which torch is imported; `read_index` waits
    for them. Raises UserError where one is missing."""
    _begun[_key(paths, roots)] = _Reading(paths, roots)


def _key(paths: Sequence[Path], roots: Mapping[Path, Path]) -> tuple[Any, ...]:
    return tuple(paths), tuple(sorted(roots.items()))


class _Reading:
    """Manifests that are being read: the parts of large ones in processes of their own."""

    def __init__(self, paths: Sequence[Path], roots: Mapping[Path, Path]) -> None:
        self.paths, self.sizes = paths, []
        self.jobs: list[list[tuple[int, Path, str, int, int]]] = []
        for number, path in enumerate(paths):
            with open_manifest(path) as file:
                state = os.fstat(file.fileno())
            self.sizes.append((state.st_size, state.st_mtime_ns))
            parts = _parts(path, state.st_size)
            self.jobs.append([(number, path, str(roots.get(path, path.parent)), *part) for part in parts])
        self.pool = None
        if any(len(jobs) > 1 for jobs in self.jobs):
            # forked only: hashes of other processes would not compare
            self.pool = ProcessPoolExecutor(cores(), mp_context=get_context("fork"))
        self.parts = [
            [self.pool.submit(_read_part, job) for job in jobs] if self.pool and len(jobs) > 1 else []
            for jobs in self.jobs
        ]

    def columns(self) -> dict[str, np.ndarray]:
        """Returns the columns of all, when all is read. Raises UserError as read_index."""
        columns = Columns()
        try:
            for path, jobs, parts in zip(self.paths, self.jobs, self.parts, strict=True):
                before = len(columns)
                if parts:
                    for part in parts:
                        columns.extend(part.result())
                else:
                    (number, _, root, *_) = jobs[0]
                    columns.add_lines(number, root, manifest_lines(path), CHECKED_IN_FULL)
                if len(columns) == before:
                    raise empty_manifest(path)
        finally:
            self.stop()
        return columns.arrays()

    def stop(self) -> None:
        """Ends the processes, those that are at work when they have read their part."""
        if self.pool:
            self.pool.shutdown(wait=False, cancel_futures=True)


_begun: dict[tuple[Any, ...], _Reading] = {}


def stop_reading() -> None:
    """Stops what was begun and not asked for."""
    while _begun:
        _begun.popitem()[1].stop()


def _parts(path: Path, size: int) -> list[tuple[int, int]]:
    """Returns where the parts of a large manifest begin and end; one part of a small one."""
    ways = min(cores() * 4, size // LEAST_PART) if sys.platform == "linux" and cores() > 1 else 1
    return stretches(path, -(-size // ways)) if ways > 1 else [(0, size)]


def _read_part(job: tuple[int, Path, str, int, int]) -> dict[str, np.ndarray]:
    number, path, root, start, end = job
    columns = Columns()
    columns.add_lines(number, root, manifest_lines(path, start, end), 0 if start else CHECKED_IN_FULL)
    return columns.arrays()


def _ids_differ(index: ManifestIndex) -> None:
    order = np.argsort(index.ids, kind="stable")
    again = np.flatnonzero(index.ids[order][1:] == index.ids[order][:-1])
    for place in again.tolist():
        first, second = int(order[place]), int(order[place + 1])
        name = index.example(first).id
        if name != index.example(second).id:
            continue  # two ids of one hash
        one, two = (index.paths[index.manifest[row]] for row in (first, second))
        if index.manifest[first] != index.manifest[second]:
            raise UserError(f"{two}: id '{name}' is in {one} too; ids must differ")
        lines = [index.line_number(row) for row in (first, second)]
        raise UserError(
            f"{two}:{lines[1]}: id {name!r} is already used in line {lines[0]}; give each Example its own id"
        )

"""Where each Example of some manifests lies, and what training asks of all of them at once.

That is about 50 bytes each, and 24 an image. A manifest of a million Examples does not fit in memory as Examples, nor
is there time to check every line in full before a run. So manifests are read through once, for an index; an Example is
read, and checked in full, when it is asked for.
"""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic_core import from_json

from radrl.errors import UserError
from radrl.example import TASKS, Example
from radrl.manifest.independence import family
from radrl.manifest.jsonl import manifest_error, open_manifest, parse_line
from radrl.support.machine import cores

LEAST_PART = 16 << 20  # bytes: a smaller manifest is read in this process
# Lines of a manifest: a mistake that runs through it, or one in a small manifest, is found at once.
CHECKED_IN_FULL = 50_000
_CODES = {task: code for code, task in enumerate(TASKS)}
_TEXT_OR_NONE = (str, type(None))


@dataclass
class Index:
    """Manifests, the folder each one's images start from, and a column of each of their Examples' properties.

    ``images``, ``patients`` and ``studies`` are hashes: equal where two Examples have the same images, or the same
    patient or study of one data set (0: none is known). The last three columns have an entry an image file: the
    ``images`` it is one of, a hash of the file that stands there, and its size in bytes.
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
    files: dict[int, int] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "files": {}}

    def example(self, row: int) -> Example:
        """Returns the Example of a row. Raises UserError where its line is none, or the manifest was changed."""
        number = int(self.manifest[row])
        path, start = self.paths[number], int(self.start[row])
        try:
            if number not in self.files:
                self.files[number] = os.open(path, os.O_RDONLY)
                state = os.fstat(self.files[number])
                if (state.st_size, state.st_mtime_ns) != self.sizes[number]:
                    raise UserError(f"{path}: was changed while it was in use; start again")
            # pread: forked processes share the file, and its position
            raw = os.pread(self.files[number], int(self.length[row]), start)
        except OSError as error:
            raise manifest_error(path, error) from None
        return parse_line(path, lambda: self._line(path, start), raw, first=start == 0)

    @staticmethod
    def _line(path: Path, start: int) -> int:
        with path.open("rb") as file:
            return file.read(start).count(b"\n") + 1


def read_index(paths: Sequence[Path], roots: Mapping[Path, Path] | None = None) -> Index:
    """Reads manifests through once and checks that ids differ and every image file is there.

    ``roots`` names the folder of a manifest's images where it is not the manifest's own. The first 50,000 lines of
    each are checked in full, the others for what the index holds. Large manifests are read on all cores.

    Raises:
        UserError: a manifest is missing, empty or wrong, an id stands twice, or an image is missing.
    """
    roots = roots or {}
    reading = _begun.pop(_key(paths, roots), None) or _Reading(paths, roots)
    index = Index(list(paths), [roots.get(path, path.parent) for path in paths], reading.sizes, **reading.columns())
    _ids_differ(index)
    return index


def begin(paths: Sequence[Path], roots: Mapping[Path, Path]) -> None:
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
            with open_manifest(path) as lines:
                state = os.fstat(lines.fileno())
                self.sizes.append((state.st_size, state.st_mtime_ns))
                parts = _parts(lines, state.st_size)
            self.jobs.append([(number, path, str(roots.get(path, path.parent)), *part) for part in parts])
        self.pool = None
        if any(len(jobs) > 1 for jobs in self.jobs):
            # forked only: hashes of other processes would not compare
            self.pool = ProcessPoolExecutor(cores(), mp_context=get_context("fork"))
        self.found = [
            [self.pool.submit(_read_part, job) for job in jobs] if self.pool and len(jobs) > 1 else []
            for jobs in self.jobs
        ]

    def columns(self) -> dict[str, np.ndarray]:
        """Returns the columns of all, when all is read. Raises UserError as read_index."""
        columns = _Columns()
        try:
            for path, jobs, found in zip(self.paths, self.jobs, self.found, strict=True):
                before = len(columns.ids)
                if found:
                    for part in found:
                        columns.extend(part.result())
                else:
                    (number, _, root, *_) = jobs[0]
                    with open_manifest(path) as lines:
                        columns.read(number, path, root, lines)
                if len(columns.ids) == before:
                    raise UserError(f"{path}: the data set is empty; a manifest holds one Example in JSON a line")
        finally:
            self.stop()
        return columns.arrays()

    def stop(self) -> None:
        """Ends the processes, those that are at work when they have read their part."""
        if self.pool:
            self.pool.shutdown(wait=False, cancel_futures=True)


_begun: dict[tuple[Any, ...], _Reading] = {}


def abandon() -> None:
    """Stops what was begun and not asked for."""
    while _begun:
        _begun.popitem()[1].stop()


class _Columns:
    """The columns while they grow."""

    def __init__(self) -> None:
        self.manifest, self.start, self.length = array("H"), array("q"), array("i")
        self.task, self.thinking, self.gold = array("b"), array("b"), array("b")
        self.images, self.patients, self.studies, self.ids = array("q"), array("q"), array("q"), array("q")
        self.file_of, self.file, self.file_size = array("q"), array("q"), array("q")
        self.found: set[int] = set()  # hashes of images that are there

    def arrays(self) -> dict[str, np.ndarray]:
        names = ("manifest", "start", "length", "task", "thinking", "gold", "images", "patients", "studies", "ids")
        return {name: np.array(getattr(self, name)) for name in (*names, "file_of", "file", "file_size")}

    def extend(self, other: dict[str, np.ndarray]) -> None:
        for name, column in other.items():
            getattr(self, name).frombytes(column.tobytes())

    def read(self, number: int, path: Path, root: str, lines: Iterable[bytes], at: int = 0) -> None:
        """Adds the lines of a manifest from byte ``at`` on."""
        before, found, left = len(self.ids), self.found, 0 if at else CHECKED_IN_FULL
        # looked up once: this loop is what a large run waits for
        start, length, task = self.start.append, self.length.append, self.task.append
        thinking, gold, pictures = self.thinking.append, self.gold.append, self.images.append
        patients, studies, ids = self.patients.append, self.studies.append, self.ids.append
        for raw in lines:
            size = len(raw)
            at += size
            if raw.isspace():
                continue
            left -= 1
            fields = None if left >= 0 else _fields(raw)
            if fields is None:
                example = parse_line(path, partial(Index._line, path, at - size), raw, first=at == size)
                fields = {**dict(example), "images": list(example.images)}
            images = fields.get("images")
            if images:
                key = hash((root, *images))
                if key not in found:
                    for image in images:
                        if not self._add_file(key, f"{root}/{image}"):
                            name = fields["id"]
                            raise UserError(f"{path}: image '{image}' of '{name}' is missing; put it at {root}/{image}")
                    found.add(key)
            else:
                key = hash((number, at))
            start(at - size)
            length(size)
            task(_CODES[fields["task"]])
            thinking(bool(fields.get("thinking")))
            meta = fields.get("meta")
            gold(meta is not None and meta.get("quality") == "gold")
            pictures(key)
            patient, study = fields.get("patient"), fields.get("study")
            of = family(fields.get("source", "")) if patient or study else ""
            patients(hash((of, patient)) if patient else 0)
            studies(hash((of, study)) if study else 0)
            ids(hash(fields["id"]))
        self.manifest.extend([number] * (len(self.ids) - before))

    def _add_file(self, images: int, path: str) -> bool:
        """Adds an image file; False where there is none."""
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            return False
        self.file_of.append(images)
        self.file.append(hash((state.st_dev, state.st_ino)))  # whatever path or link leads there
        self.file_size.append(state.st_size)
        return stat.S_ISREG(state.st_mode)


def _parts(lines: IO[bytes], size: int) -> list[tuple[int, int]]:
    """Returns where parts of a large manifest begin and end, each at the start of a line; one part of a small one."""
    ways = min(cores() * 4, size // LEAST_PART) if sys.platform == "linux" and cores() > 1 else 1
    starts = [0]
    for k in range(1, ways):
        lines.seek(max(size * k // ways, starts[-1]))
        lines.readline()
        starts.append(lines.tell())
    lines.seek(0)
    return [(start, end) for start, end in pairwise([*starts, size]) if start < end] or [(0, size)]


def _read_part(job: tuple[int, Path, str, int, int]) -> dict[str, np.ndarray]:
    number, path, root, start, end = job
    columns = _Columns()
    with open_manifest(path) as lines:
        lines.seek(start)
        columns.read(number, path, root, _until(lines, end - start), start)
    return columns.arrays()


def _until(lines: IO[bytes], left: int) -> Iterator[bytes]:
    for raw in lines:
        yield raw
        left -= len(raw)
        if left <= 0:
            return


def _fields(raw: bytes) -> dict[str, Any] | None:
    """Returns a line's fields; None where one that the index needs is not as it should be."""
    try:
        fields = from_json(raw)
        get = fields.get
        if not (fields["task"] in _CODES and type(fields["id"]) is str and type(fields["question"]) is str):
            return None
        images = get("images", [])
        if type(images) is not list or type(get("meta", {})) is not dict or type(get("source", "")) is not str:
            return None
        if type(get("patient")) not in _TEXT_OR_NONE or type(get("study")) not in _TEXT_OR_NONE:
            return None
        for image in images:
            if type(image) is not str or not image or image[0] == "/" or ".." in image or "\\" in image:
                return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return fields


def _ids_differ(index: Index) -> None:
    order = np.argsort(index.ids, kind="stable")
    again = np.flatnonzero(index.ids[order][1:] == index.ids[order][:-1])
    for place in again.tolist():
        first, second = int(order[place]), int(order[place + 1])
        name = index.example(first).id
        if name != index.example(second).id:
            continue  # two ids of one hash
        one, two = (index.paths[index.manifest[row]] for row in (first, second))
        if index.manifest[first] != index.manifest[second]:
            raise UserError(f"{two}: id '{name}' stands in {one} too; ids must differ")
        lines = [index._line(one, int(index.start[row])) for row in (first, second)]
        raise UserError(
            f"{two}:{lines[1]}: id {name!r} stands already in line {lines[0]}; give each Example its own id"
        )

"""All lines of several manifests in columns of numbers, about 100 bytes a line, to look for what they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radrl.data.manifests.check_report import Problem, Report
from radrl.data.manifests.line_checks import MOST_LISTED, CheckedPiece, Piece
from radrl.errors import UserError
from radrl.example import Example
from radrl.manifest.jsonl import manifest_lines


class AllLines(NamedTuple):
    """Of every Example: its manifest (a place in ``paths``), line, place in the file, and hashes. Of every image: its
    hash, and the row of the Example that it is of."""

    paths: Sequence[Path]
    manifest: NDArray[np.int64]
    number: NDArray[np.int64]
    start: NDArray[np.int64]
    ids: NDArray[np.uint64]
    patients: NDArray[np.uint64]
    studies: NDArray[np.uint64]
    images: NDArray[np.uint64]
    of_line: NDArray[np.int64]

    def where(self, row: int) -> str:
        """Returns file and line of an Example."""
        return f"{self.paths[int(self.manifest[row])]}:{int(self.number[row])}"

    def image_where(self, row: int) -> str:
        """Returns file and line of the Example that an image is of."""
        return self.where(int(self.of_line[row]))

    def example(self, row: int) -> Example:
        """Reads an Example again."""
        return example_at(self.paths[int(self.manifest[row])], int(self.start[row]))

    def splits(self) -> NDArray[np.int64]:
        """Returns of every Example the number of its split; manifests of one name are one split."""
        names = list(dict.fromkeys(path.stem for path in self.paths))
        return np.array([names.index(path.stem) for path in self.paths])[self.manifest]


def example_at(path: Path, start: int) -> Example:
    """Returns the Example that begins at a byte of a manifest. Raises UserError where the file has changed."""
    line = next(manifest_lines(path, start), None)
    if line is None:
        raise UserError(f"{path}: was changed while it was checked; check it again")
    return line.example()


def gather(
    paths: Sequence[Path], pieces: Sequence[list[Piece]], checked: Iterable[CheckedPiece], report: Report
) -> AllLines:
    """Returns the lines of the pieces of each manifest, in order; what is counted and what is wrong is added to
    ``report``.

    Raises:
        UserError: a manifest is empty.
    """
    hashes = ("ids", "patients", "studies", "images")
    # typed from the start: numpy joins signed and unsigned integers as floats
    columns: dict[str, list[NDArray[Any]]] = {
        name: [np.empty(0, np.uint64 if name in hashes else np.int64)] for name in AllLines._fields[1:]
    }
    parts, count = iter(checked), 0
    for number, (path, own) in enumerate(zip(paths, pieces, strict=True)):
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
    lines = AllLines(paths, *(np.concatenate(columns[name]) for name in AllLines._fields[1:]))
    report.patients = len(np.unique(lines.patients[lines.patients != 0]))
    report.without_patient = int((lines.patients == 0).sum())
    return lines


def find_repeated_ids(lines: AllLines, report: Report) -> None:
    """Adds the ids that several Examples have."""
    order = np.argsort(lines.ids, kind="stable")
    again = np.flatnonzero(lines.ids[order][1:] == lines.ids[order][:-1])
    for first, second in zip(order[again].tolist(), order[again + 1].tolist(), strict=True):
        name = f"the id '{lines.example(second).id}'" if report.counts["id twice"] < MOST_LISTED else "the id"
        why = f"{name} is already used at {lines.where(first)}; give each Example its own"
        report.add(lines.where(second), "id twice", why)


def find_shared_units(unit: Literal["patient", "study"], lines: AllLines, report: Report) -> None:
    """Adds the patients, or studies, that are in several splits."""
    keys, kind = {"patient": lines.patients, "study": lines.studies}[unit], f"{unit} in two splits"
    for first, second in across(keys, lines.splits()):
        if keys[first]:
            name = getattr(lines.example(second), unit) if report.counts[kind] < MOST_LISTED else ""
            why = f"{unit} '{name}' is in another split too, at {lines.where(first)}; split by {unit}"
            report.add(lines.where(second), kind, why)


def across(keys: NDArray, split: NDArray) -> Iterator[tuple[int, int]]:
    """Yields, of each key that is in several splits, its first row in the first of them and in each other one."""
    order = np.lexsort((split, keys))  # stable: of equal ones the first row stays first
    ordered, of = keys[order], split[order]
    begins = np.r_[True, (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])] if len(order) else np.empty(0, bool)
    first = order[begins]
    same = np.flatnonzero(keys[first][1:] == keys[first][:-1])
    yield from zip(first[same].tolist(), first[same + 1].tolist(), strict=True)

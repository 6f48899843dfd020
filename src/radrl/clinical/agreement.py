"""A second opinion on labels: how far ours agree with another labeler's, a person's, or our own of an earlier version.

Cells are compared as four classes: present, absent, uncertain, not mentioned. Kappa is Cohen's (1960), not weighted.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radrl.clinical.label import ABSENT, PRESENT, UNCERTAIN, labels
from radrl.errors import UserError, nearest, one_line

Value = int | None
Row = Mapping[str, Value]
VALUES: tuple[Value, ...] = (PRESENT, UNCERTAIN, ABSENT, None)
WORDS = {PRESENT: "present", UNCERTAIN: "uncertain", ABSENT: "absent", None: "not mentioned"}
CELLS = {"": None, "nan": None, "1": PRESENT, "0": ABSENT, "-1": UNCERTAIN}
ID_COLUMNS = ("id", "study id", "study", "report id", "filename", "path", "dicom id")
TEXT_COLUMNS = ("reports", "report impression", "report", "text", "impression")  # CheXpert's labeler, CheXbert, others


class Agreement(NamedTuple):
    """One label: ``table[ours, theirs]`` counts reports. Kappas are NaN where both sides have one class only."""

    label: str
    table: Mapping[tuple[Value, Value], int]

    @property
    def reports(self) -> int:
        """Returns how many reports were compared."""
        return sum(self.table.values())

    @property
    def agreed(self) -> float:
        """Returns the share of reports with the same class on both sides, 0-1."""
        return sum(n for (a, b), n in self.table.items() if a == b) / self.reports

    @property
    def flips(self) -> int:
        """Returns how many reports one side calls present and the other absent."""
        return self.table.get((PRESENT, ABSENT), 0) + self.table.get((ABSENT, PRESENT), 0)

    @property
    def kappa(self) -> float:
        """Returns Cohen's kappa over the four classes, -1 to 1."""
        return _kappa(self.table)

    @property
    def kappa_there(self) -> float:
        """Returns Cohen's kappa of present or uncertain against the rest, as tables that count uncertain as there."""
        merged: Counter[tuple[bool, bool]] = Counter()
        for (a, b), n in self.table.items():
            merged[a in (PRESENT, UNCERTAIN), b in (PRESENT, UNCERTAIN)] += n
        return _kappa(merged)


class Disagreement(NamedTuple):
    """A report with the labels on which both sides differ: label to (ours, theirs)."""

    name: str
    text: str
    labels: Mapping[str, tuple[Value, Value]]


def _kappa(table: Mapping[tuple, int]) -> float:
    n = sum(table.values())
    ours, theirs = Counter(), Counter()
    for (a, b), count in table.items():
        ours[a] += count
        theirs[b] += count
    chance = sum(ours[one] * theirs[one] for one in ours) / n**2
    agreed = sum(count for (a, b), count in table.items() if a == b) / n
    return (agreed - chance) / (1 - chance) if chance < 1 else math.nan


def compare_labels(
    reports: Sequence[tuple[str, str]], schema: str, other: Path
) -> tuple[list[Agreement], list[Disagreement]]:
    """Returns for each label that ``other`` has how far it agrees with ours, and the reports on which any differs.

    Args:
        reports: (id, text) of each.
        schema: our label set.
        other: a CSV with a column a label, named as ours or nearly so, cells 1, 0, -1 or blank. A report is told by an
            id column (id, study_id …) or else by its text (CheXpert's labeler writes ``Reports``, CheXbert ``Report
            Impression``). Reports that one side lacks are left out.

    Raises:
        UserError: the file cannot be read, has no label of the schema, no column to join by, or no report in common.
    """
    wanted = labels("", schema)  # an unknown name is refused here
    given, columns = read_labels(other, list(wanted), reports)
    tables: dict[str, Counter[tuple[Value, Value]]] = {name: Counter() for name in columns}
    differing = []
    for name, text in reports:
        theirs = given.get(name)
        if theirs is None:
            continue
        ours = labels(text, schema)
        for column in columns:
            tables[column][ours[column], theirs[column]] += 1
        apart = {column: (ours[column], theirs[column]) for column in columns if ours[column] != theirs[column]}
        if apart:
            differing.append(Disagreement(name, text, apart))
    return [Agreement(name, table) for name, table in tables.items()], differing


def read_labels(
    path: Path, wanted: Sequence[str], reports: Sequence[tuple[str, str]]
) -> tuple[dict[str, dict[str, Value]], list[str]]:
    """Returns another's labels by the ids of ``reports``, and which of the ``wanted`` labels the file has.

    Raises:
        UserError: as `compare_labels`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot read the labels: {error.strerror}; check the path") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = [name or "" for name in rows.fieldnames or ()]
        lines = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise UserError(one_line(f"{path}: not CSV ({error})")) from None
    plain = {_plain(name): name for name in header}
    columns = {label: plain[_plain(label)] for label in wanted if _plain(label) in plain}
    if not columns:
        first = wanted[0]
        raise UserError(
            one_line(f"{path}: has no column of the labels, such as '{first}'{nearest(first, header)}; choose --schema")
        )
    place, key = _join(path, header, [row for _, row in lines], reports)
    found: dict[str, dict[str, Value]] = {}
    for number, row in lines:
        name = place.get(_squeezed(row[key] or ""))
        if name is not None:
            found[name] = {label: _value(f"{path}:{number}", row, column) for label, column in columns.items()}
    return found, list(columns)


def _join(
    path: Path, header: Sequence[str], rows: Sequence[Mapping[str, str]], reports: Sequence[tuple[str, str]]
) -> tuple[dict[str, str], str]:
    """Returns what a cell of the column to join by means (the id of a report), and that column: the one that knows the
    most reports; of several that know equally many, ids before texts."""
    by_id = {_squeezed(name): name for name, _ in reports}
    by_text = {_squeezed(text): name for name, text in reports}
    tried = [(by_id, name) for name in header if _plain(name) in ID_COLUMNS]
    tried += [(by_text, name) for name in header if _plain(name) in TEXT_COLUMNS]
    known = [sum(_squeezed(row[name] or "") in place for row in rows) for place, name in tried]
    if not tried or not max(known):
        raise UserError(
            one_line(
                f"{path}: no report of it is one of ours; it needs a column of ids ({', '.join(ID_COLUMNS)}) or of "
                f"texts ({', '.join(TEXT_COLUMNS)}) that the reports have too; its columns: {', '.join(header)}"
            )
        )
    return tried[known.index(max(known))]


def _value(where: str, row: Mapping[str, str], column: str) -> Value:
    said = (row[column] or "").strip().lower()
    said = said.removesuffix(".0")
    if said not in CELLS:
        raise UserError(one_line(f"{where}: '{column}' is {row[column]!r}; a cell is 1, 0, -1 or blank"))
    return CELLS[said]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def table_text(found: Sequence[Agreement]) -> str:
    """Returns the agreement of each label as lines of text."""
    width = max(len(one.label) for one in found)
    lines = [f"{'label':<{width}}  reports  agreed   kappa  kappa (there)  flips"]
    for one in found:
        kappas = [f"{k:.3f}" if not math.isnan(k) else "–" for k in (one.kappa, one.kappa_there)]
        figures = f"{one.reports:>7}  {one.agreed:>6.3f}  {kappas[0]:>6}  {kappas[1]:>13}  {one.flips:>5}"
        lines.append(f"{one.label:<{width}}  {figures}")
    return "\n".join(lines)


def changes_text(found: Sequence[Agreement]) -> str:
    """Returns what became of each label, most often first: ``Edema: absent -> present 3``."""
    moved = [(n, one.label, b, a) for one in found for (a, b), n in one.table.items() if a != b]
    if not moved:
        return "no label has changed"
    return "\n".join(
        f"{label}: {WORDS[before]} -> {WORDS[now]} {n}"
        for n, label, before, now in sorted(moved, key=lambda one: (-one[0], one[1], VALUES.index(one[2])))
    )

"""The tables of the controls for bias as files: ``bias.json``, ``bias.md``, and ``length.csv`` with one row a case."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from radrl.evaluation.controls.ask_controls import BiasTables
from radrl.evaluation.controls.bias import Row
from radrl.support.files import write_json, write_text

TITLES = {
    "positions": "Place of the right option (all rotations of the options)",
    "controls": "The score without the image",
    "lengths": "Words of an answer against its score (Spearman)",
    "subgroups": "Subgroups",
}
NOTE = (
    "Brackets: 95% bootstrap interval over patients. p-values are not corrected for the number of comparisons. "
    "`left` is the control's mean as a share of the mean with the own image; what a question gives away by itself is "
    "part of it, so compare it with the trivial baselines."
)


def write_bias_tables(out: Path, bias: BiasTables) -> None:
    """Writes each model's tables below ``out``, and its rows of answer lengths to length.csv. Raises UserError."""
    write_json(out / "bias.json", bias.tables)
    lines = ["# Bias and shortcuts", "", NOTE]
    for key, title in TITLES.items():
        for name, tables in bias.tables.items():
            if rows := tables.get(key):
                lines += ["", f"## {title}: {_plain(name)}", "", *_markdown(rows)]
    write_text(out / "bias.md", "\n".join(lines) + "\n")
    text = io.StringIO(newline="")
    flat = [{"model": name, **row} for name, rows in bias.lengths.items() for row in rows]
    if flat:
        table = csv.DictWriter(text, list(dict.fromkeys(key for row in flat for key in row)), lineterminator="\n")
        table.writeheader()
        table.writerows(flat)
    write_text(out / "length.csv", text.getvalue())


def _markdown(rows: Sequence[Row]) -> list[str]:
    hidden = {"low", "high", "difference low", "difference high"}
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in hidden]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return lines + [f"| {' | '.join(_cell(row, key) for key in columns)} |" for row in rows]


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, float):
        return _plain(str(value))
    if key == "p":
        return f"{value:.2g}"
    said = f"{value:+.3f}" if key in ("difference", "spearman") else f"{value:.3f}"
    low, high = {"mean": ("low", "high"), "difference": ("difference low", "difference high")}.get(key, ("", ""))
    return f"{said} [{row[low]:.3f}, {row[high]:.3f}]" if row.get(low) is not None else said


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

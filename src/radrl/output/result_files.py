"""What an evaluation leaves behind: per-case scores, a summary with versions and hashes, and tables."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from radrl.evaluation.answers.digests import manifest_digest
from radrl.evaluation.metrics.records import CaseScores, metrics_of
from radrl.evaluation.statistics.intervals import patients_needed
from radrl.evaluation.statistics.result import Comparison
from radrl.example import Example
from radrl.output import tables
from radrl.support.files import replacing, write_json, write_text

PACKAGES = ("radrl", "numpy", "scipy", "pyarrow", "rapidfuzz", "pydantic")
WIDTHS = (0.02, 0.05, 0.1)  # of intervals, in shares of a metric's range


def write_outputs(
    out: Path,
    comparison: Comparison,
    examples: Sequence[Example],
    models: Mapping[str, CaseScores | Sequence[CaseScores]],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes ``comparison.json``, ``table.md``, ``table.tex``, ``table.csv`` and ``cases.parquet`` to a folder.

    ``facts`` (settings and hashes of the predictions, say) stand in the JSON as they are.

    Raises:
        UserError: a file cannot be written.
    """
    write_json(out / "comparison.json", summary(comparison, examples, facts or {}))
    write_text(out / "table.md", tables.markdown(comparison))
    write_text(out / "table.tex", tables.latex(comparison))
    write_text(out / "table.csv", tables.as_csv(comparison))
    write_cases(out / "cases.parquet", examples, models)


def summary(comparison: Comparison, examples: Sequence[Example], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the comparison with versions, a hash of the Examples and the patients that narrower intervals need."""
    return {
        **comparison.to_dict(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "hashes": {"manifest": manifest_digest(examples)},
        "patients_needed": _needed(comparison),
        "facts": dict(facts),
    }


def _needed(comparison: Comparison) -> dict[str, dict[str, int]]:
    """Returns how many patients an interval of a width needs, for the headline metrics of the base model."""
    patients = {}
    for metric in comparison.headline:
        cell = comparison.cells[comparison.base][metric.name]
        reach = metric.high - metric.low
        if cell and cell.low is not None and cell.high is not None and cell.high > cell.low and np.isfinite(reach):
            patients[metric.name] = {
                f"{width:g}": patients_needed(cell.patients, cell.low, cell.high, width * reach) for width in WIDTHS
            }
    return patients


def write_cases(
    path: Path, examples: Sequence[Example], models: Mapping[str, CaseScores | Sequence[CaseScores]]
) -> None:
    """Writes one row a model, training run, sample and case with every metric that a case has; null where it has none.

    The file is whole or not there. Raises UserError where it cannot be written.
    """
    runs = {name: (one,) if isinstance(one, CaseScores) else tuple(one) for name, one in models.items()}
    metrics = [m.name for m in metrics_of([s for of_model in runs.values() for s in of_model])]
    metrics = [
        name
        for name in metrics
        if any(s.columns[name].values is not None for r in runs.values() for s in r if name in s.columns)
    ]
    text, whole, number = pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), pyarrow.int32(), pyarrow.float64()
    known = {
        "id": pyarrow.array([e.id for e in examples]),
        "patient": pyarrow.array([e.patient for e in examples], pyarrow.string()),
        "task": pyarrow.array([e.task for e in examples], pyarrow.string()),
        "source": pyarrow.array([e.source for e in examples], pyarrow.string()),
        "type": pyarrow.array([str(e.meta.get("type", "")) for e in examples], pyarrow.string()),
    }
    schema = pyarrow.schema(
        [("model", text), ("run", whole), ("sample", whole), *((name, a.type) for name, a in known.items())]
        + [(name, number) for name in metrics]
    )
    with replacing(path) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for model, of_model in runs.items():
            for run, scores in enumerate(of_model):
                for sample in range(scores.samples):
                    values = {name: _values(scores, name, sample, len(examples)) for name in metrics}
                    same = {"model": model, "run": run, "sample": sample}
                    columns = [
                        pyarrow.array([value] * len(examples)).cast(schema.field(name).type)
                        if name != "model"
                        else pyarrow.array([value] * len(examples)).dictionary_encode()
                        for name, value in same.items()
                    ]
                    arrays = [*columns, *known.values(), *values.values()]
                    writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _values(scores: CaseScores, name: str, sample: int, cases: int) -> pyarrow.Array:
    column = scores.columns.get(name)
    if column is None or column.values is None:
        return pyarrow.nulls(cases, pyarrow.float64())
    row = column.values[sample if len(column.values) > 1 else 0]
    return pyarrow.array(row, mask=np.isnan(row))

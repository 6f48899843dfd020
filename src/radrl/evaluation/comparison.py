"""Models side by side: every metric with its interval, and paired differences to one or two base models."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from radrl.errors import UserError, nearest
from radrl.evaluation import baselines as trivial
from radrl.evaluation.metrics import BY_NAME, METRICS, FindingCounts, ModelScores
from radrl.evaluation.statistics import bootstrap_mean, paired_difference
from radrl.example import TASKS, Example, patients
from radrl.files import write_json

SIGNIFICANT = 0.05
Key = tuple[str, ...]


class Difference(NamedTuple):
    """The mean paired difference to another model, over the cases both have a value for."""

    to: str
    n: int
    mean: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool:
        """True where p is below 0.05 (not corrected for the number of comparisons)."""
        return self.p < SIGNIFICANT


class Cell(NamedTuple):
    """One model on one metric. ``differences`` are to the base models other than itself; ``below`` holds the
    difference to each baseline whose mean it does not reach. Where all cases are of one patient there is nothing to
    resample: ``low`` and ``high`` are None and there are no differences."""

    n: int
    patients: int
    mean: float
    low: float | None
    high: float | None
    differences: tuple[Difference, ...]
    below: tuple[Difference, ...]


@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``. ``cells[model][metric]`` is None where the metric applies to no case."""

    base: str
    others_base: str | None
    models: tuple[str, ...]
    baselines: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: dict[str, dict[str, Cell | None]]
    findings: dict[str, dict[str, FindingCounts]]
    cases: dict[str, int]
    patients: int
    samples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Returns the comparison as JSON types; ``null`` only where a metric does not apply or has no interval."""
        found = asdict(self)
        found["cells"] = {
            model: {metric: _cell(cell) if cell else None for metric, cell in row.items()}
            for model, row in self.cells.items()
        }
        found["findings"] = {
            model: {
                name: {**counts._asdict(), "precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
                for name, counts in row.items()
            }
            for model, row in self.findings.items()
        }
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``to_dict`` as JSON."""
        write_json(path, self.to_dict())

    def to_markdown(self) -> str:
        """Returns the table of means and intervals, with the differences to the base under it."""
        titles = [BY_NAME[metric].title for metric in self.metrics]
        lines = [_row(["", *titles]), _row(["---"] + ["---:"] * len(titles))]
        for model in self.models:
            lines.append(_row([f"**{_plain(model)}**", *(_mean(self.cells[model][m], m) for m in self.metrics)]))
        for base in filter(None, (self.base, self.others_base)):
            lines += ["", f"Difference to {_plain(base)}:", "", _row(["", *titles])]
            lines.append(_row(["---"] + ["---:"] * len(titles)))
            for model in self.models:
                if model != base:
                    row = (_difference(self.cells[model][m], m, base) for m in self.metrics)
                    lines.append(_row([_plain(model), *row]))
        below = [
            f"- {_plain(model)} is below {_plain(d.to)} on {BY_NAME[metric].title} ({d.mean:+.3f}, p = {d.p:.2g})"
            for model in self.models
            for metric in self.metrics
            if (cell := self.cells[model][metric])
            for d in cell.below
        ]
        if below:
            lines += ["", "Below a trivial baseline:", "", *below]
        total = sum(self.cases.values())
        lines += [
            "",
            f"{total} cases of {self.patients} patients. Brackets: 95% bootstrap interval over patients "
            f"({self.samples} resamples). p: two-sided, signs flipped by patient, not corrected for the number of "
            "comparisons.",
        ]
        return "\n".join(lines) + "\n"


def compare(
    examples: Sequence[Example],
    models: Mapping[str, ModelScores],
    base: str,
    others_base: str | None = None,
    *,
    baselines: Collection[str] = (trivial.NAME,),
    samples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compares models on the same Examples.

    ``base`` is the model all others are compared with, ``others_base`` a second one. ``baselines`` are the names
    in ``models`` that are trivial; they stand first, and a model whose mean is below one of them is flagged. The same
    seed gives the same resamples for every model and metric.

    Raises:
        UserError: a base is not among the models.
        ValueError: a model was scored on another number of Examples.
    """
    for name in filter(None, (base, others_base)):
        if name not in models:
            raise UserError(f"no model '{name}'{nearest(name, models)} to compare with; there are: {', '.join(models)}")
    for name, scores in models.items():
        for metric, values in scores.values.items():
            if len(values) != len(examples):
                raise ValueError(f"{name}, {metric}: {len(values)} values for {len(examples)} examples")
    units = patients(examples)
    bases = [name for name in dict.fromkeys((base, others_base)) if name]
    trivials = tuple(name for name in models if name in baselines)
    models = dict(sorted(models.items(), key=lambda item: item[0] not in trivials))  # else the order is kept
    metrics = tuple(m.name for m in METRICS if any(np.isfinite(s.values[m.name]).any() for s in models.values()))
    # All columns go through one call each, so a thousand cases cost seconds and share one set of resamples.
    rows = {(name, metric): scores.values[metric] for name, scores in models.items() for metric in metrics}
    pairs = {
        (name, to, metric): rows[name, metric] - rows[to, metric]
        for name in models
        for to in dict.fromkeys((*bases, *trivials))
        for metric in metrics
        if to != name
    }
    means = _by_column(rows, lambda values: bootstrap_mean(values, units, samples, seed), units)
    differences = _by_column(pairs, lambda d: paired_difference(d, np.zeros_like(d), units, samples, seed), units)

    def differences_to(others: Sequence[str], name: str, metric: str) -> tuple[Difference, ...]:
        found = ((other, differences.get((name, other, metric))) for other in others)
        return tuple(Difference(other, int(values[0]), *values[2:]) for other, values in found if values)

    cells: dict[str, dict[str, Cell | None]] = {name: {} for name in models}
    for (name, metric), row in rows.items():
        known = row[~np.isnan(row)]
        if not known.size:
            cells[name][metric] = None
            continue
        values = means.get((name, metric), (known.size, 1, float(known.mean()), None, None))
        column = BY_NAME[metric]
        below = differences_to(trivials, name, metric) if column.headline and not column.trivial else ()
        cells[name][metric] = Cell(
            *(int(count) for count in values[:2]),
            *values[2:],
            differences=differences_to(bases, name, metric),
            below=tuple(d for d in below if d.mean < 0),
        )
    return Comparison(
        base=base,
        others_base=others_base,
        models=tuple(models),
        baselines=trivials,
        metrics=metrics,
        cells=cells,
        findings={name: scores.findings for name, scores in models.items()},
        cases={task: count for task in TASKS if (count := sum(e.task == task for e in examples))},
        patients=len(set(units)),
        samples=samples,
        seed=seed,
    )


def _by_column(
    columns: Mapping[Key, np.ndarray], statistic: Callable[[np.ndarray], tuple[np.ndarray, ...]], units: Sequence[str]
) -> dict[Key, tuple[float, ...]]:
    """Returns (cases, patients, *statistic) of each column that has values of two patients or more."""
    known = {key: ~np.isnan(column) for key, column in columns.items()}
    there = {key: len({units[i] for i in np.flatnonzero(rows)}) for key, rows in known.items()}
    used = [key for key in columns if there[key] > 1]
    if not used:
        return {}
    found = statistic(np.column_stack([columns[key] for key in used]))
    return {
        key: (int(known[key].sum()), there[key], *map(float, values)) for key, *values in zip(used, *found, strict=True)
    }


def _cell(cell: Cell) -> dict[str, Any]:
    differences = [{**d._asdict(), "significant": d.significant} for d in cell.differences]
    return {**cell._asdict(), "differences": differences, "below": [d._asdict() for d in cell.below]}


def digits(metric: str) -> int:
    """Returns how many decimals a value of the metric is worth: one for words, three for shares."""
    return 1 if metric == "length" else 3


def _mean(cell: Cell | None, metric: str) -> str:
    d = digits(metric)
    if not cell:
        return "n/a"
    interval = "–" if cell.low is None else f"{cell.low:.{d}f}, {cell.high:.{d}f}"
    return f"{cell.mean:.{d}f} [{interval}]"


def _difference(cell: Cell | None, metric: str, base: str) -> str:
    found = next((x for x in cell.differences if x.to == base), None) if cell else None
    if not found:
        return "–" if cell else "n/a"
    d = digits(metric)
    return f"{found.mean:+.{d}f} [{found.low:+.{d}f}, {found.high:+.{d}f}], p = {found.p:.2g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(name: str) -> str:
    """Returns a model's name so that it cannot break a table row."""
    return " ".join(name.replace("|", "\\|").split())

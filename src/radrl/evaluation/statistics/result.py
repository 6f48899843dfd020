"""What a comparison of models holds, and as JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from radrl.evaluation.metrics.records import FindingCounts, Metric
from radrl.evaluation.statistics.intervals import CONFIDENCE
from radrl.support.files import write_json

SIGNIFICANT = 0.05


class Difference(NamedTuple):
    """The paired difference to another model on the cases both have a value for.

    ``p`` is two-sided; ``p_holm`` the same corrected for all comparisons of its family: the headline metrics of all
    models with this one, or all their other metrics. ``way`` is better, worse, or unclear where p_holm is not below
    0.05. ``test``: a permutation over patients, or t over seeds and patients.
    """

    to: str
    n: int
    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    way: str
    test: str

    @property
    def significant(self) -> bool:
        """Returns whether p is below 0.05 after correction for the number of comparisons."""
        return self.p_holm < SIGNIFICANT


class Cell(NamedTuple):
    """One model on one metric: cases and patients with a say, the value of the set, its interval.

    ``differences`` are to the base models other than itself; ``below`` holds the difference to each baseline that is
    better. With values of one patient only there is nothing to resample: ``low`` and ``high`` are None and there are no
    differences. ``seeds`` is the number of training runs, ``seed_sd`` the standard deviation between them,
    ``sample_sd`` that between samples; None for fewer than two.
    """

    n: int
    patients: int
    mean: float
    low: float | None
    high: float | None
    differences: tuple[Difference, ...] = ()
    below: tuple[Difference, ...] = ()
    seeds: int = 1
    seed_sd: float | None = None
    sample_sd: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``. ``cells[model][metric]`` is None where the metric applies to no case; ``findings``,
    ``labels`` and ``classes`` (of CaseScores) count over all seeds and samples, of which a case has ``answers[model]``;
    ``types`` are cells within types of questions; ``notes`` are lines a reader must see first; ``units`` says what
    counts as a patient."""

    base: str
    others_base: str | None
    models: tuple[str, ...]
    baselines: tuple[str, ...]
    metrics: tuple[Metric, ...]
    cells: dict[str, dict[str, Cell | None]]
    findings: dict[str, dict[str, FindingCounts]]
    labels: dict[str, dict[str, FindingCounts]]
    classes: dict[str, dict[str, FindingCounts]]
    empty: dict[str, dict[str, int]]
    types: dict[str, dict[str, dict[str, Cell | None]]]
    cases: dict[str, int]
    patients: int
    samples: int
    seed: int
    answers: dict[str, int]
    notes: tuple[str, ...] = ()
    units: str = "patients"

    @property
    def headline(self) -> tuple[Metric, ...]:
        """Returns the metrics of the first table, and the length, which must be seen beside them."""
        return tuple(metric for metric in self.metrics if metric.headline or metric.name == "length")

    def to_dict(self) -> dict[str, Any]:
        """Returns the comparison as JSON types; ``null`` only where a metric does not apply or has no interval."""
        found = asdict(self)
        found["confidence"] = CONFIDENCE
        found["metrics"] = {metric.name: _declared(metric) for metric in self.metrics}
        found["cells"] = _rows(self.cells)
        found["types"] = {kind: _rows(rows) for kind, rows in self.types.items()}
        for key in ("findings", "labels", "classes"):
            found[key] = {
                model: {
                    name: {**counts._asdict(), "precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
                    for name, counts in row.items()
                }
                for model, row in getattr(self, key).items()
            }
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``to_dict`` as JSON."""
        write_json(path, self.to_dict())


def _declared(metric: Metric) -> dict[str, Any]:
    ends = {key: value if math.isfinite(value) else None for key, value in (("low", metric.low), ("high", metric.high))}
    return {**metric._asdict(), "tasks": list(metric.tasks), **ends}


def _rows(cells: Mapping[str, Mapping[str, Cell | None]]) -> dict[str, Any]:
    return {
        model: {metric: _plain(cell) if cell else None for metric, cell in row.items()} for model, row in cells.items()
    }


def _plain(cell: Cell) -> dict[str, Any]:
    found = {**cell._asdict(), "differences": [{**d._asdict(), "significant": d.significant} for d in cell.differences]}
    found["below"] = [d._asdict() for d in cell.below]
    return {key: value for key, value in found.items() if value is not None or key in ("low", "high")}

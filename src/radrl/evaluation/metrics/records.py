"""The records of the metrics: what a metric is, one model's values of it case by case, counts of findings.

A metric has a value of a whole set, as a function of weights of its cases (`set_statistics`), and mostly one of each
case too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from radrl.evaluation.metrics.set_statistics import Array, Statistic, mean
from radrl.example import TASKS, Task

Confidence = Sequence[float | Sequence[float] | None]  # of each case, or of each of its answer boxes; None: not known


class Metric(NamedTuple):
    """What a metric is. ``low`` and ``high`` are the ends of its range, ``better`` which way is good, ``needs`` what
    must be there for it (empty: an answer to each case). A headline metric stands in the first table and in the family
    of comparisons that p-values are corrected for."""

    name: str
    title: str
    tasks: tuple[Task, ...]
    low: float = 0.0
    high: float = 1.0
    better: Literal["higher", "lower", "neither"] = "higher"
    headline: bool = False
    needs: str = ""
    about: str = ""
    trivial: bool = False  # a baseline has the best value by its making, so being below it means nothing
    order: int = 0  # within its task: columns of a protocol have negative ones, and so stand first

    @property
    def short(self) -> str:
        """Returns the title without its task."""
        return self.title.split(": ", 1)[1]

    def gain(self, difference: float) -> float:
        """Returns a difference with the sign that makes better positive; 0 where neither way is."""
        return {"higher": difference, "lower": -difference, "neither": 0.0}[self.better]


@dataclass(frozen=True)
class Column:
    """One metric of one model. ``values`` (samples, cases) are NaN where it does not apply, None where a case has no
    value of its own; ``own`` are the statistics whose mean the metric is, where it is not the mean of its values."""

    metric: Metric
    values: Array | None = None
    own: tuple[Statistic, ...] = ()

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """Returns the statistics of the set whose mean is the metric's value: one for each sample or label."""
        return self.own or (mean(self.case_values),)

    @property
    def by_case(self) -> Array | None:
        """Returns the value of each case, (cases,): its mean over samples."""
        if self.values is None:
            return None
        known = (~np.isnan(self.values)).sum(axis=0)
        total = np.nansum(self.values, axis=0)
        return np.divide(total, known, out=np.full(len(total), np.nan), where=known > 0)

    @property
    def case_values(self) -> Array:
        """Returns `by_case`, (cases,), of a metric that has one. Raises ValueError where a case has no value."""
        if (values := self.by_case) is None:
            raise ValueError(f"{self.metric.name}: a case has no value of its own")
        return values


class FindingCounts(NamedTuple):
    """How often a finding was said by both, by the answer only (false) and by the reference only (missed)."""

    match: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Returns match / all said; None where the model never said it."""
        return self.match / (self.match + self.false) if self.match + self.false else None

    @property
    def recall(self) -> float | None:
        """Returns match / all there; None where no reference has it."""
        return self.match / (self.match + self.missed) if self.match + self.missed else None

    @property
    def f1(self) -> float | None:
        """Returns 2 match / (2 match + false + missed); None where neither ever said it."""
        total = 2 * self.match + self.false + self.missed
        return 2 * self.match / total if total else None


@dataclass(frozen=True)
class CaseScores:
    """All that one model scored. ``columns`` by metric, only those that apply to a case; ``findings`` and ``labels``
    (CheXpert-14) the counts over all reports and samples, ``classes`` those of the labels of classification questions;
    ``empty`` the grounding cases by what is there and what is answered (`grounding.count_empty`)."""

    cases: int
    samples: int
    columns: dict[str, Column]
    findings: dict[str, FindingCounts] = field(default_factory=dict)
    labels: dict[str, FindingCounts] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    classes: dict[str, FindingCounts] = field(default_factory=dict)


def metrics_of(scores: Iterable[CaseScores]) -> tuple[Metric, ...]:
    """Returns the metrics that any of the scores has, in the order of the tasks."""
    metrics = {name: column.metric for one in scores for name, column in one.columns.items()}
    return tuple(sorted(metrics.values(), key=metric_place))


def metric_place(metric: Metric) -> tuple[int, int]:
    """Returns the place of a metric in a table: its task, those of several tasks last, then its own order."""
    first, *others = metric.tasks
    return len(TASKS) if others else TASKS.index(first), metric.order

"""The metrics of an evaluation: what each is, and one model's values of all of them, case by case.

A metric has a value of a whole set, as a function of weights of its cases (`set_statistics`), and mostly one of each
case too. The families are in files of their own: `report_labels`, `grounding`, `question_metrics`, `classification`,
`best_of_n`; every scorer of the registry is a metric besides.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

import radrl.scoring  # noqa: F401  registers the scorers
from radrl.evaluation.metrics.selection import Asked
from radrl.evaluation.metrics.set_statistics import Array, Pooled, Statistic, mean
from radrl.example import TASKS, Answer, Example, Task
from radrl.scoring import registry
from radrl.scoring.registry import Scorer
from radrl.scoring.report import compared

CHUNK = 2000  # cases whose Scores are held at once
MOST_COLUMNS = 1000  # of a protocol
BY_CASE = "mean over cases; where none is there, 1 if the answer says so"

TASK_TITLES: dict[Task, str] = {
    "report": "Report",
    "grounding": "Grounding",
    "vqa_closed": "Closed VQA",
    "vqa_open": "Open VQA",
    "classification": "Classification",
}


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
        return self.own or (mean(self.by_case),)

    @property
    def by_case(self) -> Array | None:
        """Returns the value of each case, (cases,): its mean over samples."""
        if self.values is None:
            return None
        known = (~np.isnan(self.values)).sum(axis=0)
        total = np.nansum(self.values, axis=0)
        return np.divide(total, known, out=np.full(len(total), np.nan), where=known > 0)


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
    ``empty`` grounding cases by (reference boxes, boxes
    given): "none, none" and so on."""

    cases: int
    samples: int
    columns: dict[str, Column]
    findings: dict[str, FindingCounts] = field(default_factory=dict)
    labels: dict[str, FindingCounts] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    classes: dict[str, FindingCounts] = field(default_factory=dict)


class Wanted(NamedTuple):
    """A scorer as a metric of some tasks."""

    metric: Metric
    scorer: Scorer


def _base(name: str, title: str, scorer: str, tasks: tuple[Task, ...], **more: Any) -> Wanted:
    wanted = of_scorer(registry.get(scorer), tasks)
    return wanted._replace(metric=wanted.metric._replace(name=name, title=title, **more))


def of_scorer(scorer: Scorer, tasks: tuple[Task, ...], title: str = "") -> Wanted:
    """Returns a scorer of the registry as a metric, under a title of its own or the one given; the tasks and its
    options are in the name where they must be."""
    told = {k: v for k, v in scorer.options.items() if isinstance(v, int | float | str) and k != "device"}
    options = f"({', '.join(f'{key}={value}' for key, value in told.items())})" if told else ""
    said = f"{scorer.name}{options}"
    alone = scorer.tasks == tasks or tasks == ("report",)
    titled = title or f"{scorer.title or scorer.name.replace('_', ' ')}{options}"
    sentence = re.split(r"\.(?:\s|$)", inspect.getdoc(scorer.function) or "", maxsplit=1)[0]
    metric = Metric(
        name=said if alone else f"{tasks[0]} {said}",
        title=f"{TASK_TITLES[tasks[0]]}: {titled}",
        tasks=tasks,
        low=scorer.low,
        high=scorer.high,
        better="higher" if scorer.higher_is_better else "lower",
        about=f"scorer {said}{f' (sha256 {scorer.own.digest})' if scorer.own else ''}: {' '.join(sentence.split())}",
    )
    return Wanted(metric, scorer)


BASE: tuple[Wanted, ...] = (
    _base("finding_f1", "Report: finding F1", "finding_f1", ("report",), headline=True),
    _base("clinical_error", "Report: clinical error", "clinical_error", ("report",)),
    # A model that shortens or pads its reports must show up in every table (METHODS.md), but length is no merit.
    _base("length", "Report: words", "length", ("report",), better="neither"),
    _base("soft_f1", "Grounding: soft F1", "soft_f1", ("grounding",), headline=True),
    _base("soft_f1_labels", "Grounding: soft F1, labels agreeing", "soft_f1_labels", ("grounding",), headline=True),
    _base("mean_iou", "Grounding: mean IoU", "mean_iou", ("grounding",), headline=True),
    _base("map50_radvlm", "Grounding: mAP50 (RadVLM)", "map50_radvlm", ("grounding",), headline=True),
    _base("vqa_closed accuracy", "Closed VQA: accuracy", "vqa_accuracy", ("vqa_closed",), headline=True),
    _base("vqa_open accuracy", "Open VQA: accuracy", "vqa_accuracy", ("vqa_open",), headline=True),
    _base("token_f1", "Open VQA: token F1", "token_f1", ("vqa_open",)),
    _base("label_f1", "Classification: label F1", "label_f1", ("classification",), headline=True, about=BY_CASE),
    _base("label_precision", "Classification: label precision", "label_precision", ("classification",), about=BY_CASE),
    _base("label_recall", "Classification: label recall", "label_recall", ("classification",), about=BY_CASE),
    _base(
        "label_accuracy",
        "Classification: accuracy",
        "label_accuracy",
        ("classification",),
        about="exactly the labels that are there are named",
    ),
    _base("format", "All tasks: format kept", "format", TASKS, headline=True, trivial=True),
)
MAIN: dict[Task, str] = {  # the one metric of each task that ranks its cases
    "report": "finding_f1",
    "grounding": "soft_f1",
    "vqa_closed": "vqa_closed accuracy",
    "vqa_open": "vqa_open accuracy",
    "classification": "label_f1",
}


def score_cases(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    scorers: Sequence[Asked | tuple[Task, Scorer]] = (),
    confidence: Sequence[float | Sequence[float] | None] | None = None,
) -> CaseScores:
    """Scores one model's Answers with every metric that applies.

    Args:
        examples: the cases.
        answers: for each sample the Answers, in the order of the Examples.
        scorers: more scorers to report, each with the task it is a metric of (`asked` of a recipe).
        confidence: of each case, where it is known: of a yes-or-no question how sure the model is of yes, for AUROC; of
            a grounding question that of each answer box, for mAP. On any scale; for a single sample only.

    Raises:
        ValueError: there is no sample, one has not as many Answers as there are Examples, or confidence does not fit.
        UserError: a scorer lacks a package or weights.
    """
    from radrl.evaluation.metrics import best_of_n, classification, grounding, question_metrics, report_labels

    if not answers:
        raise ValueError("no sample of answers")
    for given in answers:
        if len(given) != len(examples):
            raise ValueError(f"{len(given)} answers for {len(examples)} examples")
    if confidence is not None and (len(answers) > 1 or len(confidence) != len(examples)):
        raise ValueError("confidence is for one sample, with an entry for each Example")
    more = [Asked(*one) for one in scorers]
    several = any(len({box.label for box in example.boxes}) > 1 for example in examples)
    wanted = [one for one in _wanted(more) if several or one.scorer.name != "soft_f1_labels"]  # else it is soft_f1
    columns = [column for one in wanted if (column := _score(one, examples, answers))]
    columns += report_labels.columns(examples, answers)
    columns += grounding.columns(examples, answers, confidence)
    columns += question_metrics.columns(examples, answers, confidence)
    columns += classification.columns(examples, answers)
    if len(answers) > 1:
        columns += best_of_n.columns(columns, MAIN.values())
    columns = sorted(_by_protocol(columns, more), key=lambda column: _place(column.metric))
    reports = [i for i, example in enumerate(examples) if example.task == "report"]
    return CaseScores(
        len(examples),
        len(answers),
        {column.metric.name: column for column in columns},
        count_findings((examples[i].reference, given[i].text) for given in answers for i in reports),
        report_labels.counts(examples, answers),
        grounding.count_empty(examples, answers),
        classification.counts(examples, answers),
    )


def _wanted(asked: Sequence[Asked]) -> list[Wanted]:
    """Returns the usual metrics and those asked for, each once. A usual one that is asked for keeps its name, and has
    the title and place asked for."""
    found = list(BASE)
    for one in asked:
        metric = of_scorer(one.scorer, (one.task,), one.title).metric
        same = next((k for k, wanted in enumerate(found) if _is_same(wanted, one)), None)
        if same is not None:
            known = found[same].metric
            metric = known._replace(title=metric.title) if one.title else known
        if one.place is not None:
            metric = metric._replace(headline=one.headline, order=one.place - MOST_COLUMNS)
        elif one.headline:
            metric = metric._replace(headline=True)
        if same is None:
            found.append(Wanted(metric, one.scorer))
        else:
            found[same] = Wanted(metric, found[same].scorer)
    return found


def _is_same(wanted: Wanted, asked: Asked) -> bool:
    one, other = wanted.scorer, asked.scorer
    if (one.name, dict(one.options)) != (other.name, dict(other.options)):
        return False
    # a column of a protocol is of its task alone
    return asked.task in wanted.metric.tasks if asked.place is None else wanted.metric.tasks == (asked.task,)


def _by_protocol(columns: Sequence[Column], asked: Sequence[Asked]) -> list[Column]:
    """Returns the columns with those of the protocol alone as headlines of the tasks that it has columns for."""
    covered = {one.task for one in asked if one.place is not None}
    return [
        replace(column, metric=column.metric._replace(headline=False))
        if covered & set(column.metric.tasks) and column.metric.order == 0
        else column
        for column in columns
    ]


def _score(wanted: Wanted, examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> Column | None:
    """Returns the column of a scorer; None where it applies to no case. Only numbers are kept of a Score."""
    metric, scorer = wanted
    rows = [i for i, example in enumerate(examples) if example.task in metric.tasks]
    if not rows:
        return None
    asked = [examples[i] for i in rows]
    scorer = scorer.fitted(asked)
    values = np.full((len(answers), len(examples)), np.nan)
    own = []
    for k, given in enumerate(answers):
        table: list[Array] = []
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            these, mine = asked[start : start + CHUNK], [given[i] for i in part]
            scores = scorer(these, mine)
            values[k, part] = [math.nan if one is None else one.value for one in scores]
            if scorer.pooled:
                table.append(scorer.sums(these, mine, scores))
        if scorer.pooled:
            wide = np.zeros((len(examples), table[0].shape[1]))
            wide[rows] = np.vstack(table)
            own.append(Pooled(wide, scorer.pooled.value))
    if np.isnan(values).all():
        return None
    return Column(metric, values, tuple(own))


def count_findings(reports: Iterable[tuple[str, str]]) -> dict[str, FindingCounts]:
    """Counts each finding over pairs of (reference, answer), by the rules of ``clinical.compare``.

    A finding said of the wrong side is both false and missed; one said of both sides where one is meant, or the
    other way round, counts as a match here (one half in finding_f1).
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for reference, answer in reports:
        found = compared(reference, answer)
        for kind, findings in enumerate(([wanted for wanted, _ in found.matched], found.false, found.missed)):
            for finding in findings:
                counts[finding.name][kind] += 1
    return {name: FindingCounts(*kinds) for name, kinds in sorted(counts.items())}


def metrics_of(scores: Iterable[CaseScores]) -> tuple[Metric, ...]:
    """Returns the metrics that any of the scores has, in the order of the tasks."""
    found = {name: column.metric for one in scores for name, column in one.columns.items()}
    return tuple(sorted(found.values(), key=_place))


def _place(metric: Metric) -> tuple[int, int]:
    return len(TASKS) if len(metric.tasks) > 1 else TASKS.index(metric.tasks[0]), metric.order

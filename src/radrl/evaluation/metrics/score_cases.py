"""All metrics of one model's answers, case by case: those of scorers, and the families of `FAMILIES`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from radrl.evaluation.metrics.best_of_n import best_of_columns
from radrl.evaluation.metrics.chexpert_f1 import chexpert_columns, count_labels
from radrl.evaluation.metrics.classification import class_columns, count_classes
from radrl.evaluation.metrics.finding_counts import count_findings
from radrl.evaluation.metrics.grounding import box_columns, count_empty
from radrl.evaluation.metrics.question_metrics import question_columns
from radrl.evaluation.metrics.records import CaseScores, Column, Confidence, metric_place
from radrl.evaluation.metrics.select_scorers import SelectedScorer
from radrl.evaluation.metrics.set_statistics import Array, SumStatistic
from radrl.evaluation.metrics.usual_metrics import MAIN_METRICS, USUAL_METRICS, ScorerMetric, scorer_metric
from radrl.example import Answer, Example, Task
from radrl.scoring.registry import Scorer

CHUNK = 2000  # cases whose Scores are held at once
MOST_COLUMNS = 1000  # of a protocol
# Metrics that no scorer gives: each function takes Examples, Answers by sample and Confidence, and returns Columns.
FAMILIES = (chexpert_columns, box_columns, question_columns, class_columns)


def score_cases(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    scorers: Sequence[SelectedScorer | tuple[Task, Scorer]] = (),
    confidence: Confidence | None = None,
) -> CaseScores:
    """Scores one model's Answers with every metric that applies.

    Args:
        examples: the cases.
        answers: for each sample the Answers, in the order of the Examples.
        scorers: more scorers to report, each with the task it is a metric of (`select_scorers` of a recipe).
        confidence: of each case, where it is known: of a yes-or-no question how sure the model is of yes, for AUROC; of
            a grounding question that of each answer box, for mAP. On any scale; for a single sample only.

    Raises:
        ValueError: there is no sample, one has not as many Answers as there are Examples, or confidence does not fit.
        UserError: a scorer lacks a package or weights.
    """
    if not answers:
        raise ValueError("no sample of answers")
    for given in answers:
        if len(given) != len(examples):
            raise ValueError(f"{len(given)} answers for {len(examples)} examples")
    if confidence is not None and (len(answers) > 1 or len(confidence) != len(examples)):
        raise ValueError("confidence is for one sample, with an entry for each Example")
    selected = [one if isinstance(one, SelectedScorer) else SelectedScorer(*one) for one in scorers]
    several = any(len({box.label for box in example.boxes}) > 1 for example in examples)
    with_scorer = [one for one in _with_usual(selected) if several or one.scorer.name != "soft_f1_labels"]  # = soft_f1
    columns = [column for one in with_scorer if (column := _score(one, examples, answers))]
    for family in FAMILIES:
        columns += family(examples, answers, confidence)
    if len(answers) > 1:
        columns += best_of_columns(columns, MAIN_METRICS.values())
    columns = sorted(_by_protocol(columns, selected), key=lambda column: metric_place(column.metric))
    return CaseScores(
        len(examples),
        len(answers),
        {column.metric.name: column for column in columns},
        count_findings(examples, answers),
        count_labels(examples, answers),
        count_empty(examples, answers),
        count_classes(examples, answers),
    )


def _with_usual(selected: Sequence[SelectedScorer]) -> list[ScorerMetric]:
    """Returns the usual metrics and the selected ones, each once. A usual one that is selected keeps its name, and has
    the title and place of the selection."""
    metrics = list(USUAL_METRICS)
    for one in selected:
        metric = scorer_metric(one.scorer, (one.task,), one.title).metric
        same = next((k for k, usual in enumerate(metrics) if _is_same(usual, one)), None)
        if same is not None:
            known = metrics[same].metric
            metric = known._replace(title=metric.title) if one.title else known
        if one.place is not None:
            metric = metric._replace(headline=one.headline, order=one.place - MOST_COLUMNS)
        elif one.headline:
            metric = metric._replace(headline=True)
        if same is None:
            metrics.append(ScorerMetric(metric, one.scorer))
        else:
            metrics[same] = ScorerMetric(metric, metrics[same].scorer)
    return metrics


def _is_same(metric: ScorerMetric, selected: SelectedScorer) -> bool:
    one, other = metric.scorer, selected.scorer
    if (one.name, dict(one.options)) != (other.name, dict(other.options)):
        return False
    # a column of a protocol is of its task alone
    tasks = metric.metric.tasks
    return selected.task in tasks if selected.place is None else tasks == (selected.task,)


def _by_protocol(columns: Sequence[Column], selected: Sequence[SelectedScorer]) -> list[Column]:
    """Returns the columns with those of the protocol alone as headlines of the tasks that it has columns for."""
    covered = {one.task for one in selected if one.place is not None}
    return [
        replace(column, metric=column.metric._replace(headline=False))
        if covered & set(column.metric.tasks) and column.metric.order == 0
        else column
        for column in columns
    ]


def _score(wanted: ScorerMetric, examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> Column | None:
    """Returns the column of a scorer; None where it applies to no case. Only numbers are kept of a Score."""
    metric, scorer = wanted
    rows = [i for i, example in enumerate(examples) if example.task in metric.tasks]
    if not rows:
        return None
    mine = [examples[i] for i in rows]
    scorer = scorer.fitted(mine)
    values = np.full((len(answers), len(examples)), np.nan)
    own = []
    for k, given in enumerate(answers):
        table: list[Array] = []
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            these, their_answers = mine[start : start + CHUNK], [given[i] for i in part]
            scores = scorer(these, their_answers)
            values[k, part] = [math.nan if one is None else one.value for one in scores]
            if scorer.pooled:
                table.append(scorer.sums(these, their_answers, scores))
        if scorer.pooled:
            wide = np.zeros((len(examples), table[0].shape[1]))
            wide[rows] = np.vstack(table)
            own.append(SumStatistic(wide, scorer.pooled.value))
    if np.isnan(values).all():
        return None
    return Column(metric, values, tuple(own))

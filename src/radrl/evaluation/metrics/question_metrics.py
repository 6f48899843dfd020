"""Metrics of questions over a set: token recall of open ones, and yes-or-no questions as a classification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radrl.evaluation.metrics.records import Column, Confidence, Metric
from radrl.evaluation.metrics.set_statistics import Array, Auroc, SumStatistic
from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.vqa import YES_NO, is_yes_no_question, normalise, picked

YES = YES_NO[0]


def question_columns(
    examples: Sequence[Example], answers: Sequence[Sequence[Answer]], confidence: Confidence | None = None
) -> list[Column]:
    """Returns token recall of open questions, and F1 and AUROC of yes-or-no ones, where there are such.

    AUROC takes ``confidence`` that the answer is yes, and where there is none the share of a case's samples that say
    yes. It is the mean over question types (``meta['type']``) that have both answers.
    """
    columns = [_token_recall(examples, answers)] if any(example.task == "vqa_open" for example in examples) else []
    rows = [i for i, example in enumerate(examples) if is_yes_no_question(example)]
    if not rows:
        return columns
    # which answers say yes, (samples, yes-or-no questions)
    said_yes = np.array([[normalise(picked(examples[i], given[i]) or "") == YES for i in rows] for given in answers])
    if any(normalise(examples[i].reference) == YES for i in rows):
        columns.append(_f1_of_yes(examples, rows, said_yes))
    scores, source = np.full(len(examples), np.nan), f"the share of {len(answers)} samples"
    if confidence is not None and any(confidence[i] is not None for i in rows):
        scores[rows] = [np.nan if confidence[i] is None else confidence[i] for i in rows]
        source = "the confidence given"
    elif len(answers) > 1:
        scores[rows] = said_yes.mean(axis=0)
    if statistics := _auroc(examples, scores):
        metric = Metric(
            "yes_auroc", "Closed VQA: AUROC of yes", ("vqa_closed",), needs="a confidence, or several samples",
            about=f"mean over question types; the score is {source}",
        )  # fmt: skip
        columns.append(Column(metric, None, statistics))
    return columns


def _token_recall(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> Column:
    values = np.full((len(answers), len(examples)), np.nan)
    rows = [i for i, example in enumerate(examples) if example.task == "vqa_open"]
    for k, given in enumerate(answers):
        scores = registry.get("token_f1")([examples[i] for i in rows], [given[i] for i in rows])
        # a blank answer has no parts
        values[k, rows] = [np.nan if score is None else score.parts.get("recall", 0.0) for score in scores]
    metric = Metric("token_recall", "Open VQA: token recall", ("vqa_open",), about="words of the reference said")
    return Column(metric, values)


def _f1_of_yes(examples: Sequence[Example], rows: Sequence[int], said_yes: NDArray[np.bool_]) -> Column:
    is_yes = np.array([normalise(examples[i].reference) == YES for i in rows])
    statistics = []
    for said in said_yes:
        table = np.zeros((len(examples), 3))
        table[rows] = np.column_stack([is_yes & said, said & ~is_yes, is_yes & ~said])
        statistics.append(SumStatistic(table, _f1))
    about = "yes-or-no questions; what is not yes counts as no"
    return Column(Metric("yes_f1", "Closed VQA: F1 of yes", ("vqa_closed",), about=about), None, tuple(statistics))


def _auroc(examples: Sequence[Example], scores: Array) -> tuple[Auroc, ...]:
    """Returns AUROC of each question type that has both answers among the cases with a score."""
    positive = np.array([normalise(example.reference) == YES for example in examples])
    types = np.array([str(example.meta.get("type", "")) for example in examples])
    statistics = []
    for kind in sorted(set(types[~np.isnan(scores)].tolist())):
        own = np.where(types == kind, scores, np.nan)
        if len(set(positive[~np.isnan(own)].tolist())) == 2:
            statistics.append(Auroc(own, positive))
    return tuple(statistics)


def _f1(sums: Array) -> Array:
    both, false, missed = sums[..., 0], sums[..., 1], sums[..., 2]
    total = 2 * both + false + missed
    return np.divide(2 * both, total, out=np.full_like(both, np.nan), where=total > 0)

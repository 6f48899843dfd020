"""Metrics of questions over a set: token recall of open ones, and yes-or-no questions as a classification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radrl.evaluation.metrics.metric import Column, Metric
from radrl.evaluation.metrics.set_statistics import Array, Auroc, Pooled
from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.vqa import YES_NO, is_yes_no_question, normalise, picked

YES = YES_NO[0]


def columns(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    confidence: Sequence[float | Sequence[float] | None] | None = None,
) -> list[Column]:
    """Returns token recall of open questions, and F1 and AUROC of yes-or-no ones, where there are such.

    AUROC takes ``confidence`` that the answer is yes, and where there is none the share of a case's samples that say
    yes. It is the mean over question types (``meta['type']``) that have both answers.
    """
    found = []
    values = np.full((len(answers), len(examples)), np.nan)
    open_rows = [i for i, example in enumerate(examples) if example.task == "vqa_open"]
    if open_rows:
        for k, given in enumerate(answers):
            scores = registry.get("token_f1")([examples[i] for i in open_rows], [given[i] for i in open_rows])
            values[k, open_rows] = [score.parts.get("recall", 0.0) for score in scores]  # a blank answer has no parts
        metric = Metric("token_recall", "Open VQA: token recall", ("vqa_open",), about="words of the reference said")
        found.append(Column(metric, values))
    rows = [i for i, e in enumerate(examples) if is_yes_no_question(e)]
    if not rows:
        return found
    wanted = np.array([normalise(examples[i].reference) == YES for i in rows])
    told = np.array([[normalise(picked(examples[i], given[i]) or "") == YES for i in rows] for given in answers])
    tables = []
    for said in told:
        table = np.zeros((len(examples), 3))
        table[rows] = np.column_stack([wanted & said, said & ~wanted, wanted & ~said])
        tables.append(Pooled(table, _f1))
    if wanted.any():
        metric = Metric(
            "yes_f1",
            "Closed VQA: F1 of yes",
            ("vqa_closed",),
            about="yes-or-no questions; what is not yes counts as no",
        )
        found.append(Column(metric, None, tuple(tables)))
    scores = np.full(len(examples), np.nan)
    known = confidence is not None and any(confidence[i] is not None for i in rows)
    if known:
        scores[rows] = [np.nan if confidence[i] is None else confidence[i] for i in rows]
    elif len(answers) > 1:
        scores[rows] = told.mean(axis=0)
    if statistics := _auroc(examples, scores):
        metric = Metric(
            "yes_auroc", "Closed VQA: AUROC of yes", ("vqa_closed",), needs="a confidence, or several samples",
            about="mean over question types; the score is "
            + ("the confidence given" if known else f"the share of {len(answers)} samples"),
        )  # fmt: skip
        found.append(Column(metric, None, statistics))
    return found


def _auroc(examples: Sequence[Example], scores: Array) -> tuple[Auroc, ...]:
    """Returns AUROC of each question type that has both answers among the cases with a score."""
    positive = np.array([normalise(example.reference) == YES for example in examples])
    types = np.array([str(example.meta.get("type", "")) for example in examples])
    found = []
    for kind in sorted(set(types[~np.isnan(scores)].tolist())):
        own = np.where(types == kind, scores, np.nan)
        if len(set(positive[~np.isnan(own)].tolist())) == 2:
            found.append(Auroc(own, positive))
    return tuple(found)


def _f1(sums: Array) -> Array:
    both, false, missed = sums[..., 0], sums[..., 1], sums[..., 2]
    total = 2 * both + false + missed
    return np.divide(2 * both, total, out=np.full_like(both, np.nan), where=total > 0)

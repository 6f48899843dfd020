"""Metrics of boxes over a set: recall and precision at an IoU, COCO's mAP, what becomes of empty cases, and how many
boxes are wrong or were cut at the edge.

Labels count in the metrics that have them in their name and in no other. Wrong boxes are boxes that overlap nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from radrl.boxes import geometry
from radrl.evaluation.metrics import average_precision
from radrl.evaluation.metrics.metric import Column, Metric
from radrl.evaluation.metrics.set_statistics import Array, Pooled, ratio
from radrl.example import Answer, Example
from radrl.scoring.grounding import meant, plain, predicted, predicted_iou

LEVELS = (0.3, 0.5, 0.7)
TASKS = ("grounding",)
UNSCORED = "boxes have no confidence, so all are equal: precision times the recall values reached"


def columns(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    confidence: Sequence[float | Sequence[float] | None] | None = None,
) -> list[Column]:
    """Returns the box metrics; empty without grounding cases. ``confidence`` has a number for each answer box of each
    grounding case, wrong ones too, or all boxes are equally sure."""
    rows = [i for i, example in enumerate(examples) if example.task == "grounding"]
    if not rows:
        return []
    asked = [examples[i] for i in rows]
    ious = [[predicted_iou(examples[i], given[i]) for i in rows] for given in answers]
    found = [_rate(kind, level, ious, rows, len(examples)) for level in LEVELS for kind in ("recall", "precision")]
    given = [[of_sample[i] for i in rows] for of_sample in answers]
    sure = [confidence[i] for i in rows] if confidence is not None else []
    if any(one is not None for one in sure):
        for one, answer in zip(sure, given[0], strict=True):
            if not isinstance(one, Sequence) or len(one) != len(answer.boxes) + len(answer.wrong):
                raise ValueError("every grounding case needs a confidence for each answer box, or none of them any")
    else:
        sure = []
    found += _average(asked, given, rows, len(examples), sure)
    found += _empty(asked, given, rows, len(examples))
    return [*found, *_read(given, rows, len(examples))]


def count_empty(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> dict[str, int]:
    """Returns how many grounding cases have no or some reference boxes, and what was answered, over all samples: some
    boxes (wrong ones too), none, that is the answer says that there is none, or what is neither."""
    found = Counter(
        f"reference {'some' if example.boxes else 'none'}, answer {_answered(answer)}"
        for given in answers
        for example, answer in zip(examples, given, strict=True)
        if example.task == "grounding"
    )
    every = [f"reference {a}, answer {b}" for a in ("none", "some") for b in ("none", "some", "unreadable")]
    return {name: found[name] for name in every} if found else {}


def _answered(answer: Answer) -> str:
    return "some" if answer.boxes or answer.wrong else "none" if answer.says_none else "unreadable"


def _rate(kind: str, level: float, ious: Sequence[Sequence[Array]], rows: Sequence[int], cases: int) -> Column:
    own, values = [], np.full((len(ious), cases), np.nan)
    for k, of_sample in enumerate(ious):
        table = np.zeros((cases, 2))
        table[rows] = [(len(geometry.assign(iou >= level)), iou.shape[kind == "recall"]) for iou in of_sample]
        own.append(Pooled(table, ratio))
        values[k] = np.divide(table[:, 0], table[:, 1], out=values[k], where=table[:, 1] > 0)
    what = "reference boxes found" if kind == "recall" else "answer boxes that are right"
    metric = Metric(
        f"{kind}_{round(100 * level)}", f"Grounding: {kind} at IoU {level}", TASKS, about=f"share of all {what}, pooled"
    )
    return Column(metric, values, tuple(own))


def _average(
    asked: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    rows: Sequence[int],
    cases: int,
    sure: Sequence[Sequence[float]],
) -> list[Column]:
    """Returns mAP of all boxes as one category and as the mean over labels, over IoU 0.5-0.95 and at 0.5."""
    labels = sorted({plain(box.label) for example in asked for box in example.boxes})
    how = "" if sure else f"; {UNSCORED}"
    found = []
    for name, title, about, parts in (
        ("", "", "all boxes as one category, whatever their labels", (None,)),
        ("_by_label", ", mean of labels", "mean over the labels of the reference boxes", labels),
    ):
        if name and len(labels) < 2:
            continue
        sets = []  # of each sample and label: the IoU of the boxes of each case, and how sure they are
        for given in answers:
            for part in parts:
                ious: list[Array | None] = [None] * cases
                scores: list[Sequence[float]] = [()] * cases
                for k, (i, example, answer) in enumerate(zip(rows, asked, given, strict=True)):
                    ious[i], kept = _part(example, answer, part, labels)
                    scores[i] = [sure[k][j] for j in kept] if sure else ()
                sets.append((ious, scores))
        for level, said, thresholds in (
            ("", "IoU 0.5 to 0.95", average_precision.THRESHOLDS),
            ("50", "IoU 0.5", (0.5,)),
        ):
            own = [
                average_precision.scored(ious, scores, thresholds)
                if sure
                else average_precision.unscored(ious, thresholds)
                for ious, scores in sets
            ]
            metric = Metric(
                f"map{level}_coco{name}", f"Grounding: mAP{level} (COCO){title}", TASKS,
                headline=not name and not level, about=f"{said}, {about}{how}",
            )  # fmt: skip
            found.append(Column(metric, None, tuple(own)))
    return found


def _part(example: Example, answer: Answer, label: str | None, labels: Sequence[str]) -> tuple[Array, list[int]]:
    """Returns the IoU of the boxes of one label, (answer, reference), and which answer boxes these are; None: of all.

    In a case of one label every answer box is meant for it; else a box is of the label it names, among those of its
    case, or of the whole set where the case has no box.
    """
    if label is None:
        ious = predicted_iou(example, answer)
        return ious, list(range(len(ious)))
    corners, named = predicted(answer)
    here = {plain(box.label) for box in example.boxes}
    wanted = [box for box in example.boxes if plain(box.label) == label]
    if len(here) == 1:
        kept = list(range(len(corners))) if label in here else []
    else:
        kept = [j for j, name in enumerate(named) if meant(plain(name), here or set(labels)) == label]
    if not kept or not wanted:  # most labels in most cases
        return np.zeros((len(kept), len(wanted))), kept
    return geometry.iou(corners[kept], geometry.array(wanted)), kept


def _read(answers: Sequence[Sequence[Answer]], rows: Sequence[int], cases: int) -> list[Column]:
    """Returns which share of the answer boxes is wrong and which was cut at the edge, pooled, and which share of the
    answers can be read neither as boxes nor as none."""

    def pooled(metric: Metric, counts: Sequence[Sequence[int]]) -> Column:
        values, own = np.full((len(answers), cases), np.nan), []
        for k, (given, found) in enumerate(zip(answers, counts, strict=True)):
            table = np.zeros((cases, 2))
            table[rows] = [(n, len(a.boxes) + len(a.wrong)) for n, a in zip(found, given, strict=True)]
            own.append(Pooled(table, ratio))
            values[k] = np.divide(table[:, 0], table[:, 1], out=values[k], where=table[:, 1] > 0)
        return Column(metric, values, tuple(own))

    wrong = Metric(
        "box_wrong", "Grounding: wrong boxes", TASKS, better="lower", trivial=True,
        about="outside the image by more than a hundredth, without area, or not of four numbers; share of answer boxes",
    )  # fmt: skip
    clamped = Metric(
        "box_clamped", "Grounding: boxes cut at the edge", TASKS, better="neither",
        about="outside the image by up to a hundredth of its side; share of answer boxes",
    )  # fmt: skip
    unread = Metric(
        "unreadable", "Grounding: unreadable answers", TASKS, better="lower", trivial=True,
        about="no box, and not said that there is none; share of cases",
    )  # fmt: skip
    values = np.full((len(answers), cases), np.nan)
    values[:, rows] = [[float(_answered(a) == "unreadable") for a in given] for given in answers]
    return [
        pooled(wrong, [[len(a.wrong) for a in given] for given in answers]),
        pooled(clamped, [[a.clamped for a in given] for given in answers]),
        Column(unread, values),
    ]


def _empty(
    asked: Sequence[Example], answers: Sequence[Sequence[Answer]], rows: Sequence[int], cases: int
) -> list[Column]:
    """Returns how often nothing is answered where nothing is there, and where something is."""

    def share(name: str, title: str, there: bool, better: str, about: str) -> Column | None:
        values = np.full((len(answers), cases), np.nan)
        for k, given in enumerate(answers):
            for i, example, answer in zip(rows, asked, given, strict=True):
                if bool(example.boxes) == there:  # where nothing is, it has to be said
                    values[k, i] = float(_answered(answer) != "some" if there else answer.says_none)
        if np.isnan(values).all():
            return None
        return Column(Metric(name, f"Grounding: {title}", TASKS, better=better, about=about), values)  # type: ignore[arg-type]

    found = (
        share("empty_kept", "said none where none is", False, "higher", "share of cases without a box"),
        share("empty_missed", "no box where some are", True, "lower", "share of cases with boxes"),
    )
    return [column for column in found if column]

"""Metrics of boxes over a set: recall and precision at an IoU, COCO's mAP, what becomes of empty cases, and how many
boxes are wrong or were cut at the edge.

Labels count in the metrics that have them in their name and in no other. Wrong boxes are boxes that overlap nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from radrl.boxes import geometry
from radrl.evaluation.metrics import average_precision
from radrl.evaluation.metrics.records import Column, Confidence, Metric
from radrl.evaluation.metrics.set_statistics import Array, Statistic, SumStatistic, ratio
from radrl.example import Answer, Example, Task
from radrl.scoring.grounding import meant, plain, predicted, predicted_iou

LEVELS = (0.3, 0.5, 0.7)
TASKS: tuple[Task, ...] = ("grounding",)
UNSCORED = "boxes have no confidence, so all are equal: precision times the recall values reached"


def box_columns(
    examples: Sequence[Example], answers: Sequence[Sequence[Answer]], confidence: Confidence | None = None
) -> list[Column]:
    """Returns the box metrics; empty without grounding cases. ``confidence`` has a number for each answer box of each
    grounding case, wrong ones too, or all boxes are equally sure.

    Raises:
        ValueError: ``confidence`` does not fit the answers.
    """
    rows = [i for i, example in enumerate(examples) if example.task == "grounding"]
    if not rows:
        return []
    cases, mine = len(examples), [examples[i] for i in rows]
    given = [[of_sample[i] for i in rows] for of_sample in answers]
    ious = [[predicted_iou(example, one) for example, one in zip(mine, row, strict=True)] for row in given]
    columns = [_rate(kind, level, ious, rows, cases) for level in LEVELS for kind in ("recall", "precision")]
    of_boxes = _box_confidence(given[0], [confidence[i] for i in rows] if confidence is not None else [])
    columns += _average(mine, given, rows, cases, of_boxes)
    columns += _empty(mine, given, rows, cases)
    return [*columns, *_read(given, rows, cases)]


def _box_confidence(
    answers: Sequence[Answer], confidence: Sequence[float | Sequence[float] | None]
) -> list[Sequence[float]]:
    """Returns how sure each answer box of each grounding case is; empty where no case has a confidence."""
    if all(one is None for one in confidence):
        return []
    of_boxes = []
    for one, answer in zip(confidence, answers, strict=True):
        if not isinstance(one, Sequence) or len(one) != len(answer.boxes) + len(answer.wrong):
            raise ValueError("every grounding case needs a confidence for each answer box, or none of them any")
        of_boxes.append(one)
    return of_boxes


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
    tables = []
    for of_sample in ious:
        table = np.zeros((cases, 2))
        table[rows] = [(len(geometry.assign(iou >= level)), iou.shape[kind == "recall"]) for iou in of_sample]
        tables.append(table)
    what = "reference boxes found" if kind == "recall" else "answer boxes that are right"
    metric = Metric(
        f"{kind}_{round(100 * level)}", f"Grounding: {kind} at IoU {level}", TASKS, about=f"share of all {what}, pooled"
    )
    return _column_of_ratios(metric, tables)


def _column_of_ratios(metric: Metric, tables: Sequence[Array]) -> Column:
    """Returns the ratio of two columns, (cases, 2) for each sample, of each case and, their sums, of the set."""
    values = np.full((len(tables), len(tables[0])), np.nan)
    for k, table in enumerate(tables):
        values[k] = np.divide(table[:, 0], table[:, 1], out=values[k], where=table[:, 1] > 0)
    return Column(metric, values, tuple(SumStatistic(table, ratio) for table in tables))


def _average(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    rows: Sequence[int],
    cases: int,
    confidence: Sequence[Sequence[float]],
) -> list[Column]:
    """Returns mAP of all boxes as one category and as the mean over labels, over IoU 0.5-0.95 and at 0.5."""
    labels = sorted({plain(box.label) for example in examples for box in example.boxes})
    note = "" if confidence else f"; {UNSCORED}"

    def boxes_of(given: Sequence[Answer], label: str | None) -> tuple[list[Array | None], list[Sequence[float]]]:
        """Returns of each case the IoU of the boxes of one label (None: of all), and how sure they are."""
        ious: list[Array | None] = [None] * cases
        scores: list[Sequence[float]] = [()] * cases
        for k, (i, example, answer) in enumerate(zip(rows, examples, given, strict=True)):
            ious[i], kept = _part(example, answer, label, labels)
            scores[i] = [confidence[k][j] for j in kept] if confidence else ()
        return ious, scores

    columns = []
    for name, title, about, categories in (
        ("", "", "all boxes as one category, whatever their labels", (None,)),
        ("_by_label", ", mean of labels", "mean over the labels of the reference boxes", labels),
    ):
        if name and len(labels) < 2:
            continue
        sets = [boxes_of(given, label) for given in answers for label in categories]
        for level, said, thresholds in (
            ("", "IoU 0.5 to 0.95", average_precision.THRESHOLDS),
            ("50", "IoU 0.5", (0.5,)),
        ):
            own: list[Statistic] = [
                average_precision.ap_with_confidence(ious, scores, thresholds)
                if confidence
                else average_precision.ap_without_confidence(ious, thresholds)
                for ious, scores in sets
            ]
            metric = Metric(
                f"map{level}_coco{name}", f"Grounding: mAP{level} (COCO){title}", TASKS,
                headline=not name and not level, about=f"{said}, {about}{note}",
            )  # fmt: skip
            columns.append(Column(metric, None, tuple(own)))
    return columns


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

    def share_of_boxes(metric: Metric, counts: Sequence[Sequence[int]]) -> Column:
        tables = []
        for given, numbers in zip(answers, counts, strict=True):
            table = np.zeros((cases, 2))
            table[rows] = [(n, len(a.boxes) + len(a.wrong)) for n, a in zip(numbers, given, strict=True)]
            tables.append(table)
        return _column_of_ratios(metric, tables)

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
        share_of_boxes(wrong, [[len(a.wrong) for a in given] for given in answers]),
        share_of_boxes(clamped, [[a.clamped for a in given] for given in answers]),
        Column(unread, values),
    ]


def _empty(
    examples: Sequence[Example], answers: Sequence[Sequence[Answer]], rows: Sequence[int], cases: int
) -> list[Column]:
    """Returns how often nothing is answered where nothing is there, and where something is."""

    def share(name: str, title: str, there: bool, better: Literal["higher", "lower"], about: str) -> Column | None:
        values = np.full((len(answers), cases), np.nan)
        for k, given in enumerate(answers):
            for i, example, answer in zip(rows, examples, given, strict=True):
                if bool(example.boxes) == there:  # where nothing is, it has to be said
                    values[k, i] = float(_answered(answer) != "some" if there else answer.says_none)
        if np.isnan(values).all():
            return None
        return Column(Metric(name, f"Grounding: {title}", TASKS, better=better, about=about), values)

    columns = (
        share("empty_kept", "said none where none is", False, "higher", "share of cases without a box"),
        share("empty_missed", "no box where some are", True, "lower", "share of cases with boxes"),
    )
    return [column for column in columns if column]

"""Average precision by the COCO protocol (Lin et al. 2014, arXiv 1405.0312; pycocotools' COCOeval, area "all").

Boxes of one image are taken by falling confidence, at most 100, and each takes the reference box it overlaps most of
those still free, if their IoU reaches the threshold. Precision is read at 101 values of recall, at each the best
precision at that recall or a higher one. The figures equal pycocotools' (tests/evaluation/test_average_precision.py).

Boxes of equal confidence enter together, as one point of the curve. pycocotools takes them in the order of the images,
so that its figure changes when the file is shuffled. A language model gives no confidence: all its boxes are equal,
which makes AP at one threshold the precision times the share of the 101 recall values that are reached
(`ap_without_confidence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radrl.evaluation.metrics.set_statistics import Array, SumStatistic, ranks

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100  # boxes of an image that are looked at


@dataclass(frozen=True)
class AveragePrecision:
    """Mean over IoU thresholds of the average precision of one category, in 0-1; NaN without a reference box.

    ``case`` (boxes,) is the case of each answer box, ``scores`` (boxes,) its confidence, ``right`` (boxes, thresholds)
    whether it found a reference box, ``references`` (cases,) how many there are, ``there`` (cases,) which cases were
    asked.
    """

    case: NDArray[np.int64]
    scores: Array
    right: NDArray[np.bool_]
    references: Array
    there: NDArray[np.bool_]

    def at(self, weights: Array) -> Array:
        order = np.argsort(-self.scores, kind="stable")
        ends = np.flatnonzero(np.diff(self.scores[order], append=np.nan) != 0)  # last box of each confidence
        drawn = weights[:, self.case[order]]
        taken = np.cumsum(drawn, axis=1)
        wanted = weights @ self.references
        total = np.zeros(len(weights))
        for right in self.right[order].T:
            hits = np.cumsum(right)[ends] if len(ends) else np.zeros(0)
            use = ends[np.diff(hits, prepend=0) > 0]  # elsewhere neither recall nor the best precision can rise
            if not len(use):
                continue
            found = np.cumsum(np.where(right, drawn, 0.0), axis=1)[:, use]
            precision = np.divide(found, taken[:, use], out=np.zeros_like(found), where=taken[:, use] > 0)
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            recall = np.divide(found, wanted[:, None], out=np.zeros_like(found), where=wanted[:, None] > 0)
            reached = np.searchsorted(RECALLS, recall, side="right")
            total += (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
        return np.where(wanted > 0, total / self.right.shape[1], np.nan)

    def take(self, rows: NDArray[np.int64]) -> AveragePrecision:
        place = np.full(len(self.there), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.case] >= 0
        return AveragePrecision(
            place[self.case[kept]], self.scores[kept], self.right[kept], self.references[rows], self.there[rows]
        )

    def beside(self, other: AveragePrecision) -> AveragePrecision:
        """Both models' confidences become ranks first, as they need not be on one scale."""
        return AveragePrecision(
            np.concatenate([self.case, other.case + len(self.there)]),
            np.concatenate([ranks(self.scores), ranks(other.scores)]),
            np.vstack([self.right, other.right]),
            np.concatenate([self.references, other.references]),
            np.concatenate([self.there, other.there]),
        )


def ap_with_confidence(
    ious: Sequence[Array | None], scores: Sequence[Sequence[float]], thresholds: Sequence[float] = THRESHOLDS
) -> AveragePrecision:
    """Returns the average precision of cases from the IoU of their boxes, (answer, reference) each (None: not asked),
    and the confidences of each case's answer boxes."""
    case, kept, right = [], [], []
    for i, iou in enumerate(ious):
        if iou is None or not len(iou):
            continue
        confidence = np.asarray(scores[i], dtype=float)
        order = np.argsort(-confidence, kind="stable")[:MOST]
        case.append(np.full(len(order), i))
        kept.append(confidence[order])
        right.append(match_boxes(iou[order], thresholds))
    return AveragePrecision(
        np.concatenate([np.zeros(0, np.int64), *case]).astype(np.int64),
        np.concatenate([np.zeros(0), *kept]),
        np.concatenate([np.zeros((0, len(thresholds)), bool), *right]),
        np.array([0.0 if iou is None else iou.shape[1] for iou in ious]),
        np.array([iou is not None for iou in ious]),
    )


def ap_without_confidence(ious: Sequence[Array | None], thresholds: Sequence[float] = THRESHOLDS) -> SumStatistic:
    """Returns the same of boxes that are all equally sure, as a function of sums: boxes found at each threshold, answer
    boxes and reference boxes."""
    table = np.zeros((len(ious), len(thresholds) + 2))
    for i, iou in enumerate(ious):
        if iou is None:
            continue
        if iou.size:
            table[i, : len(thresholds)] = match_boxes(iou[:MOST], thresholds).sum(axis=0)
        table[i, len(thresholds) :] = min(len(iou), MOST), iou.shape[1]
    return SumStatistic(table, _one_point)


def _one_point(sums: Array) -> Array:
    found, given, wanted = sums[..., :-2], sums[..., -2:-1], sums[..., -1:]
    precision = np.divide(found, given, out=np.zeros_like(found), where=given > 0)
    recall = np.divide(found, wanted, out=np.zeros_like(found), where=wanted > 0)
    reached = np.searchsorted(RECALLS, recall, side="right") / len(RECALLS)
    return np.where(wanted[..., 0] > 0, (precision * reached).mean(axis=-1), np.nan)


def match_boxes(iou: Array, thresholds: Sequence[float] = THRESHOLDS) -> NDArray[np.bool_]:
    """Returns which boxes, taken in order, find a free reference box, (answer, thresholds), from their IoU, (answer,
    reference). Of reference boxes that overlap equally the later is taken, as in pycocotools."""
    matched = np.zeros((len(iou), len(thresholds)), dtype=bool)
    if not iou.size:
        return matched
    for k, threshold in enumerate(thresholds):
        free = iou.copy()
        for d, row in enumerate(free):
            best = len(row) - 1 - int(row[::-1].argmax())
            if row[best] >= min(threshold, 1 - 1e-10):
                matched[d, k] = True
                free[:, best] = -1.0
    return matched

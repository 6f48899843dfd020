"""Scorers of boxes. Reference and answer boxes are those of the Example and the Answer, 0-1 of the image.

Boxes of the answer that are none of the image (`Answer.wrong`) count as boxes that overlap nothing. An answer without
boxes is right where there is nothing to find if it says so (`Answer.says_none`); anything else is 0 there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radrl.boxes import geometry
from radrl.example import Answer, Example, Score
from radrl.scoring.registry import scorer

NOT_A_WORD = re.compile(r"[\W_]+")
HIT = 0.5  # IoU from which a box counts as found


@scorer(
    "soft_f1",
    tasks=("grounding",),
    source="arXiv 2512.10691",
    cheated="left and right may be swapped: labels are not compared",
)
def soft_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Hungarian soft-F1, 2·ΣIoU / (|P| + |G|), in 0-1 (arXiv 2512.10691). Labels are not looked at.

    The sum runs over the one-to-one assignment of answer boxes P to reference boxes G that makes it largest. A wrong
    box counts in |P| and overlaps nothing. No reference box: 1 where the answer says that there is none, else 0; so an
    answer that cannot be read has 0 whatever is there. Parts: ``n_predicted``, ``n_reference``, and ``f1_50``, the F1
    of boxes found at IoU 0.5.
    """
    return [_soft_f1(e, a, predicted_iou(e, a)) for e, a in zip(examples, answers, strict=True)]


@scorer("soft_f1_labels", tasks=("grounding",), source="ours", cheated="by chance, where labels are few")
def soft_f1_labels(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """soft_f1 where labels count: in a case whose reference boxes carry more than one label, only boxes whose labels
    agree (`meant`) may be paired. Elsewhere it is soft_f1. Ours; no paper's."""
    return [_soft_f1(e, a, labelled_iou(e, a)) for e, a in zip(examples, answers, strict=True)]


def _soft_f1(example: Example, answer: Answer, ious: NDArray[np.float64]) -> Score:
    total = sum(ious.shape)
    none = float(answer.says_none)
    value = 2 * sum(ious[pair] for pair in geometry.assign(ious)) / total if total else none
    hits = len(geometry.assign(ious >= HIT))
    parts = {
        "n_predicted": float(ious.shape[0]),
        "n_reference": float(ious.shape[1]),
        "f1_50": 2 * hits / total if total else none,
    }
    return Score(min(float(value), 1.0), parts)  # a sum of rounded IoUs may pass 1 by an ulp


@scorer("mean_iou", tasks=("grounding",), cheated="too many boxes cost nothing: a metric rather than a reward")
def mean_iou(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Mean over the reference boxes of the IoU with the answer box assigned to each, in 0-1. Labels are not looked at.

    The assignment is that of soft_f1; a reference box without one counts 0. Boxes beyond those assigned cost
    nothing here. No reference box: 1 where the answer says that there is none, else 0.
    """
    scores: list[Score | None] = []
    for example, answer in zip(examples, answers, strict=True):
        ious = predicted_iou(example, answer)
        if example.boxes:
            value = float(sum(ious[pair] for pair in geometry.assign(ious))) / len(example.boxes)
        else:
            value = float(answer.says_none)
        scores.append(Score(min(value, 1.0)))
    return scores


@scorer(
    "map50_radvlm",
    tasks=("grounding",),
    source="arXiv 2512.10691",
    cheated="too many boxes after the right ones cost nothing",
)
def map50_radvlm(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """The mAP@0.5 of one image as RadVLM publishes it, in 0-1 (arXiv 2512.10691; compute_metrics_tasks.py).

    The boxes have no confidence and are taken in the order of the answer. Each looks at the reference box it
    overlaps most, and is right if their IoU is at least 0.5 and no box before took it; a wrong box is never right. The
    value is the area under the precision envelope over recall. Labels are not looked at, and 0 is given where either
    side is empty, also where both are. Not comparable with COCO's mAP. How it differs from the published code on what
    that code does not read is in docs/rewards.md.
    """
    return [
        Score(_average_precision(predicted_iou(example, answer)))
        for example, answer in zip(examples, answers, strict=True)
    ]


def _average_precision(ious: NDArray[np.float64]) -> float:
    if ious.size == 0:
        return 0.0
    taken: set[int] = set()
    right = np.zeros(len(ious))
    for i, best in enumerate(ious.argmax(axis=1)):
        if ious[i, best] >= HIT and int(best) not in taken:
            taken.add(int(best))
            right[i] = 1.0
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((right * envelope).sum() / ious.shape[1])  # recall grows by 1/|G| at each right box


def predicted(answer: Answer) -> tuple[NDArray[np.float64], list[str]]:
    """Returns the corners of all boxes of an answer in its order, (N, 4), those of wrong ones NaN, and their labels."""
    corners, labels = [list(box.xyxy) for box in answer.boxes], [box.label for box in answer.boxes]
    for place, label in answer.wrong:  # from the first to the last
        corners.insert(place, [math.nan] * 4)
        labels.insert(place, label)
    return np.array(corners, dtype=np.float64).reshape(-1, 4), labels


def predicted_iou(example: Example, answer: Answer) -> NDArray[np.float64]:
    """Returns the IoU of each pair, shape (answer, reference); 0 for a wrong box."""
    return geometry.iou(predicted(answer)[0], geometry.array(example.boxes))


def labelled_iou(example: Example, answer: Answer) -> NDArray[np.float64]:
    """Returns the same, and 0 where the reference has several labels and those of a pair do not agree."""
    corners, labels = predicted(answer)
    ious = geometry.iou(corners, geometry.array(example.boxes))
    wanted = [plain(box.label) for box in example.boxes]
    if len(set(wanted)) > 1:
        named = [meant(plain(label), set(wanted)) for label in labels]
        agree = [[label in ("", m) for label in wanted] if m else [False] * len(wanted) for m in named]
        ious = ious * np.array(agree, dtype=bool).reshape(ious.shape)
    return ious


def meant(label: str, wanted: set[str]) -> str | None:
    """Returns the reference label that an answer's label names, the label itself where it names none of them, or
    None where it is empty or names several: a label that lists them all must not agree with all.

    A label names another when it contains its words; of "lung" and "left lung" it names the longer.
    """
    named = [w for w in wanted if w and f" {w} " in f" {label} "]
    longest = [w for w in named if not any(w != other and f" {w} " in f" {other} " for other in named)]
    return (longest[0] if longest else label or None) if len(longest) < 2 else None


def plain(label: str) -> str:
    return " ".join(NOT_A_WORD.sub(" ", label.casefold()).split())

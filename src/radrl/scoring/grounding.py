"""Scorers of boxes. Reference and answer boxes are those of the Example and the Answer, 0-1 of the image."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radrl import boxes
from radrl.example import Answer, Box, Example, Score
from radrl.scoring.registry import scorer

NOT_A_WORD = re.compile(r"[\W_]+")
HIT = 0.5  # IoU from which a box counts as found


@scorer("soft_f1", tasks=("grounding",))
def soft_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Hungarian soft-F1, 2·ΣIoU / (|P| + |G|), in 0-1 (arXiv 2512.10691).

    The sum runs over the one-to-one assignment of answer boxes P to reference boxes G that makes it largest. Both
    empty give 1, one empty gives 0. Where the reference boxes carry more than one label, only boxes whose labels
    agree may be paired. Parts: ``n_predicted``, ``n_reference``, and ``f1_50``, the F1 of boxes found at IoU 0.5.
    """
    scores: list[Score | None] = []
    for example, answer in zip(examples, answers, strict=True):
        ious = labelled_iou(answer.boxes, example.boxes)
        total = len(answer.boxes) + len(example.boxes)
        value = 2 * sum(ious[pair] for pair in boxes.assign(ious)) / total if total else 1.0
        hits = len(boxes.assign(ious >= HIT))
        parts = {
            "n_predicted": float(len(answer.boxes)),
            "n_reference": float(len(example.boxes)),
            "f1_50": 2 * hits / total if total else 1.0,
        }
        scores.append(Score(min(float(value), 1.0), parts))  # a sum of rounded IoUs may pass 1 by an ulp
    return scores


@scorer("mean_iou", tasks=("grounding",))
def mean_iou(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Mean over the reference boxes of the IoU with the answer box assigned to each, in 0-1.

    The assignment is that of soft_f1; a reference box without one counts 0. Boxes beyond those assigned cost
    nothing here. No reference box: 1 if the answer gives none either, else 0.
    """
    scores: list[Score | None] = []
    for example, answer in zip(examples, answers, strict=True):
        ious = labelled_iou(answer.boxes, example.boxes)
        if example.boxes:
            value = float(sum(ious[pair] for pair in boxes.assign(ious))) / len(example.boxes)
        else:
            value = float(not answer.boxes)
        scores.append(Score(min(value, 1.0)))
    return scores


@scorer("map50_radvlm", tasks=("grounding",))
def map50_radvlm(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """The mAP@0.5 of one image as RadVLM publishes it, in 0-1 (arXiv 2512.10691; compute_metrics_tasks.py).

    The boxes have no confidence and are taken in the order of the answer. Each looks at the reference box it
    overlaps most, and is right if their IoU is at least 0.5 and no box before took it. The value is the area under
    the precision envelope over recall. Labels are not looked at, and 0 is given where either side is empty, also
    where both are. Not comparable with COCO's mAP.
    """
    return [
        Score(_average_precision(boxes.iou(boxes.array(answer.boxes), boxes.array(example.boxes))))
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


def labelled_iou(answer: Sequence[Box], reference: Sequence[Box]) -> NDArray[np.float64]:
    """Returns the IoU of each pair, shape (answer, reference), and 0 where labels matter and do not agree."""
    ious = boxes.iou(boxes.array(answer), boxes.array(reference))
    wanted = [plain(box.label) for box in reference]
    if len(set(wanted)) > 1:
        named = [meant(plain(box.label), set(wanted)) for box in answer]
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

"""Box scorers against values worked out by hand."""

import itertools
import random

import pytest

from radrl.example import Answer, Box, Example
from radrl.scoring import grounding, registry

A, B, C = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9), (0.0, 0.6, 0.2, 0.8)
HALF_A = (0.0, 0.0, 0.4, 0.2)  # IoU 0.5 with A


def box(xyxy, label=""):
    return Box(xyxy=xyxy, label=label)


def score(name, answer, reference):
    as_boxes = [tuple(b if isinstance(b, Box) else box(b) for b in side) for side in (answer, reference)]
    example = Example(id="a", task="grounding", question="Where?", boxes=as_boxes[1])
    return registry.get(name)([example], [Answer("boxes", boxes=as_boxes[0])])[0]


@pytest.mark.parametrize(
    ("answer", "reference", "soft_f1", "mean_iou", "map50"),
    [
        ([], [], 1, 1, 0),  # the published mAP gives 0 where there is nothing to find
        ([A], [], 0, 0, 0),
        ([], [A], 0, 0, 0),
        ([A], [A], 1, 1, 1),
        ([HALF_A], [A], 0.5, 0.5, 1),
        ([HALF_A, B], [A, B], 0.75, 0.75, 1),
        ([A, C], [A], 2 / 3, 1, 1),  # a box too many
        ([C, A], [A], 2 / 3, 1, 0.5),  # ... and it comes first
        ([A], [A, B], 2 / 3, 0.5, 0.5),
        ([A, A], [A], 2 / 3, 1, 1),  # one reference box is found once
    ],
)
def test_worked_examples(answer, reference, soft_f1, mean_iou, map50):
    values = [score(name, answer, reference).value for name in ("soft_f1", "mean_iou", "map50_radvlm")]
    assert values == pytest.approx([soft_f1, mean_iou, map50])


def test_assignment_is_the_best_one_not_the_greedy_one():
    first, second = box((0.0, 0.0, 0.5, 1.0)), box((0.2, 0.0, 0.7, 1.0))
    answer = [box((0.15, 0.0, 0.65, 1.0)), box((0.25, 0.0, 0.95, 1.0))]
    ious = [[grounding.boxes.iou([a.xyxy], [r.xyxy])[0, 0] for r in (first, second)] for a in answer]
    best = max(ious[0][0] + ious[1][1], ious[0][1] + ious[1][0])
    assert score("soft_f1", answer, [first, second]).value == pytest.approx(2 * best / 4)


def test_order_of_boxes_does_not_matter():
    rng = random.Random(3)
    points = [sorted(rng.random() for _ in range(2)) for _ in range(12)]
    every = [box((x1, y1, x2, y2)) for (x1, x2), (y1, y2) in zip(points[::2], points[1::2], strict=True)]
    answer, reference = every[:3], every[3:]
    for name in ("soft_f1", "mean_iou"):
        values = {round(score(name, p, q).value, 12) for p in itertools.permutations(answer)
                  for q in itertools.permutations(reference)}  # fmt: skip
        assert len(values) == 1


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (("left lung", "right lung"), 1),
        (("The  LEFT lung.", "right_lung"), 1),
        (("right lung", "left lung"), 0),
        (("", ""), 0),
        (("left lung", "left lung"), 0.5),
        (("left lung, right lung", "left lung, right lung"), 0),  # naming them all is no answer
        (("lung", "lung"), 0),
    ],
)
def test_labels_count_where_the_reference_has_several(labels, wanted):
    reference = [box(A, "left lung"), box(B, "right lung")]
    answer = [box(A, labels[0]), box(B, labels[1])]
    assert score("soft_f1", answer, reference).value == wanted
    assert score("mean_iou", answer, reference).value == wanted


def test_labels_do_not_count_where_the_reference_has_one():
    assert score("soft_f1", [box(A), box(B, "mass")], [box(A, "nodule"), box(B, "nodule")]).value == 1


def test_parts():
    parts = score("soft_f1", [HALF_A, C, (0.5, 0.5, 0.9, 0.6)], [A, B]).parts
    assert parts == {"n_predicted": 3, "n_reference": 2, "f1_50": 2 / 5}

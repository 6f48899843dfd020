"""Box scorers against values worked out by hand, and against RadVLM-GRPO's own code."""

import itertools
import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

from radrl.answers.parsing import parse
from radrl.example import Answer, Box, Example, WrongBox
from radrl.prompt.messages import PromptStyle
from radrl.scoring import grounding, registry

A, B, C = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9), (0.0, 0.6, 0.2, 0.8)
HALF_A = (0.0, 0.0, 0.4, 0.2)  # IoU 0.5 with A


def box(xyxy, label=""):
    return Box(xyxy=xyxy, label=label)


def score(name, answer, reference):
    as_boxes = [tuple(b if isinstance(b, Box) else box(b) for b in side) for side in (answer, reference)]
    example = Example(id="a", task="grounding", question="Where?", boxes=as_boxes[1])
    return registry.get(name)([example], [Answer("boxes", boxes=as_boxes[0], says_none=not answer)])[0]


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
    ious = [[grounding.geometry.iou([a.xyxy], [r.xyxy])[0, 0] for r in (first, second)] for a in answer]
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
    assert score("soft_f1_labels", answer, reference).value == wanted
    assert {score(name, answer, reference).value for name in ("soft_f1", "mean_iou")} == {1}  # as published


def test_labels_do_not_count_where_the_reference_has_one():
    assert score("soft_f1_labels", [box(A), box(B, "mass")], [box(A, "nodule"), box(B, "nodule")]).value == 1


def test_a_wrong_box_counts_and_overlaps_nothing():
    example = Example(id="a", task="grounding", question="?", boxes=(box(A, "left lung"), box(B, "right lung")))
    for place in range(3):
        wrong = (WrongBox(place, "right lung"),)
        answer = Answer("x", boxes=(box(A, "left lung"), box(B, "right lung")), wrong=wrong)
        values = {name: registry.get(name)([example], [answer])[0].value for name in registry.names()
                  if registry.get(name).tasks == ("grounding",)}  # fmt: skip
        assert values["map50_radvlm"] == pytest.approx(
            (2 / 3, 5 / 6, 1)[place]
        )  # the earlier it stands, the more it costs
        assert values["soft_f1"] == values["soft_f1_labels"] == 4 / 5
        assert values["mean_iou"] == 1
    alone = registry.get("soft_f1")([example], [Answer("x", wrong=(WrongBox(0), WrongBox(1)))])[0]
    assert (alone.value, alone.parts["n_predicted"]) == (0, 2)


def test_parts():
    parts = score("soft_f1", [HALF_A, C, (0.5, 0.5, 0.9, 0.6)], [A, B]).parts
    assert parts == {"n_predicted": 3, "n_reference": 2, "f1_50": 2 / 5}


# Kinds of answers on which ours and RadVLM-GRPO's figures differ, how much (ours - theirs, of mAP50 and of soft-F1,
# from lowest to highest), and why; docs/rewards.md argues each. None: their code raises on some.
DIFFERENT = {
    "corners the wrong way round": None,  # they divide by zero where two areas cancel
    "a number that is none": None,  # "0.36.5": they raise
    "a hundredth outside": ((0, 0.75), (0, 0.01)),  # ours is cut at the edge
    "farther outside": ((-1, 0), (-0.6, 0)),  # ours is wrong, whatever it covers
    "below zero": ((-0.25, 0), (-0.15, 0)),  # they do not see it, ours counts it
    "three numbers": ((-0.25, 0), (-0.15, 0)),
    "a fifth number": ((-0.25, 0), (-0.15, 0)),
    "round brackets": ((0, 1), (0, 1)),  # they do not see boxes that are there
    "corner by corner": ((0, 1), (0, 1)),
    "space within the brackets": ((-0.25, 1), (-0.05, 1)),
    "full-width commas": ((-0.25, 1), (-0.05, 1)),
    "words, none there": ((0, 0), (-1, -1)),  # a claim is no rejection; their formula sees no box on either side
    "a notation of its own, none there": ((0, 0), (-1, -1)),
    "nothing written, none there": ((0, 0), (-1, -1)),
}


def test_figures_of_radvlm_grpos_own_code():
    """mAP50 and soft-F1 of 744 answers of 31 kinds (make_golden_grounding.py): equal to 1e-9, or a known difference."""
    rows = json.loads((Path(__file__).parent / "golden_grounding.json").read_text(encoding="utf-8"))
    assert len(rows) >= 672
    found = defaultdict(list)
    for kind, wanted, text, *theirs in rows:
        example = Example(id="a", task="grounding", question="Where?", boxes=tuple(box(tuple(b)) for b in wanted))
        answer = parse(text, example, PromptStyle())
        ours = [registry.get(name)([example], [answer])[0].value for name in ("map50_radvlm", "soft_f1")]
        found[kind].append([None if b is None else a - b for a, b in zip(ours, theirs, strict=True)])
    for kind, differences in found.items():
        known = [[d[k] for d in differences if d[k] is not None] for k in (0, 1)]
        alike = len(known[0]) == len(differences) and all(abs(d) < 1e-9 for of in known for d in of)
        assert alike == (kind not in DIFFERENT), kind
        for of_metric, (low, high) in zip(known, DIFFERENT.get(kind) or [(0, 0)] * 2, strict=True):
            assert all(low - 1e-9 <= d <= high + 1e-9 for d in of_metric), kind
    assert set(DIFFERENT) <= set(found)

"""The trivial baseline: what it answers, and that it never looks at the test reference."""

from __future__ import annotations

import pytest

from radrl.errors import UserError
from radrl.evaluation import baselines
from radrl.example import Box, Example


def example(id: str, task: str, question: str, reference: str = "", **more) -> Example:
    return Example(id=id, task=task, question=question, reference=reference, **more)


def box(x: float, label: str = "lung") -> Box:
    return Box(xyxy=(x, 0.2, x + 0.1, 0.6), label=label)


TEMPLATE = "The heart is enlarged. Left pleural effusion."
REPORTS = [
    *["No acute disease."] * 2,
    TEMPLATE,
    "The heart is enlarged. Left pleural effusion. Right pneumothorax.",
    "The heart is enlarged. Left pleural effusion. Pulmonary edema.",
    "The heart is enlarged. Nodule in the right upper lobe.",
]
TRAIN = [
    *(example(f"r{k}", "report", "Report?", text) for k, text in enumerate(REPORTS)),
    *(example(f"g{k}", "grounding", "Where is the  lung?", boxes=(box(x),)) for k, x in enumerate([0.1, 0.2, 0.6])),
    *(example(f"h{k}", "grounding", "Where is the heart?", boxes=(box(0.4, "heart"),)) for k in range(9)),
    *(example(f"n{k}", "grounding", "Where is the mass?", meta={"type": "mass"}) for k in range(3)),
    example("n9", "grounding", "Where is the mass?", boxes=(box(0.3, "mass"),)),
    *(
        example(f"c{k}", "vqa_closed", "Is it big?", a, choices=("yes", "no"))
        for k, a in enumerate(["yes", "no", "no"])
    ),
    *(example(f"o{k}", "vqa_open", f"Which side {k}?", a, meta={"type": "side"}) for k, a in enumerate(["left"] * 3)),
    *(example(f"s{k}", "vqa_open", f"How severe {k}?", "mild", meta={"type": "grade"}) for k in range(4)),
]
TEST = [
    example("t1", "report", "Something else?", "secret"),
    example("t2", "grounding", "where is the LUNG?", boxes=(box(0.8),)),
    example("t3", "grounding", "Where is the mass?", boxes=(box(0.8),)),
    example("t4", "vqa_closed", "Is it big?", "maybe", choices=("yes", "maybe", "no")),
    example("t5", "vqa_open", "Which lung?", "right", meta={"type": "side"}),
    example("t6", "vqa_open", "Which lung?", "right", meta={"type": "never seen"}),
]


def test_answers_are_the_usual_ones_of_the_narrowest_group():
    report, lung, mass, closed, by_type, by_task = baselines.answers(TRAIN, TEST)
    assert report.text == TEMPLATE  # not the most usual text: the one that agrees best
    assert [b.xyxy for b in lung.boxes] == [(0.2, 0.2, pytest.approx(0.3), 0.6)]
    assert mass.boxes == ()
    assert mass.text == "none"
    assert (closed.text, closed.choice) == ("no", 2)
    assert by_type.text == "left"
    assert by_task.text == "mild"


def test_the_test_reference_is_never_read():
    blind = [
        e.model_copy(
            update={"reference": "other", "boxes": (box(0.5, "other"),), "images": ("x.png",), "thinking": "t"}
        )
        for e in TEST
    ]
    assert baselines.answers(TRAIN, blind) == baselines.answers(TRAIN, TEST)


def test_two_labels_give_two_boxes():
    train = [example(f"b{k}", "grounding", "Lungs?", boxes=(box(0.1, "l"), box(0.6 + k / 10, "r"))) for k in range(3)]
    (found,) = baselines.answers(train, [example("t", "grounding", "Lungs?")])
    assert [b.label for b in found.boxes] == ["l", "r"]
    assert found.boxes[1].xyxy[0] == pytest.approx(0.7)


def test_two_boxes_of_one_label_stay_two():
    train = [example(f"b{k}", "grounding", "Lungs?", boxes=(box(0.6 + k / 10), box(0.1))) for k in range(3)]
    (found,) = baselines.answers(train, [example("t", "grounding", "Lungs?")])
    assert [b.xyxy[0] for b in found.boxes] == pytest.approx([0.1, 0.7])


def test_the_type_of_a_grounding_question_does_not_give_away_that_there_is_nothing():
    train = [example(f"a{k}", "grounding", f"Where {k}?", meta={"type": "absent"}) for k in range(2)]
    train += [example(f"b{k}", "grounding", f"Where {k}?", boxes=(box(0.1),), meta={"type": "there"}) for k in range(3)]
    (found,) = baselines.answers(train, [example("t", "grounding", "Never asked", meta={"type": "absent"})])
    assert len(found.boxes) == 1


def test_a_task_without_training_examples_is_said():
    with pytest.raises(UserError, match="no training example of task 'vqa_open'"):
        baselines.answers(TRAIN[:6], TEST[4:])

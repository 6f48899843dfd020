"""Every rule-based scorer gives a finite value in its range, whatever a model writes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.example import Answer, Box, Example
from radrl.scoring import gallery, registry

assert gallery  # importing it registers all scorers
CORPUS = [Example(id=str(i), task="report", question="?", reference=f"Small left effusion {i}.") for i in range(3)]
EVERY = [registry.get(name) for name in registry.names()]
NAMES = [s.name for s in EVERY if s.kind == "cpu" and s.name != "meteor" and s.missing() is None]
REFERENCE = "Small left pleural effusion."
boxes = st.lists(st.sampled_from([Box(xyxy=(0, 0, 0.5, 1), label="lung"), Box(xyxy=(0.2, 0, 1, 1e-9))]), max_size=5)
WORDS = [
    "no",
    "effusion",
    "left",
    "nan",
    "inf",
    "[",
    "]",
    "</think>",
    "\u200b",
    "\ud800",
    "\u0000",
    "0.5",
    "yes",
    "ß",
    "İ",
]


def check(name: str, answer: Answer, reference: tuple[Box, ...] = ()) -> None:
    scorer = registry.get(name).fitted(CORPUS)
    for task in scorer.tasks:
        choices = ("left", "right") if task == "vqa_closed" else ()
        example = Example(
            id="a",
            task=task,
            question="?",
            reference="left" if choices else REFERENCE,
            boxes=reference,
            choices=choices,
        )
        (score,) = scorer([example], [answer])  # raises where the value leaves [low, high]
        if score is None:
            continue
        assert math.isfinite(score.value)
        assert all(math.isfinite(part) for part in score.parts.values())
        assert all(0 <= mark.start < mark.end for mark in score.marks)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text", ["", "NaN", "\ud800", "\u200b", "[[" * 50_000, "left effusion, " * 7_000, "a.1" * 33_000, "\n" * 100_000]
)  # fmt: skip
def test_hostile_text(name, text):
    check(name, Answer(text, well_formed=False))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80) | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), boxes, boxes)
def test_any_text_and_boxes(text, given_boxes, reference):
    for name in NAMES:
        check(name, Answer(text, boxes=tuple(given_boxes), choice=None, tokens=len(text)), tuple(reference))


def test_form():
    example = Example(id="a", task="report", question="?")
    answers = [Answer("ok text"), Answer(" \n"), Answer("ok", well_formed=False)]
    assert [s.value for s in registry.get("format")([example] * 3, answers)] == [1, 0, 0]
    assert [s.value for s in registry.get("length")([example] * 3, answers)] == [2, 0, 1]

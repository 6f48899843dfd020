"""Prompts out, and back: boxes, and every answer that is taught. How completions are read is in test_answers.py."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import radrl.scoring  # noqa: F401  registers the scorers
from radrl.answers import parse
from radrl.data import phantom
from radrl.example import Box, Example
from radrl.prompt import PromptStyle, boxes_text, messages, question, target
from radrl.scoring import registry

DIRECT, THINKING, THOUSAND = PromptStyle(), PromptStyle(thinking=True), PromptStyle("thousand")
REPORT = Example(id="r", task="report", question="Report?", images=("a.png", "b.png"), reference="Clear.", thinking="t")
BOXES = Example(id="b", task="grounding", question="Where is the heart?")
CHOICE = Example(
    id="c", task="vqa_closed", question="Which side?", choices=("left", "right", "both"), reference="right"
)
YES_NO = Example(id="y", task="vqa_closed", question="Big?", choices=("no", "yes"), reference="yes")
SCORERS = {"report": "finding_f1", "grounding": "soft_f1", "vqa_closed": "vqa_accuracy", "vqa_open": "vqa_accuracy"}


def test_what_is_asked():
    (turn,) = messages(REPORT, THINKING)
    assert [part["type"] for part in turn["content"]] == ["image", "image", "text"]
    assert turn["content"][-1]["text"] == "Report? /think"
    assert question(CHOICE, DIRECT) == "Which side? A. left B. right C. both"
    assert target(CHOICE, DIRECT) == "B. right"
    assert (question(YES_NO, DIRECT), target(YES_NO, DIRECT)) == ("Big?", "yes")
    assert question(BOXES, THOUSAND).endswith("in JSON format.")
    assert target(BOXES, DIRECT) == "none"
    with pytest.raises(ValueError, match="no thinking trace"):
        target(BOXES, THINKING)


def sides():
    return st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda v: v[0] < v[1])


any_box = st.builds(
    lambda x, y, label: Box(xyxy=(x[0], y[0], x[1], y[1]), label=label),
    sides(),
    sides(),
    st.lists(st.text(string.ascii_letters + "é-", min_size=1), min_size=1, max_size=3).map(" ".join),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(any_box, max_size=4).map(tuple), st.sampled_from([DIRECT, THOUSAND]))
def test_boxes_come_back_within_rounding(boxes, style):
    answer = parse(boxes_text(boxes, style.box_format) or "none", BOXES, style)
    assert answer.well_formed
    assert [box.label for box in answer.boxes] == [box.label for box in boxes]
    step = 0.01 if style is DIRECT else 0.001
    for written, box in zip(answer.boxes, boxes, strict=True):
        wide = min(box.xyxy[2] - box.xyxy[0], box.xyxy[3] - box.xyxy[1]) > step  # else it grows to a step
        assert written.xyxy == pytest.approx(box.xyxy, abs=step * (0.50001 if wide else 1.00001))


@pytest.mark.parametrize(
    ("x1", "x2", "written"),
    [(0.4, 0.401, "0.40, 0.41"), (0.397, 0.399, "0.39, 0.40"), (0.398, 0.402, "0.39, 0.40"), (0.999, 1, "0.99, 1.00")],
)
def test_a_box_narrower_than_a_step_is_written_one_step_wide(x1, x2, written):
    x = written.split(", ")
    assert boxes_text((Box(xyxy=(x1, 0, x2, 1)),), "unit") == f"[{x[0]}, 0.00, {x[1]}, 1.00]"
    (box,) = parse(boxes_text((Box(xyxy=(0.5, 0.2, 0.5001, 0.2001)),), "thousand"), BOXES, THOUSAND).boxes
    assert box.xyxy == (0.5, 0.2, 0.501, 0.201)


def test_half_a_surrogate_pair_in_a_label_does_no_harm():
    unit, thousand = "a\ud800b [0.1, 0.2, 0.3, 0.4]", '{"bbox_2d": [1, 2, 3, 4], "label": "a\udfffb"}'
    assert [parse(text, BOXES, style).boxes[0].label for text, style in ((unit, DIRECT), (thousand, THOUSAND))] == [
        "a?b", "a?b",
    ]  # fmt: skip


def test_notations():
    boxes = (Box(xyxy=(0.1, 0.25, 0.5, 1), label="heart"), Box(xyxy=(0, 0, 0.126, 0.5)))
    assert boxes_text(boxes, "unit") == "heart [0.10, 0.25, 0.50, 1.00], [0.00, 0.00, 0.13, 0.50]"
    assert boxes_text(boxes[:1], "thousand") == (
        '```json\n[\n\t{"bbox_2d": [100, 250, 500, 1000], "label": "heart"}\n]\n```'
    )
    assert parse('{"label": "heart", "bbox_2d": [1, 2, 3, 4]}', BOXES, THOUSAND).boxes[0].xyxy == (
        0.001, 0.002, 0.003, 0.004,
    )  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    ["[0.1, 0.2, 1.3, 0.4]", "[-0.1, 0.2, 0.3, 0.4]", "[0.3, 0.2, 0.1, 0.4]", "[0.1, 0.2, 0.1, 0.4]",
     "[0.1, 0.2, 0.3]", "[0.1, 0.2, 0.3, 0.4", "[1e-1, 0.2, 0.3, 0.4]", "[100, 200, 300, 400]",
     "[0.1, 0.2, 0.3, 99999999999999999999]"],
)  # fmt: skip
def test_what_is_no_box_is_left_out_and_said(bad):
    answer = parse(f"lung {bad}, heart [0.1, 0.2, 0.3, 0.4]", BOXES, DIRECT)
    assert [box.xyxy for box in answer.boxes] == [(0.1, 0.2, 0.3, 0.4)]
    assert not answer.well_formed


@pytest.mark.parametrize("style", [PromptStyle(f, t) for f in ("unit", "thousand") for t in (False, True)], ids=str)
def test_every_phantom_target_reads_back_as_the_right_answer(style):
    films = (phantom.make(0, i, 64) for i in range(40))
    asked = [e for i, film in enumerate(films) for e in phantom.examples(film, f"p{i}", "p.png", (0, i), "gold")]
    assert {e.task for e in asked} == set(SCORERS)
    for example in asked:
        answer = parse(target(example, style), example, style)
        assert answer.well_formed
        assert answer.thinking == (example.thinking if style.thinking else None)
        assert [b.label for b in answer.boxes] == [b.label for b in example.boxes]
        for written, box in zip(answer.boxes, example.boxes, strict=True):
            assert written.xyxy == pytest.approx(box.xyxy, abs=0.0051)
        # boxes are judged against themselves as written: two decimals cost a small box some IoU
        example = example.model_copy(update={"boxes": answer.boxes})
        assert registry.get(SCORERS[example.task])([example], [answer])[0].value == pytest.approx(1)

"""Prompts out, and every answer taught. Boxes: test_box_notation.py; how completions are read: test_answers.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import radrl.scoring  # noqa: F401  registers the scorers
from radrl.answers.parsing import parse
from radrl.data import phantom
from radrl.example import Example
from radrl.prompt.messages import PromptStyle, answer_text, messages, question, target
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


slots = st.lists(st.sampled_from(["{question}", "{options}", "Q: ", " ", "\n", "{}", "\\boxed{}"]), max_size=8)
data_text = st.lists(st.sampled_from(["{question}", "{options}", "heart", " ", "{0}", "%s", "\\1", "é"]), min_size=1)
data_text = data_text.map("".join)


@settings(deadline=None, max_examples=300)
@given(slots, data_text, data_text, st.sampled_from(["inline", "lines", "paragraphs", "none"]))
def test_text_of_the_data_stands_in_the_template_as_it_is(pieces, asked, option, options):
    example = Example(id="c", task="vqa_closed", question=asked, choices=(option, "b"), reference="b")
    between = {"inline": " ", "lines": "\n", "paragraphs": "\n\n", "none": ""}[options]
    written = between + between.join([f"A. {option}", "B. b"]) if between else ""
    expected, own = "", ""  # own: what the template says since the last slot
    for piece in pieces:
        if piece == "{options}":
            expected += written.lstrip() if not expected or own[-1:].isspace() else written
        elif piece == "{question}":
            expected += asked + ("" if "{options}" in pieces else written)
        else:
            expected += piece
        own = "" if piece in ("{options}", "{question}") else own + piece
    style = PromptStyle(template="".join(pieces), options=options)
    assert question(example, style) == expected


@given(data_text, st.lists(data_text, max_size=3, unique=True), st.booleans())
def test_the_default_is_question_options_and_suffix(asked, choices, thinking):
    example = Example(
        id="c", task="vqa_closed", question=asked, choices=choices, reference=choices[0] if choices else ""
    )
    options = "".join(f" {letter}. {choice}" for letter, choice in zip("ABC", choices, strict=False))
    assert question(example, PromptStyle(thinking=thinking)) == asked + options + " /think" * thinking


def test_how_the_answer_is_taught():
    shown = {"plain": "B. right", "tags": "<answer>B. right</answer>", "boxed": "\\boxed{B. right}"}
    for answer_format, text in shown.items():
        assert target(CHOICE, PromptStyle(answer_format=answer_format)) == text
    assert target(CHOICE, PromptStyle(options="none")) == "right"  # no letter was shown
    tags = PromptStyle(thinking=True, answer_format="tags")
    assert target(REPORT, tags) == "<think>\nt\n</think>\n\n<answer>Clear.</answer>"
    assert answer_text(CHOICE, "unit") == "B. right"  # a teacher's reference and verl's ground truth


def test_a_system_message_stands_first_and_images_before_the_separator():
    told = PromptStyle(system="You read films.", image_separator="\n")
    system, user = messages(REPORT, told)
    assert system == {"role": "system", "content": [{"type": "text", "text": "You read films."}]}
    assert user["content"] == [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "\nReport?"}]
    assert messages(CHOICE, told)[1]["content"][0]["text"].startswith("Which")  # no image, nothing to separate


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

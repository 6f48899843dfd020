"""Completions of any model read back: where thinking ends, what wraps an answer, and what form was kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.answers.parsing import parse
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.example import Answer, Example
from radrl.output.page import cases
from radrl.output.page.pictures import Picture
from radrl.prompt.messages import PromptStyle
from radrl.scoring import registry
from radrl.scoring.completions import Completion, scorer_values
from radrl.scoring.vqa import is_right

DIRECT, THINKING = PromptStyle(), PromptStyle(thinking=True)
TEMPLATE = PromptStyle(thinking=True, think_in_template=True)
REPORT = Example(id="r", task="report", question="Report?", reference="Clear.")
OPEN = Example(id="o", task="vqa_open", question="Where?", reference="left lung")
BOXES = Example(id="b", task="grounding", question="Where is the heart?")
CHOICE = Example(id="c", task="vqa_closed", question="?", choices=("left", "right", "both"), reference="right")
YES_NO = Example(id="y", task="vqa_closed", question="Big?", choices=("no", "yes"), reference="yes")


@pytest.mark.parametrize(
    ("style", "completion", "thinking", "text", "well_formed"),
    [
        (THINKING, "<think>\na\n</think>\n\nClear.", "a", "Clear.", True),
        (THINKING, "<think>a</think> b </think>Clear.", "a</think> b", "Clear.", False),  # the last one counts
        (THINKING, "<think>a<think>b</think>Clear.", "a<think>b", "Clear.", False),
        (THINKING, "a</think>Clear.", "a", "Clear.", False),  # never opened
        (THINKING, "<think>Clear.", "Clear.", "", False),  # never closed: no answer
        (THINKING, "<think>Fine. <answer>Clear.</answer>", "Fine. <answer>Clear.</answer>", "", False),
        (THINKING, "Clear.", "Clear.", "", False),
        (THINKING, "<think>a</think>", "a", "", False),
        (THINKING, "<think>a</think>Clear.</think>", "a</think>Clear.", "", False),
        (THINKING, "<thinking>a</thinking>Clear.", "a", "Clear.", False),  # not what was asked for, but read
        (TEMPLATE, "a\n</think>\n\nClear.", "a", "Clear.", True),
        (TEMPLATE, "<think>a</think>Clear.", "a", "Clear.", True),
        (TEMPLATE, "a</think>b</think>Clear.", "a</think>b", "Clear.", False),
        (TEMPLATE, "a", "a", "", False),
        (TEMPLATE, "◁think▷a◁/think▷Clear.", "a", "Clear.", True),
        (DIRECT, " Clear.\n", None, "Clear.", True),
        (DIRECT, "<think>\n\n</think>\n\nClear.", None, "Clear.", True),  # Qwen3 where it does not think
        (DIRECT, "<think>a</think>Clear.", "a", "Clear.", False),  # it was not asked to think
        (DIRECT, "a</think>Clear.", "a", "Clear.", False),
        (DIRECT, "<think>Clear.", "Clear.", "", False),
        (DIRECT, "< think >a< / think >Clear.", "a", "Clear.", False),  # Qwen2.5-VL-32B
        (DIRECT, "<Thought>a</Thought>Clear.", "a", "Clear.", False),
        (DIRECT, "<reasoning>a</reasoning>Clear.", "a", "Clear.", False),
        (DIRECT, "<reasoning>a", "a", "", False),
        (DIRECT, "[THINK]a[/THINK]Clear.", "a", "Clear.", False),
        (DIRECT, "<|begin_of_thought|>a<|end_of_thought|>Clear.", "a", "Clear.", False),
        (DIRECT, "<unused94>thought\na<unused95>Clear.", "a", "Clear.", False),
        (DIRECT, "<|channel|>analysis<|message|>a<|channel|>final<|message|>Clear.", "a", "Clear.", False),
        (DIRECT, "## Thinking\n\na\n\n## Final Response\n\nClear.", "a", "Clear.", False),
        (DIRECT, "Clear.<|im_end|>", None, "Clear.", True),
        (DIRECT, "", None, "", False),
    ],
)
def test_only_what_follows_the_last_closed_thinking_is_the_answer(style, completion, thinking, text, well_formed):
    assert parse(completion, REPORT, style) == Answer(text, thinking, well_formed=well_formed)


@pytest.mark.parametrize(
    ("completion", "text", "before"),
    [
        ("<answer>left lung</answer>", "left lung", None),
        ("<ANSWER type='short'> left lung\n</ANSWER> I hope so.", "left lung", None),
        ("A blunt angle. <answer>left lung", "left lung", "A blunt angle."),
        ("<answer>right lung</answer> No. <answer>left lung</answer>", "left lung", "<answer>right lung</answer> No."),
        ("left lung</answer>", "left lung", None),
        ("<answer>left lung<answer>", "left lung", None),  # an opening tag for the closing one
        ("<answer>left lung</answer><answer></answer>", "", "<answer>left lung</answer>"),  # the last one, empty or not
        ("\\boxed{left lung}", "left lung", None),
        ("So $\\boxed{\\text{left lung}}$.", "left lung", "So"),
        ("\\[\\boxed{\\mathrm{left\\ lung}}\\]", "left lung", None),
        ("\\boxed{left {lung}", "left {lung}", None),  # braces that do not close
        ("\x08oxed{left lung}", "left lung", None),  # \b in JSON
        ("<|begin_of_box|>left lung<|end_of_box|>", "left lung", None),
        ("<answer>\\boxed{left lung}</answer>", "left lung", None),
        ('{"answer": "left lung"}', "left lung", None),
        ("```json\n{'reasoning': 'blunt', 'final_answer': 'left lung'}\n```", "left lung", "reasoning': 'blunt"),
        ('{"label": "left lung"}', "left lung", None),
        ('{"answer": ["left lung"]}', "left lung", None),
        ('{"answer": 3}', "3", None),
        ('{"answer": null}', "", None),
        ('{"answer": "left \\"lung\\""}', 'left "lung"', None),
        ("**Left lung**", "Left lung", None),
        ("# Answer\n\n- `left lung`", "left lung", None),
        ("The answer is left lung.", "left lung.", None),
        ("**Final answer:** left lung", "left lung", None),
        ("The angle is blunt.\n\nAnswer: left lung", "left lung", "The angle is blunt."),
        ("Left lung.\n\nExplanation: the angle is blunt.", "Left lung.", None),
        ("答案：左肺", "左肺", None),
        ("The answer is left. The answer is right.", "The answer is left. The answer is right.", None),
        ("It is in the left lung.", "It is in the left lung.", None),
    ],
)
def test_an_answer_in_words_is_taken_out_of_what_wraps_it(completion, text, before):
    assert parse(completion, OPEN, DIRECT) == Answer(text, before, well_formed=bool(text))


@pytest.mark.parametrize(
    "text", ["**Left lung**", "The answer is left lung.", "<answer>left lung</answer>", "Ｌｅｆｔ lung"]
)
def test_an_open_answer_is_right_however_it_is_wrapped(text):
    assert is_right(OPEN, parse(text, OPEN, DIRECT))
    assert not is_right(OPEN, parse(text.replace("ung", "obe"), OPEN, DIRECT))


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ('{"findings": "Clear.", "impression": "Normal."}', "Findings: Clear.\nImpression: Normal."),
        ('```json\n{"IMPRESSION": "Normal.",\n"FINDINGS": "Clear."}\n```', "Findings: Clear.\nImpression: Normal."),
        ('<answer>{"findings": ["Clear.", "No effusion."]}</answer>', "Clear. No effusion."),
        ('{"report": {"indication": "Cough.", "findings": "Clear.", "impression": null}}', "Clear."),
        ('{"Findings": {"Lungs": "Clear.", "Heart": "normal"}}', "Lungs: Clear. Heart: normal."),
        ('{"report": "Clear.", "impression": "Normal."}', "Clear."),
        ('{"findings": "Clear', '{"findings": "Clear'),
        ('The findings: {"impression": "Normal."}', 'The findings: {"impression": "Normal."}'),
    ],
)
def test_a_report_in_json_is_its_sections(completion, text):
    assert parse(completion, REPORT, DIRECT).text == text


def test_a_report_stays_as_it_is_written():
    report = "**FINDINGS:** The answer is not clear. Size $5.\n\n## IMPRESSION:\n- *No* acute disease."
    plain = "FINDINGS: The answer is not clear. Size $5.\n\nIMPRESSION:\n- *No* acute disease."
    for text in (report, f"<answer>{report}</answer>", f"```markdown\n{report}\n```", f"\\boxed{{{report}}}"):
        assert parse(text, REPORT, DIRECT).text == plain
    assert parse('{"report": "Clear.\\nNo effusion."}', REPORT, DIRECT).text == "Clear.\nNo effusion."


@pytest.mark.parametrize("wrapper", ["{}", "<answer>{}</answer>", "\\boxed{{{}}}", '{{"answer": "{}"}}', "**{}**"])
def test_boxes_are_taken_out_too(wrapper):
    (box,) = parse(wrapper.format("heart [0.1, 0.2, 0.3, 0.4]"), BOXES, DIRECT).boxes
    assert box.xyxy == (0.1, 0.2, 0.3, 0.4)
    text = '[{"bbox_2d": [1, 2, 3, 4], "label": "heart"}]'
    (box,) = parse(f"<answer>{text}</answer>", BOXES, PromptStyle("thousand")).boxes
    assert box.label == "heart"  # its key is no answer


@pytest.mark.parametrize(
    ("form", "completion", "kept"),
    [
        ("tags", "<answer>B</answer>", True),
        ("tags", "Two lines. <answer>B</answer>", True),
        ("tags", "<answer>B</answer> as I said", False),
        ("tags", "<answer>B", False),
        ("tags", "<answer>A</answer><answer>B</answer>", False),
        ("tags", "B", False),
        ("tags", "\\boxed{B}", False),
        ("boxed", "So \\boxed{B}.", True),
        ("boxed", "<answer>\\boxed{B}</answer>", True),
        ("boxed", "<answer>B</answer>", False),
        ("plain", "<answer>B</answer>", True),
    ],
)
def test_the_form_asked_for_is_kept_or_not_but_read_either_way(form, completion, kept):
    answer = parse(completion, CHOICE, PromptStyle(answer_format=form))
    assert (answer.choice, answer.well_formed) == (1, kept)
    thought = parse(f"<think>a</think>\n{completion}", CHOICE, PromptStyle(answer_format=form, thinking=True))
    assert (thought.choice, thought.well_formed) == (1, kept)


def test_what_stands_at_the_end_of_a_long_answer_is_read():
    talk = "The angle is blunted. " * 3000
    assert parse(talk + "Answer: B", CHOICE, DIRECT).choice == 1
    assert parse("B. " + talk, CHOICE, DIRECT).choice == 1
    assert parse(talk + "<answer>B</answer>", CHOICE, DIRECT).text == "B"


def test_a_statement_after_a_box_is_read_with_it():
    assert parse("It measures \\boxed{3 cm}.\n\nAnswer: B", CHOICE, DIRECT).choice == 1
    assert parse("\\boxed{A}\n\nAnswer: B", CHOICE, DIRECT).choice is None


def test_reward_metric_and_page_go_by_the_same_option():
    said = ["<answer>B</answer>", "\\boxed{A}", "A. right"]
    said += ["No, there is none.", "Yes, there is.", "There is no effusion."]
    closed = Example(id="n", task="vqa_closed", question="Is there an effusion?", reference="no")  # without its choices
    asked = [CHOICE.model_copy(update={"id": str(i)}) for i in range(3)]
    asked += [closed.model_copy(update={"id": str(i), "reference": "yes" if i == 4 else "no"}) for i in range(3, 6)]
    scorer = registry.get("vqa_accuracy")
    (reward,) = scorer_values([scorer], list(map(Completion, said, asked)), DIRECT)
    answers = [parse(text, one, DIRECT) for text, one in zip(said, asked, strict=True)]
    found = score_cases(asked, [answers])
    picture = Picture(None, "", 750)
    page = cases.case_data(asked, {"model": answers}, {"model": found}, [picture] * 6, [], "model")
    assert reward == found.columns["vqa_closed accuracy"].by_case.tolist() == [1, 0, 0, 1, 1, 1]
    assert [table.at(np.ones((1, 6)))[0] for table in found.columns["yes_f1"].statistics] == [1]
    assert [one["a"][0]["o"] for one in page["cases"]] == ["right", "left", "", "no", "yes", "no"]


PIECES = [
    "[", "]", "[0.1, 0.2, 0.3, 0.4]", "[1, 2,", ",", "-", "." * 9, "9" * 400, "٣", "\ud800", "\udfff", "\x00",
    "<think>", "</think>", '"label": "', "the ", " ", "\n", "answer is ", "A", "(", "no", "ß", "İ", "<answer>",
    "</answer>", "\\boxed{", "}", "\\text{", "$", '{"answer": "', "'answer': '", "Answer:", "**", "```", "#",
    "◁think▷", "[THINK]", "<reasoning>", "## Thinking\n", "\n## Final Response",
]  # fmt: skip
any_text = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=300),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.tuples(st.lists(st.sampled_from(PIECES), max_size=3), st.sampled_from(PIECES)).map(
        lambda parts: "".join(parts[0]) + parts[1] * (100_000 // len(parts[1])) + "!"
    ),
)
styles = st.builds(
    PromptStyle, st.sampled_from(["unit", "thousand"]), st.booleans(), think_in_template=st.booleans(),
    answer_format=st.sampled_from(["plain", "tags", "boxed"]),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(any_text, st.sampled_from([REPORT, OPEN, BOXES, CHOICE, YES_NO]), styles)
def test_any_text_is_parsed(text, example, style):
    answer = parse(text, example, style)  # Box refuses what is no box
    assert answer.choice is None or answer.choice < len(example.choices)
    assert not answer.well_formed or answer.text

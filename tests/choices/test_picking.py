"""Which option a text picks: forms that models write, contradictions, and any text."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.answers.parsing import parse
from radrl.choices.options import options
from radrl.choices.picking import LETTERS, read_choice
from radrl.choices.references import with_capitals
from radrl.choices.wording import cleaned, words
from radrl.example import Example
from radrl.prompt.messages import PromptStyle
from radrl.scoring.vqa import is_right

FIELD_CASES = Path(os.environ.get("RADRL_TEST_DATA", "../shared/data")) / "field_cases" / "choices.jsonl"
CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))
FILM = ("Pneumothorax", "Pleural effusion", "Atelectasis", "Cardiomegaly")
SETS = (FILM, *(tuple(case["choices"]) for case in CASES["sets"] if case["choices"][0] not in ("a", "C")))
ASKED = "Is there a pneumothorax?"


def example(choices: tuple[str, ...], question: str = "Which?") -> Example:
    return Example(id="a", task="vqa_closed", question=question, choices=choices, reference=choices[0])


@pytest.mark.parametrize("text", [text for texts in CASES["second"].values() for text in texts])
def test_forms_that_pick_the_second_option(text):
    answer = parse(text, example(FILM), PromptStyle())
    assert (answer.choice, answer.well_formed) == (1, True)


@pytest.mark.parametrize("text", [*CASES["none"], "", "\ud800"])
def test_what_contradicts_itself_or_refuses_picks_none(text):
    assert read_choice(text, FILM) is None


@pytest.mark.parametrize("case", CASES["sets"], ids=lambda case: case["choices"][0])
def test_options_of_every_kind(case):
    assert {text: read_choice(text, tuple(case["choices"])) for text in case["picked"]} == case["picked"]


def test_a_denial_may_be_the_answer_to_what_is_not_seen():
    text = "There is a pleural effusion but no pneumothorax."
    assert (read_choice(text, FILM), read_choice(text, FILM, "Which of these is NOT seen?")) == (1, None)
    lungs, clear = ("left lung", "right lung"), "The left lung is clear, the right lung shows an opacity."
    assert [read_choice(clear, lungs, f"Which lung is {word}?") for word in ("affected", "clear")] == [1, None]


@pytest.mark.parametrize(("said", "text"), [(said, text) for said, texts in CASES["yes_no"].items() for text in texts])
def test_yes_and_no(said, text):
    choices = ("Yes", "No")
    picked = read_choice(text, choices, ASKED)
    assert picked == {"yes": 0, "no": 1, "neither": None}[said]
    closed = Example(id="a", task="vqa_closed", question=ASKED, reference="no")  # its choices are not told
    assert is_right(closed, parse(text, closed, PromptStyle())) == (said == "no")


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        ("Are the lungs normal?", "No abnormality is seen.", None),
        ("Are the lungs normal?", "The lungs are not normal.", 1),
        ("Are the lungs normal?", "Yes, no abnormality is seen.", 0),
        ("Are the lungs normal?", "No, there is an effusion.", 1),
        ("Is there a right effusion?", "There is a left effusion.", None),
        ("Is there a right effusion?", "There is no left effusion.", None),
        ("Is there a right effusion?", "There is no effusion.", 1),
    ],
)
def test_a_sentence_is_yes_or_no_to_what_was_asked(question, text, said):
    assert read_choice(text, ("yes", "no"), question) == said


@pytest.mark.skipif(not FIELD_CASES.is_file(), reason=f"no {FIELD_CASES}: set RADRL_TEST_DATA to the shared data")
def test_field_cases():
    rows = [json.loads(line) for line in FIELD_CASES.read_text(encoding="utf-8").splitlines()]
    found = {}
    for row in rows:
        asked, style = example(tuple(row["choices"])), PromptStyle(thinking=row["thinking"])
        found[row["id"]] = parse(row["completion"], asked, style).choice
    wrong = [row["id"] for row in rows if found[row["id"]] not in (None, row["want"])]
    sure = [found[row["id"]] == row["want"] for row in rows if row["sure"]]
    assert not wrong
    assert sum(sure) >= 0.99 * len(sure)


WRAPPERS = (
    "{}", " {}\n", "**{}**", "<answer>{}</answer>", "<ANSWER> {}</ANSWER>", "Look. <answer>{}", "\\boxed{{{}}}",
    "The answer is $\\boxed{{\\text{{{}}}}}$.", "\\[\\boxed{{{}}}", '{{"answer": "{}"}}',
            "```json\n{{'answer': '{}'}}\n```",
    "Final answer: {}", "### Answer\n{}", "<think>A or B or C</think>{}", "no, yes</think>\n<answer>{}</answer>",
            "答案：{}",
    "The image speaks for it.\n\n**Answer:** {}", "{}<|im_end|>", "“{}”", "Answer - {}",
)  # fmt: skip
asked = st.sampled_from(SETS).flatmap(lambda choices: st.tuples(st.just(choices), st.integers(0, len(choices) - 1)))


def forms(choices: tuple[str, ...], index: int) -> list[str]:
    letter, text = LETTERS[index], choices[index]
    return [letter, f"({letter})", f"{letter}.", text, f"{letter}. {text}", f"{letter}) {text}", f"{letter}: {text}"]


@settings(deadline=None, max_examples=300)
@given(asked, st.integers(0, 6), st.sampled_from(WRAPPERS))
def test_what_wraps_an_answer_does_not_change_it(pick, form, wrapper):
    choices, index = pick
    text = wrapper.format(forms(choices, index)[form])
    assert parse(text, example(choices), PromptStyle()).choice == index


@settings(deadline=None, max_examples=300)
@given(
    asked, st.integers(1, 5), st.integers(0, 6), st.integers(0, 6),
    st.sampled_from(
        [" or ", " and ", "/", ", ", "; ", " & ", "\n", "\n\n", " and/or ", ". ", " or maybe ", "\nAnswer: "]
    ),
    st.sampled_from(["{}", "<answer>{}</answer>", "\\boxed{{{}}}", "The answer is {}"]),
)  # fmt: skip
def test_two_options_are_none(pick, step, first, second, joined, wrapper):
    choices, index = pick
    other = (index + step) % len(choices)
    if other == index:
        return
    text = forms(choices, index)[first].rstrip(".") + joined + forms(choices, other)[second]
    assert parse(wrapper.format(text), example(choices), PromptStyle()).choice is None


def names(index: int) -> list[str]:
    """How a text may name one of FILM's options."""
    letter, words, place = LETTERS[index], FILM[index], ("first", "second", "third", "fourth")[index]
    small = letter.lower()
    return [
        letter, f"({letter})", f"option {letter}", f"option {small}", f"choice ({small})", f"({small})", words,
        f"the {place} option", f"The {place} choice", f"Option {index + 1}", f"{letter}. {words}", words.lower(),
        f"option {small} ({words.lower()})",
    ]  # fmt: skip


NO_PICK = (
    "{x} and {y}", "{x} or {y}", "{x}, {y}", "{x}; {y}", "{x}/{y}", "both {x} and {y}", "Both {x} and {y} are correct.",
    "either {x} or {y}", "The answer is {x} or {y}.", "The correct options are {x} and {y}.", "{x} as well as {y}",
    "{x} is correct and {y} is correct.", "{x} is correct. {y} is correct.", "It could be {x} or maybe {y}.",
    "not only {x} but also {y}", "neither {x} nor {y}", "{x} through {y}", "I would choose {x} or {y}.",
    "{x} and {y} are incorrect.", "{x} is wrong and {y} is wrong.", "all but {x} and {y}", "Between {x} and {y}.",
)  # fmt: skip
SECOND_OR_NONE = (
    "not {x} but {y}", "{x} is incorrect; {y}", "{x} is wrong, {y} is correct.", "{y}, not {x}", "{y} rather than {x}",
    "It is not {x}, it is {y}.", "{x} is not correct. {y} is correct.", "{x} can be ruled out, so the answer is {y}.",
    "Excluding {x}, the answer is {y}.", "{x} is unlikely; {y} is most likely.", "I would choose {y} over {x}.",
)  # fmt: skip
DENIED = (
    "not {x}", "{x} is incorrect.", "{x} is not correct", "anything but {x}", "everything except {x}", "It is not {x}.",
    "I do not think it is {x}.", "{x} can be ruled out.",
)  # fmt: skip
ways = st.integers(0, len(names(0)) - 1)


@settings(deadline=None, max_examples=1000)
@given(st.sampled_from(NO_PICK + SECOND_OR_NONE + DENIED), st.permutations(range(4)), ways, ways, st.booleans())
def test_no_sentence_picks_what_it_does_not_name_alone(frame, order, one, other, capital):
    first, second = order[:2]
    text = frame.format(x=names(first)[one], y=names(second)[other])
    picked = read_choice(text[0].upper() + text[1:] if capital else text, FILM)
    assert picked is None or (picked == second and frame in SECOND_OR_NONE)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(["{}", "{} is correct.", "The answer is {}.", "I would choose {}", "So, {} is the right answer."]),
    st.integers(0, 3), ways,
)  # fmt: skip
def test_an_option_is_picked_however_it_is_referred_to(frame, index, way):
    name = names(index)[way]
    if (frame, name) != ("So, {} is the right answer.", "(a)"):
        assert read_choice(frame.format(name), FILM) == index


@pytest.mark.parametrize("text", ["B is incorrect, C is correct.", "Option C is correct", "B is false; C is true"])
def test_where_the_false_one_is_asked_for_what_is_called_correct_is_no_answer(text):
    assert read_choice(text, FILM, "Which statement is incorrect?") != 2


def test_letters_and_places_that_are_words_of_the_options_stay():
    assert read_choice("Hepatitis b is excluded. The answer is Hepatitis C", ("Hepatitis B", "Hepatitis C")) == 1
    assert read_choice("The first rib", ("First rib", "Second rib")) == 0
    assert read_choice("Option 2", ("2", "1")) != 1


PIECES = [
    "A", "b)", "(c", "B. ", "answer is ", "Answer: ", "not ", "Pneumothorax", "pleural", " effusion", "\n", " ", ". ",
    "no ", "\ud800", "it's ", "I ", "and ", "or ", "is correct", "option ", "wait, ", "because ", "<answer>",
    "</answer>", "\\boxed{", "}", '{"answer": "', "答案", "ﬁ", "İ", "three ", "</think>", "yes ", "(A)", "1 ", "#", "<",
]  # fmt: skip
any_text = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(
    st.characters(exclude_categories=()), max_size=60
)


@settings(deadline=None, max_examples=300)
@given(any_text, st.sampled_from([*SETS, ("yes", "no")]))
def test_a_picked_option_is_named_by_letter_or_words(text, choices):
    picked = read_choice(text, choices)
    if picked is None or choices == ("yes", "no"):
        return
    lines = with_capitals(cleaned(text), options(choices))
    letter = re.search(rf"(?<![A-Za-z]){LETTERS[picked]}(?![A-Za-z])", lines, re.I)
    assert letter or {word.norm for word in words(cleaned(choices[picked]))} <= {word.norm for word in words(lines)}


@pytest.mark.parametrize("piece", [*PIECES, "Answer: B. ", "pleural effusion, ", "A or "])
@pytest.mark.parametrize("choices", [FILM, ("yes", "no")], ids=["letters", "yes-no"])
def test_a_hundred_thousand_characters_do_not_hang(piece, choices):
    parse(piece * (100_000 // len(piece)), example(choices), PromptStyle())  # quadratic time would be minutes

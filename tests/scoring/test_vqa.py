"""Right and wrong short answers."""

import pytest

from radrl.example import Answer, Example
from radrl.scoring import registry, vqa


def score(name, reference, answer, choices=(), choice=None):
    task = "vqa_closed" if choices else "vqa_open"
    example = Example(id="a", task=task, question="?", reference=reference, choices=choices)
    return registry.get(name)([example], [Answer(answer, choice=choice)])[0].value


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [("Yes", "yes.", 1), ("yes", "True", 1), ("no", "Yes", 0), ("The left lung", "left  lung", 1), ("left", "right", 0),
     ("two", "2", 1), ("4.5 cm", "4, 5 cm", 0), ("none", "Nothing", 1), ("no", "none", 0), ("left lung", "left", 0),
     ("X-ray", "x ray", 1)],
)  # fmt: skip
def test_equal_once_normalised(reference, answer, right):
    assert score("vqa_accuracy", reference, answer) == right


@pytest.mark.parametrize(
    ("answer", "choice", "right"),
    [("B", 1, 1), ("A", 0, 0), ("B, or rather the left", 0, 0), ("Right.", None, 0), ("left", None, 0),
     ("left right", None, 0), ("!", None, 0)],
)  # fmt: skip
def test_choices(answer, choice, right):
    assert score("vqa_accuracy", "right", answer, ("left", "right", "both"), choice) == right


def test_choices_that_differ_only_in_punctuation():
    choices = ("T1", "T.1")
    assert score("vqa_accuracy", "T.1", "B", choices, 1) == 1
    assert score("vqa_accuracy", "T.1", "B", choices, 0) == 0
    assert score("vqa_accuracy", "the a", "A.", ("a mass", "A", "the a"), None) == 0  # fits two options: no answer


@pytest.mark.parametrize("reference", ["no", "No", "false"])
def test_a_closed_question_without_choices_is_read_as_yes_or_no(reference):
    asked = Example(id="a", task="vqa_closed", question="Is there an effusion?", reference=reference)
    said = ["No.", "No, there is none.", "There is no effusion.", "Yes, there is", "yes or no", "effusion"]
    assert [vqa.is_right(asked, Answer(text)) for text in said] == [True] * 3 + [False] * 3
    side = Example(id="a", task="vqa_closed", question="Which side?", reference="left")
    assert [vqa.is_right(side, Answer(text)) for text in ("Left.", "no")] == [True, False]


def test_token_f1():
    assert score("token_f1", "left lower lobe", "The left lobe") == pytest.approx(0.8)
    assert score("token_f1", "left", "left left") == pytest.approx(2 / 3)  # repeating earns nothing
    assert score("token_f1", "left", "right") == score("token_f1", "left", "!") == 0


def test_normalise_is_stable():
    for text in ("The two-view X-ray: 4.5cm!", "ＹＥＳ", "a an the"):
        assert vqa.normalise(vqa.normalise(text)) == vqa.normalise(text)


@pytest.mark.parametrize(
    ("text", "right"),
    [("B", 1), (" b ", 1), ("Pleural effusion", 1), ("b. pleural effusion", 1), ("B.", 0), ("B: pleural effusion", 0),
     ("A", 0), ("mass", 0), ("The answer is B", 0), ("", 0)],
)  # fmt: skip
def test_medvlthinkers_grading_takes_nothing_but_the_option(text, right):
    assert score("vqa_accuracy_exact", "Pleural effusion", text, choices=("Mass", "Pleural effusion")) == right

"""Scorers of short answers to questions.

Which option an answer picks is read by `radrl.answers.parsing.parse`; everything that asks whether an answer is
right goes by `is_right`, and so by that option.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from radrl.choices.picking import read_choice
from radrl.choices.wording import ARTICLES, NUMBERS
from radrl.example import Answer, Example, Score
from radrl.scoring.registry import scorer

YES_NO = ("yes", "no")
SYNONYMS = {
    **dict.fromkeys(("yes", "yeah", "yep", "true", "correct", "affirmative"), "yes"),
    **dict.fromkeys(("no", "nope", "false", "incorrect", "negative"), "no"),
    **dict.fromkeys(("none", "nothing", "nil", "neither"), "none"),
    **{word: str(n) for n, word in enumerate(NUMBERS[:11])},
}
PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}’‘“”–—]")
DECIMAL_POINT = re.compile(r"(?<=\d)\.(?=\d)")


@scorer("vqa_accuracy", tasks=("vqa_closed", "vqa_open"), source="ours", cheated="by chance, 1/k of k options")
def vqa_accuracy(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """1 where the answer is right, else 0.

    With choices: the option that the answer picks is the reference. Closed questions without choices whose reference is
    yes or no: the answer says the same, in whatever words. Others: the texts are equal once normalised (case, articles,
    punctuation, spaces, words for yes, no, none, and the numbers up to ten); where the data set accepts several answers
    (``meta.answers``), any of them.
    """
    return [Score(float(is_right(example, answer))) for example, answer in zip(examples, answers, strict=True)]


@scorer(
    "vqa_accuracy_exact",
    tasks=("vqa_closed",),
    title="accuracy, nothing but the option",
    source="arXiv 2508.02669",
    cheated="by chance, 1/k of k options",
)
def vqa_accuracy_exact(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """1 where the answer is the right option's letter, its text, or ``letter. text``, in any case, else 0. So
    MedVLThinker grades what stands in its answer tags (arXiv 2508.02669, eval/run_offline_inference.py)."""
    return [Score(float(_is_exact(example, answer))) for example, answer in zip(examples, answers, strict=True)]


def _is_exact(example: Example, answer: Answer) -> bool:
    right = {example.reference}
    if example.reference in example.choices:
        letter = string.ascii_uppercase[example.choices.index(example.reference)]
        right |= {letter, f"{letter}. {example.reference}"}
    return answer.text.strip().lower() in {one.strip().lower() for one in right}


@scorer(
    "token_f1", tasks=("vqa_open",), source="arXiv 1606.05250 (SQuAD)", cheated='a "no" that is left out costs one word'
)
def token_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """F1 of the normalised words of answer and reference, counted as often as they stand, in 0-1 (as in SQuAD).

    Parts: ``precision`` and ``recall``. Both without words give 1. Where the data set accepts several answers
    (``meta.answers``), the best one counts.
    """
    return [
        max((_token_f1(reference, answer.text) for reference in accepted(example)), key=lambda score: score.value)
        for example, answer in zip(examples, answers, strict=True)
    ]


def accepted(example: Example) -> tuple[str, ...]:
    """Returns the answers that count as right: the reference, and what ``meta.answers`` holds besides."""
    others = example.meta.get("answers", ())
    others = others if isinstance(others, list | tuple) else ()
    return tuple(dict.fromkeys((example.reference, *(text for text in others if isinstance(text, str)))))


def _token_f1(reference: str, text: str) -> Score:
    wanted, given = Counter(normalise(reference).split()), Counter(normalise(text).split())
    common, n_wanted, n_given = (wanted & given).total(), wanted.total(), given.total()
    parts = {
        "precision": common / n_given if n_given else float(not n_wanted),
        "recall": common / n_wanted if n_wanted else float(not n_given),
    }
    return Score(2 * common / (n_wanted + n_given) if n_wanted + n_given else 1.0, parts)


def normalise(text: str) -> str:
    """Returns the words of a short answer in one spelling, with one space between them."""
    text = unicodedata.normalize("NFKC", text)  # full-width letters and digits
    text = DECIMAL_POINT.sub("\0", text.casefold())  # "4.5" stays one number and is not 45
    words = PUNCTUATION.sub(" ", text).replace("\0", ".").split()
    return " ".join(SYNONYMS.get(word, word) for word in words if word not in ARTICLES)


def is_right(example: Example, answer: Answer) -> bool:
    """Returns whether an answer is right, by the rule of vqa_accuracy."""
    if example.choices:
        return picked(example, answer) == example.reference
    if is_yes_no_question(example):
        return picked(example, answer) == normalise(example.reference)
    return normalise(answer.text) in {normalise(text) for text in accepted(example)}


def picked(example: Example, answer: Answer) -> str | None:
    """Returns the option that an answer picks as it stands in the choices, and without these yes or no; None where it
    picks none. For questions with choices and closed yes-or-no ones."""
    if example.choices:
        return None if answer.choice is None else example.choices[answer.choice]
    index = read_choice(answer.text, YES_NO, example.question)
    return None if index is None else YES_NO[index]


def is_yes_no_question(example: Example) -> bool:
    """Returns whether a closed question is answered with yes or no, whether or not its choices say so."""
    return example.task == "vqa_closed" and normalise(example.reference) in YES_NO

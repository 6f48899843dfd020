"""Which option a text picks; the plain forms are in test_prompt.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.choices import read_choice

FILM = ("pneumothorax", "pleural effusion", "mass", "no pleural effusion")


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        *((text, 1) for text in ("The answer is B because the angle is blunted.", "B) effusion", "(b)", "**B**", "B:")),
        *((text, 1) for text in ("Answer: pleural effusion", "I think it is pleural effusion.", "b because of A.")),
        *((text, 1) for text in ("The film shows a pleural effusion.", "There is a pleural effusion on the left.")),
        *((text, 1) for text in ("It is not a mass but a pleural effusion.", "A pleural effusion is seen, no mass.")),
        *((text, 1) for text in ("The answer is not A, it is B.", "Option A is wrong. Option B is right.")),
        *((text, 1) for text in ("Mass is unlikely; pleural effusion.", "Pleural\neffusion is likely")),
        *((text, 1) for text in ("A large heart. The answer is B.", "B. pleural effusion and some more")),
        *((text, 3) for text in ("There is no pleural effusion.", "No pleural effusion, and no mass.", "(D)")),
        *((text, None) for text in ("not B", "The answer is not B", "There is no mass.", "Option B is wrong.")),
        *((text, None) for text in ("Options A to D", "\u017f.", "\u212a)", "Answer: A. Answer: B")),
        *((text, None) for text in ("A, B", "A/B", "A or B", "The answer is A, B", "(a), or C")),
        *((text, None) for text in ("pneumothorax or mass", "A. The answer is B.", "A. mass", "I see", "E")),
        *((text, None) for text in ("", "\ud800", "mass and pleural effusion", "No mass, pneumothorax or effusion")),
    ],
)  # fmt: skip
def test_what_is_picked(text, picked):
    assert read_choice(text, FILM) == picked


@pytest.mark.parametrize(
    ("text", "picked"),
    [("The answer is yes.", 0), ("Answer: No", 1), ("No, the answer is yes", 1), ("It is yes or no", 0),
     ("There is none", None), ("ye\u017f", None), ("The answer is not yes", None)],
)  # fmt: skip
def test_yes_and_no(text, picked):
    assert read_choice(text, ("Yes", "No")) == picked


PIECES = [
    "A",
    "b)",
    "(c",
    "answer is ",
    "not ",
    "mass",
    "pleural",
    " effusion",
    "\n",
    " ",
    ". ",
    "no ",
    "\ud800",
    "it's ",
]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=50))
def test_any_text(text):
    picked = read_choice(text, FILM)
    assert picked is None or 0 <= picked < len(FILM)


@pytest.mark.parametrize(
    "piece", ["mass ", "no ", "answer is ", " ", "(", "\n", "A ", "pleural ", "no mass, ", "it is " * 9]
)
def test_a_hundred_thousand_characters_do_not_hang(piece):
    read_choice(piece * (100_000 // len(piece)), FILM)  # quadratic time would be minutes

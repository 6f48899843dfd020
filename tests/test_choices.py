"""Which option a text picks: forms that models write, contradictions, and any text."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.answers import parse
from radrl.choices import LETTERS, read_choice
from radrl.example import Example
from radrl.prompt import PromptStyle
from radrl.reading.wording import cleaned, words

FIELD_CASES = Path(os.environ.get("RADRL_TEST_DATA", "../shared/data")) / "field_cases" / "choices.jsonl"
FILM = ("Pneumothorax", "Pleural effusion", "Atelectasis", "Cardiomegaly")
LUNGS = ("left lung", "right lung", "both lungs", "neither lung")
COUNT = ("1", "2", "3", "4")
SIZE = ("5 mm", "10 mm", "15 mm", "20 mm")
SCAN = ("X-Ray", "CT", "MRI", "Ultrasound")
VITAMIN = ("Vitamin A", "Vitamin B", "Vitamin C", "Vitamin D")
TURNED = ("Vitamin D", "Vitamin A", "Vitamin C", "Vitamin B")
BEGINNINGS = ("pleural effusion", "pleural thickening", "pneumonia", "pneumonia with effusion")
ABOVE = ("Blue arrow", "Red arrow", "All of the above", "None of the above")
AIR = ("No pneumothorax", "Small right pneumothorax", "Large right pneumothorax", "Tension pneumothorax")
GROWTH = ("Benign", "Malignant", "Cannot be determined")
GERMS = ("E. coli", "S. aureus", "C. difficile", "K. pneumoniae")
PHRASES = ("A mass in the right upper lobe", "A nodule in the left lower lobe", "No abnormality")
PANELS = ("C", "A", "D", "B")
GRADES = ("I", "II", "III", "IV")
SPINE = ("C-spine", "T-spine", "L-spine", "Pelvis")
LEVELS = ("L4-L5", "L5-S1", "L3-L4", "T12-L1")
STATUS = ("HER2+", "HER2-", "ER+", "ER-")
MONEY = ("$100", "$200", "$300", "$1,000")
SENTENCES = ("Acute infarct. No hemorrhage.", "Acute hemorrhage. No infarct.", "Normal brain.")
ORGANS = tuple("肺肝脾肾")
MANY = tuple(f"finding {i}" for i in range(1, 27))
SETS = (
    FILM,
    LUNGS,
    VITAMIN,
    TURNED,
    BEGINNINGS,
    AIR,
    GERMS,
    PHRASES,
    GRADES,
    SPINE,
    LEVELS,
    MONEY,
    SENTENCES,
    MANY[:6],
)

LETTER = "B|B.|B)|(B)|[B]|{B}|b|(b)|b.|B:|'B'|\"B\"|**B**|*B*|`B`|_B_|# B|- B|* B|> B|B!|Option B|Choice B|Letter: B"
SAYS = """The answer is B.|The answer is (b).|ANSWER: B|Ans: B|Ans. B|Answer - B|Answer – B|Answer=B|Answer B|answer:B
Final answer: **B**|**Final answer:** **B. Pleural effusion**|### Answer\\nB|Answer:\\n\\nB) Pleural effusion|It is B.
The correct option is B.|The best answer is B, pleural effusion.|Thus the final answer is: B|I would choose B.|I'd go with B
So, option B is correct.|B is the correct answer.|The answer to this question is B|The answer choice is B|Selected answer: B
The diagnosis is pleural effusion, which corresponds to option B.|Therefore, B.|So B.|Given the blunted angle: B|B fits best.
The most likely diagnosis is B. Pleural effusion.|My best guess is B.|I'm not certain, but the answer is B.|B, not A|B (see it)
The answer is not A. The answer is B.|The answer is not A but B.|Not sure about A. Option A is wrong. Option B is right.
First I thought A, but the answer is B.|Initially it seems A, but the correct answer is B.|The answer is A or B. The answer is B.
The answer is A. Wait, actually the answer is B.|Answer: A\\nCorrection: Answer: B|The answer is A. No, the answer is B.
A. Pneumothorax: no line. B. Effusion: fits. C. Atelectasis: no. The answer is B.|A is incorrect. B is correct. C is not.
Options: A. Pneumothorax B. Pleural effusion C. Atelectasis D. Cardiomegaly. Answer: B|Answer: B. Option A is wrong.
A. Pneumothorax\\nB. Pleural effusion\\nC. Atelectasis\\nD. Cardiomegaly\\n\\nThe correct answer is B. Pleural effusion."""
WORDS = """Pleural effusion|pleural effusion.|"Pleural effusion"|Pleural-effusion|A pleural effusion.|There is a pleural effusion.
The most likely diagnosis is pleural effusion.|There is a pleural effusion and no pneumothorax.|Pleural effusion, not atelectasis
Blunting indicates pleural effusion rather than atelectasis.|Pneumothorax and atelectasis are absent. Pleural effusion is seen.
Neither pneumothorax nor atelectasis, but pleural effusion|If there were a pneumothorax, a line would show; a pleural effusion is seen.
The correct answer is pleural effusion, because pneumothorax would show a line.|Pleural effusion\\n\\nExplanation: no pneumothorax"""
BOTH = """B. Pleural effusion|B) pleural effusion.|B: Pleural effusion|B – Pleural effusion|b. pleural effusion|B.Pleural effusion
Pleural effusion (B)|B (pleural effusion)|B\\n\\nThe angle is blunted.|B. There is no pneumothorax.|B. The angle is blunted; no atelectasis.
B because the angle is blunted|B. Pleural effusion\\n\\nA. Pneumothorax is wrong.\\nC. Atelectasis is unlikely.|The angle is blunted.\\n\\nB
The angle is blunted. B.|B. Pleural effusion\\nThe other options are incorrect:\\nA. Pneumothorax: no line"""
OTHERS = """Ｂ|（B）|【B】|“B”|«B»|B。|答案：B|答案是B。|正确答案是B|我选择B|选B|✅ B|→ B|\u200bB\ufeff|𝐁|Ⓑ|<b>B</b>|Réponse : B|Antwort: B
| B ||B</s>|B<|im_end|>"""
NONE = """A and B|A or B|A/B|A, B|A & B|A B|AB|A. B.|A. B) Pleural effusion|A or Pleural effusion|Pneumothorax or B|Pneumothorax or B. Pleural effusion|(A) and (B)|A\\nB|Both A and B|Either A or B|A, but maybe B|A and B are possible
The answer is A or B.|The answer is A. The answer is B.|Answer: A\\nAnswer: B|Answer: A\\nB|A. The answer is B.|A is correct. B is correct.
Pneumothorax. The answer is B.|The answer is A. The answer is pleural effusion.|Answer: B. A is correct.|I choose A. I choose B.
A. Pleural effusion|(A) Pleural effusion|A - Pleural effusion|Pleural effusion (A)|Answer: A. Pleural effusion|The answer is A, pleural effusion
B. There is a pneumothorax.|B. The film shows a pneumothorax.|B. There is no pleural effusion.|B. No pleural effusion|A. Pneumothorax\\nB. Pleural effusion
Pneumothorax or pleural effusion|Pneumothorax, pleural effusion|Pneumothorax/Pleural effusion|Pneumothorax. Pleural effusion.|Pneumothorax\\nPleural effusion
The answer is pneumothorax or pleural effusion.|Pneumothorax and pleural effusion are absent.|There is no pleural effusion.|Pleural effusion: no
Pleural effusion is unlikely.|Pleural effusion cannot be excluded.|Not B|The answer is not B.|I would not choose B.|Option B is wrong.
I don't think the answer is B.|Is it B? I don't know.|If the answer were B, it would show.|Whether there is a pleural effusion is unclear.
I'm sorry, but I can't help with medical images.|I don't know|I would need more information.|None of the options are correct.
As an AI I cannot read films; pleural effusion is diagnosed by a radiologist.|To diagnose pleural effusion, look at the angle.
Is there a pleural effusion?|pleural|effusion|The heart is large.|Z|Z. something|Answer: Z|Answer: Z. Pleural effusion|A mass|A B-line is seen
I see|N/A|.||The answer is|A.P. view|Bad film|\ud800|\u017f.|\u212a)"""


def lines(block: str) -> list[str]:
    """Returns the cases of a block; a bar or line end parts them, but for those of special tokens."""
    parts = re.split(r"(?<!<)(?<!im_end)\||\n", block)
    return [part.replace("\\n", "\n") for part in parts]


@pytest.mark.parametrize("text", [text for block in (LETTER, SAYS, WORDS, BOTH, OTHERS) for text in lines(block)])
def test_forms_that_pick_the_second_option(text):
    example = Example(id="a", task="vqa_closed", question="Which?", choices=FILM, reference=FILM[0])
    answer = parse(text, example, PromptStyle())
    assert (answer.choice, answer.well_formed) == ((1, True) if text.strip(" |") else (None, False))


@pytest.mark.parametrize("text", lines(NONE))
def test_what_contradicts_itself_or_refuses_picks_none(text):
    assert read_choice(text, FILM) is None


@pytest.mark.parametrize(
    ("choices", "picked"),
    [
        (LUNGS, {"Right lung": 1, "both lungs": 2, "The left lung is clear, the opacity is in the right lung.": 1, "right": None,
                 "I can't see an abnormality in the left lung or the right lung.": None, "Both lungs are clear.": None,
                 "Left and right lung": None, "D. Neither": 3, "Neither lung is affected.": 3}),
        (COUNT, {"C": 2, "3": 2, "three": 2, "There are three nodules": 2, "C. 3": 2, "A. 3": None, "3 or 4": None, "13": None,
                 "3.5": None, "3-4": None, "more than 3": None, "There are 3 nodules, the largest of 12 mm.": 2, "T3": None,
                 "2 in the left and 1 in the right": None, "One of the options": None, "There is one nodule.": 0}),
        (SIZE, {"10mm": 1, "about 10 mm": 1, "It measures 10 mm.": 1, "less than 10 mm": None, "> 10 mm": None, "10": None,
                "5-10 mm": None, "5 to 10 mm": None, "110 mm": None, "10.5 mm": None, "B. 15 mm": None}),
        (SCAN, {"It is an X-ray.": 0, "Xray": 0, "chest x-ray": 0, "MRI scan": 2, "CT, not MRI": 1, "CT or MRI": None, "C.T.": None}),
        (VITAMIN, {"Vitamin B": 1, "B": 1, "The answer is Vitamin C.": 2, "It is vitamin A.": 0, "A. Vitamin B": None}),
        (TURNED, {"A": 0, "Vitamin A": 1, "The answer is vitamin A.": 1, "The answer is A.": 0, "A. Vitamin A": None,
                  "B. Vitamin A": 1, "(A) Vitamin A": None, "Vitamin A is deficient.": 1}),
        (BEGINNINGS, {"pleural": None, "pneumonia": 2, "pneumonia with effusion": 3, "The answer is pneumonia.": 2, "D. pneumonia": None,
                      "C. pneumonia with effusion": None, "pneumonia with a small effusion": None,
                      "pleural effusion and thickening": None}),
        (ABOVE, {"None of the above": 3, "None of these": 3, "none of the options are correct": 3, "all of them": 2, "Blue": None}),
        (AIR, {"There is a small right pneumothorax.": 1, "There is no pneumothorax.": 0, "a right pneumothorax": None,
               "There is no tension pneumothorax.": None, "B. There is no pneumothorax.": None}),
        (GROWTH, {"It cannot be determined.": 2, "C. Cannot be determined": 2, "I cannot determine this.": None, "Not malignant": None,
                  "It cannot be determined whether it is benign or malignant.": 2, "malignant, not benign": 1}),
        (GERMS, {"C. difficile": 2, "E. coli": 0, "C": 2, "The answer is S. aureus.": 1, "C. E. coli": None}),
        (PHRASES, {"A mass in the right upper lobe": 0, "A nodule in the left lower lobe is seen.": 1, "B. A nodule in the left lower lobe": 1,
                   "A": 0, "A nodule": None, "Answer: A nodule in the left lower lobe": 1}),
        (PANELS, {"A": None, "The answer is A.": None, "A. C": 0, "B. A": 1, "E": None}),
        (GRADES, {"The answer is I": 0, "II": 1, "I or II": None, "I think II": 1, "A": 0, "I. II.": None}),
        (SPINE, {"C": 2, "C-spine": 0, "A. C-spine": 0, "The C-spine is shown.": 0}),
        (LEVELS, {"L5-S1": 1, "The disc at L4-L5": 0, "L4-L5 and L5-S1": None, "L4": None}),
        (STATUS, {"HER2-": 1, "It is ER+.": 2, "HER2": None, "A. HER2-": None}),
        (MANY, {"Z": 25, "finding 26": 25, "I.": 8, "I see finding 2": 1, "I, as a model, cannot answer.": None}),
        (ORGANS, {"肝": 1, "B. 肝": 1, "A. 肝": None, "答案：肝": 1, "肺、肝": None}),
        (("a", "b"), {"a": 0, "B": 1, "a or b": None}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_options_of_every_kind(choices, picked):
    assert {text: read_choice(text, choices) for text in picked} == picked


def test_a_denial_may_be_the_answer_to_what_is_not_seen():
    film, text = "Which of these is NOT seen?", "There is a pleural effusion but no pneumothorax."
    assert (read_choice(text, FILM), read_choice(text, FILM, film)) == (1, None)
    clear = "The left lung is clear, the right lung shows an opacity."
    assert [read_choice(clear, LUNGS, f"Which lung is {word}?") for word in ("affected", "clear")] == [1, None]


YES = """yes|Yes.|YES|**Yes**|Yes, it is.|Yes it is|Yes - there is one|Answer: yes|The answer is yes.|Opacity is there, so yes.|It is. Yes
The film shows it.\\n\\nYes|True|Correct.|Affirmative|There is a pneumothorax.|A pneumothorax is present.|It is.|是|Y|A|A. Yes|(A) yes
Yes, I see a pneumothorax.|To answer: yes.|Most likely yes.|yes\\n\\nExplanation: no effusion|Yes, no doubt.|The answer is no. Wait, the answer is yes."""
NO = """no|No.|**No**|No, it is not.|No there is not|Answer: No|The answer is no.|The lungs are clear, so no.|False|Negative|Nope|否|没有|B. No
There is no pneumothorax.|No pneumothorax.|No evidence of pneumothorax.|No pneumothorax is seen.|There isn't one.|Pneumothorax is not seen.
I do not see a pneumothorax.|I can't see any pneumothorax.|The film does not show a pneumothorax.|Absent|It is not.|Not present.
There is an effusion, no pneumothorax.|no\\n\\nExplanation: yes, the question asks for effusion.|There is none"""
NEITHER = """yes/no|yes or no|Yes and no|yes, no|no, yes|No. Yes.|Yes\\nNo|The answer is yes or no.|The answer is yes. The answer is no.|It is yes or no
No, the answer is yes|Yes, there is no pneumothorax.|No, there is a pneumothorax.|maybe|Not sure|I can't tell.|It is unclear.|B. Yes|A. No|Yes (B)
I cannot determine whether there is a pneumothorax.|There may be a pneumothorax.|A pneumothorax cannot be excluded.|Is there a pneumothorax?
There is a pleural effusion.|The lungs are clear.|Pneumothorax|Nodule|Yesterday|The answer is not yes|N/A|.|\\boxed{yes or no}"""


@pytest.mark.parametrize(
    ("text", "said"), [(t, s) for block, s in ((YES, "yes"), (NO, "no"), (NEITHER, None)) for t in lines(block)]
)
def test_yes_and_no(text, said):
    picked = read_choice(text, ("Yes", "No"), "Is there a pneumothorax?")
    assert (None if picked is None else ("yes", "no")[picked]) == said
    other = read_choice(text, ("no", "yes"), "Is there a pneumothorax?") if len(text) > 1 and "(" not in text else None
    assert other is None or ("no", "yes")[other] == said or text[1] == "."  # letters are those of the order


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
        example = Example(
            id="a", task="vqa_closed", question="?", choices=tuple(row["choices"]), reference=row["choices"][0]
        )
        found[row["id"]] = parse(row["completion"], example, PromptStyle(thinking=row["thinking"])).choice
    wrong = [row["id"] for row in rows if found[row["id"]] not in (None, row["want"])]
    sure = [found[row["id"]] == row["want"] for row in rows if row["sure"]]
    assert not wrong
    assert sum(sure) >= 0.99 * len(sure)


WRAPPERS = (
    "{}", " {}\n", "**{}**", "<answer>{}</answer>", "<ANSWER> {}</ANSWER>", "Look. <answer>{}", "\\boxed{{{}}}",
    "The answer is $\\boxed{{\\text{{{}}}}}$.", "\\[\\boxed{{{}}}", '{{"answer": "{}"}}', "```json\n{{'answer': '{}'}}\n```",
    "Final answer: {}", "### Answer\n{}", "<think>A or B or C</think>{}", "no, yes</think>\n<answer>{}</answer>", "答案：{}",
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
    example = Example(id="a", task="vqa_closed", question="Which?", choices=choices, reference=choices[0])
    assert parse(text, example, PromptStyle()).choice == index


@settings(deadline=None, max_examples=300)
@given(
    asked, st.integers(1, 5), st.integers(0, 6), st.integers(0, 6),
    st.sampled_from([" or ", " and ", "/", ", ", "; ", " & ", "\n", "\n\n", " and/or ", ". ", " or maybe ", "\nAnswer: "]),
    st.sampled_from(["{}", "<answer>{}</answer>", "\\boxed{{{}}}", "The answer is {}"]),
)  # fmt: skip
def test_two_options_are_none(pick, step, first, second, joined, wrapper):
    choices, index = pick
    other = (index + step) % len(choices)
    if other == index:
        return
    text = forms(choices, index)[first].rstrip(".") + joined + forms(choices, other)[second]
    example = Example(id="a", task="vqa_closed", question="Which?", choices=choices, reference=choices[0])
    assert parse(wrapper.format(text), example, PromptStyle()).choice is None


PIECES = ["A", "b)", "(c", "B. ", "answer is ", "Answer: ", "not ", "Pneumothorax", "pleural", " effusion", "\n", " ", ". ", "no ",
          "\ud800", "it's ", "I ", "and ", "or ", "is correct", "option ", "wait, ", "because ", "<answer>", "</answer>", "\\boxed{",
          "}", '{"answer": "', "答案", "ﬁ", "İ", "three ", "</think>"]  # fmt: skip
any_text = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(
    st.characters(exclude_categories=()), max_size=60
)


@settings(deadline=None, max_examples=300)
@given(any_text, st.sampled_from([FILM, COUNT, VITAMIN, MANY, ("yes", "no")]))
def test_a_picked_option_is_named_by_letter_or_words(text, choices):
    picked = read_choice(text, choices)
    if picked is None or choices == ("yes", "no"):
        return
    lines = cleaned(text)
    letter = re.search(rf"(?<![A-Za-z]){LETTERS[picked]}(?![A-Za-z])", lines, re.I)
    assert letter or {word.norm for word in words(choices[picked])} <= {word.norm for word in words(lines)}


@pytest.mark.parametrize(
    "piece", PIECES + ["Answer: B. ", "pleural effusion, ", "A or ", "(A)", "1 ", "yes ", "#", "<"]
)
@pytest.mark.parametrize("choices", [FILM, ("yes", "no")], ids=["letters", "yes-no"])
def test_a_hundred_thousand_characters_do_not_hang(piece, choices):
    example = Example(id="a", task="vqa_closed", question="Which?", choices=choices, reference=choices[0])
    parse(piece * (100_000 // len(piece)), example, PromptStyle())  # quadratic time would be minutes

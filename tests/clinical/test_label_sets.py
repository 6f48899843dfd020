"""What an answer names of a label set: any order and wording, what is denied, contradictions, and nothing at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radrl.answers.parsing import parse
from radrl.clinical.label_sets import read_labels
from radrl.example import Example
from radrl.label_names import NOTHING, canonical_labels, label_key, says_nothing, stated_labels
from radrl.prompt.messages import PromptStyle

CHEXPERT = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia",
    "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
OTHERS = ("Nodule/Mass", "ILD", "COPD", "Rib fracture", "Lung tumor", "Old scar", "COVID-19")
LETTERED = ("Edema", "Atelectasis", "Cardiomegaly", "Fracture")
BOTH = ("Edema", "Atelectasis")


@pytest.mark.parametrize(
    "text",
    [
        "Atelectasis, edema.", "The findings are edema and atelectasis.", "- Edema\n- Atelectasis",
        "1. **Edema**\n2. **Atelectasis**", '["Edema", "Atelectasis"]', "['Edema', 'Atelectasis']",
        '{"Edema": true, "Fracture": false, "Atelectasis": 1}',
        '{"present": ["Edema", "Atelectasis"], "absent": ["Mass"]}',
        '[{"label": "Edema", "present": true}, {"label": "Fracture", "present": false}, "Atelectasis"]',
        '{"Edema": {"present": true, "score": 0.6}, "Mass": {"present": false}, "Atelectasis": {"present": "yes"}}',
        '[{"finding": "Edema", "present": true, "confidence": 0.4}, {"finding": "Mass", "present": false, '
        '"confidence": 0.9}, {"name": "atelectasis", "probability": 0.7}, {"name": "fracture", "probability": 0.1}]',
        "Edema: yes, Atelectasis: yes, Pneumonia: no", "Edema:1 Atelectasis:1 Fracture:0",
        "Edema? Yes. Fracture? No. Atelectasis? Yes.",
        "| Finding | Present |\n|---|---|\n| Edema | Yes |\n| Fracture | No |\n| Atelectasis | ✓ |",
        "[x] Edema\n[ ] Pneumonia\n[x] Atelectasis", "Edema ✓, Fracture ✗, Atelectasis ✓",
        "Present:\n- Edema\n- Atelectasis\n\nAbsent:\n- Pneumonia\n- Fracture",
        "Not seen: fracture. Seen: edema, atelectasis",
        "Fracture: None.\nEdema: Mild interstitial edema.\nAtelectasis: Left basilar.\nPneumothorax: No pneumothorax.",
        "Cardiomegaly: The heart size is normal. Edema: mild. Atelectasis: bibasilar.",
        "Edema (0.93), Pneumonia (0.02), Atelectasis (88%)",
        "There's edema. There isn't any fracture. There's atelectasis",
        "Edema is present, atelectasis is present, pneumonia is absent.",
        "Pulmonary edema as well as bibasilar atelectasis.",
        "No evidence of pneumonia, fracture or pneumothorax; edema and atelectasis noted", "oedema; atelectases",
        "Edema or atelectasis", "Possible edema, and atelectasis cannot be excluded.", "EDEMA/ATELECTASIS",
        "No significant finding but edema and atelectasis.",
        "A fracture? No. The heart may be large.\n**Final answer:** Edema, atelectasis\nExplanation: not pneumonia.",
        "Edema, atelectasis. All others are absent.",
    ],
)  # fmt: skip
def test_one_set_in_many_wordings(text):
    assert read_labels(text, (), CHEXPERT) == (BOTH, True)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("An enlarged heart and bilateral pleural effusions.", {"Cardiomegaly", "Pleural Effusion"}),
        ("Pleural effusion (left)", {"Pleural Effusion"}), ("effusion, pleural-based opacity", {"Pleural Effusion",
        "Lung Opacity"}),
        ("Effusion (pleural)", {"Pleural Effusion"}), ("A mass", {"Lung Lesion"}), ("mass effect", set()),
        ("opacity and lung lesion", {"Lung Opacity", "Lung Lesion"}), ("pacemaker", {"Support Devices"}),
        ("No edema.", set()), ("Edema: no", set()), ("neither edema nor atelectasis", set()),
        ("Edema and atelectasis: no", set()), ("There is no evidence of the following: edema, atelectasis", set()),
        ("Atelectasis: unknown", set()), ("Edema, no", set()), ("No edema, mass or fracture (confirmed)", set()),
        ("Pneumonia 5%, fracture 0.1", set()), ("Edema (low confidence)", {"Edema"}), ("I cannot tell.", set()),
        ("Yes.", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_what_is_named_and_what_is_not(text, named):
    assert set(read_labels(text, (), CHEXPERT).labels) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a nodule and COPD", ("Nodule/Mass", "COPD")), ("mass or nodule, ribs fractured", ("Nodule/Mass",)),
        ("fractures of the rib; old scars; covid 19", ("Rib fracture", "Old scar", "COVID-19")),
        ("COPD: yes; ILD: no", ("COPD",)), ("No lung tumor, no ILD", ()), ("scar, old", ()),
    ],
)  # fmt: skip
def test_other_sets_are_told_by_their_names(text, named):
    assert read_labels(text, (), OTHERS).labels == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        *((text, BOTH) for text in (
            "A, B", "(A) and (B)", "B; A", "a, b", "AB", "A. Edema, B. Atelectasis", "A. Edema\nB. Atelectasis",
            "The correct options are A and B.", "A: yes, B: yes, C: no", '["A", "B"]',
            "A (Edema) and B (Atelectasis)",
            "Options A and B are present; C is absent.", "**A. Edema** **B. Atelectasis**",
            "A and B because of the haze",
        )),
        ("A", ("Edema",)), ("A fracture is seen", ("Fracture",)), ("D", ("Fracture",)), ("E", ()), ("BA", ()),
    ],
)  # fmt: skip
def test_letters_where_the_question_has_them(text, named):
    assert read_labels(text, LETTERED).labels == named
    if text == "A, B":
        assert read_labels(text, (), LETTERED).labels == ()  # without letters in the question they mean nothing


@pytest.mark.parametrize(
    "text", ["A. Atelectasis", "(B) an enlarged heart", "Edema: yes and no", "Edema: yes/no", "A, E"]
)
def test_a_contradiction_names_nothing_and_is_not_well_formed(text):
    asked = Example(id="a", task="classification", question="Which?", choices=LETTERED, labels=("Edema",))
    answer = parse(text, asked, PromptStyle())
    assert answer.labels == (("Edema",) if text == "A, E" else ())
    assert not answer.well_formed


@pytest.mark.parametrize(
    "text",
    ["<answer>Edema, atelectasis</answer>", "\\boxed{\\text{Edema, Atelectasis}}",
     '{"answer": ["Edema", "Atelectasis"]}',
     '{"label": "Edema, Atelectasis"}', "<think>a fracture?</think>Edema and atelectasis",
     '[{"label": "Edema", "present": true}, {"label": "Fracture", "present": false}, {"label": "Atelectasis"}]'],
)  # fmt: skip
def test_what_an_answer_is_wrapped_in_is_taken_off(text):
    for places in ({"choices": LETTERED}, {"label_set": LETTERED}):
        asked = Example(id="a", task="classification", question="Which?", labels=BOTH, **places)
        assert parse(text, asked, PromptStyle()).labels == BOTH


def test_no_finding_beside_a_label_is_kept_for_scorers_to_call_wrong():
    for text in (
        "No finding. Edema.",
        "Edema, no finding",
        "none, edema",
        "There are no abnormalities. Edema is seen.",
    ):
        assert read_labels(text, (), CHEXPERT) == (("Edema", NOTHING), False)
        assert read_labels(text, (), (*CHEXPERT, "Normal")) == (("Edema", "Normal"), False)
    # CheXpert's "No Finding" is of disease
    assert read_labels("No finding, support devices", (), CHEXPERT) == (("Support Devices", NOTHING), True)
    for text in ("No finding other than edema.", "Edema. No other abnormality.", "No acute disease; mild edema",
                 "Unremarkable except for edema"):  # fmt: skip
        assert read_labels(text, (), CHEXPERT) == (("Edema",), True)


SAYING = [
    "No finding", "none", "None of these.", "Normal chest X-ray.",
    "There are no detectable abnormalities on this X-ray.",
    "The Chest X-ray appears to be clear of any abnormalities.", "I can't find any lesion on the image.", "No.",
    "Are there any abnormalities? No.", "Findings: none", "No acute cardiopulmonary process.", "All absent",
    "No edema or any other abnormality.", "; ".join(f"{label}: no" for label in CHEXPERT),
    "No " + " or ".join(CHEXPERT).lower(), '{"No Finding": true, "Edema": false}',
]  # fmt: skip


@pytest.mark.parametrize("text", SAYING)
def test_nothing_is_there_only_where_it_is_said(text):
    assert read_labels(text, (), CHEXPERT) == ((NOTHING,), True)
    assert read_labels(text, (*CHEXPERT, "None of these")) == (("None of these",), True)


@pytest.mark.parametrize(
    "text",
    ["", "The heart is normal.", "No other abnormality.", "No abnormality of the heart",
    "No abnormality in the left lung",
     "no findings of pneumonia", "Not normal", "abnormal", "No edema.", "Findings", "No Finding: no", "n/a"],
)  # fmt: skip
def test_a_part_denied_is_not_all(text):
    assert read_labels(text, (), CHEXPERT).labels == ()


def test_where_any_label_may_be_named():
    assert read_labels("Edema, COPD signs.").labels == ("copd signs", "edema")
    assert read_labels("There is mild edema and an aortic elongation; no mass.").labels == (
        "aortic elongation",
        "edema",
    )
    assert read_labels("signs, COPD: yes; mass: no").labels == ("copd", "signs")
    assert read_labels("No finding.").labels == (NOTHING,)


def test_names_in_any_spelling():
    assert label_key("Pleural_Effusions") == label_key("effusion of the pleural") == ("effusion", "pleural")
    assert canonical_labels(["atelectases", "OEDEMA"], CHEXPERT) == ("Edema", "Atelectasis")
    assert canonical_labels([], ("Edema", "No Finding")) == ("No Finding",)
    assert stated_labels("Edema and atelectasis.", BOTH) == ("Edema", "atelectasis")
    assert stated_labels("No finding.") == ()
    assert stated_labels(" ") is None
    assert says_nothing("no disease") == "plainly"
    assert says_nothing("no acute disease") == "softly"


WORDINGS = {
    "commas": lambda names, others: ", ".join(names),
    "sentence": lambda names, others: f"The film shows {' and '.join(names)}.",
    "bullets": lambda names, others: "\n".join(f"* {name.upper()}" for name in names),
    "numbers": lambda names, others: "\n".join(f"{k}. **{name}**" for k, name in enumerate(names, 1)),
    "json": lambda names, others: json.dumps(names),
    "verdicts": lambda names, others: "\n".join([*(f"{n}: present" for n in names), *(f"{n}: absent" for n in others)]),
    "mapping": lambda names, others: json.dumps(dict.fromkeys(names, True) | dict.fromkeys(others, False)),
    "denials": lambda names, others: ". ".join([*names, *(f"No {name.lower()}" for name in others)]),
    "headings": lambda names, others: f"Present: {'; '.join(names)}\nAbsent: {', '.join(others) or 'none'}",
    "letters": lambda names, others: ", ".join("ABCDEFGHIJKLM"[CHEXPERT.index(name)] for name in names),
    "lettered": lambda names, others: "\n".join(f"{'ABCDEFGHIJKLM'[CHEXPERT.index(n)]}. {n}" for n in names),
}


@settings(deadline=None, max_examples=200)
@given(st.permutations(CHEXPERT), st.integers(1, 13), st.sampled_from(sorted(WORDINGS)))
def test_order_and_wording_change_nothing(order, count, wording):
    names, others = list(order[:count]), list(order[count:])
    text = WORDINGS[wording](names, others)
    assert read_labels(text, CHEXPERT) == (tuple(label for label in CHEXPERT if label in names), True)


parts = st.sampled_from(
    [*CHEXPERT, "A", "B.", "(C)", "no ", "No finding", "yes", ": ", ", ", "\n", "- ", "[", "]", "{", '"', "|", "✓",
    "(", ")",
     "and ", "or ", "not seen", "%", "0.5", "x" * 30, " ", "\t", "、", "肺", "\ud800", "\0", "…", "=", "?", "1",
     "</b>", "n't"]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=200), st.lists(parts, max_size=40).map("".join)), st.sampled_from([0, 1, 2]))
@example("[" * 100_000, 0)
@example("(A) " * 25_000, 0)
@example("edema: no and " * 8000, 1)
def test_any_text_is_read(text, way):
    sets = ((CHEXPERT, ()), ((), OTHERS), ((), ()))[way]
    reading = read_labels(text, *sets)
    assert read_labels(text, *sets) == reading
    if way < 2:
        assert set(reading.labels) <= {*sets[way], NOTHING}
        assert list(reading.labels) == [label for label in (*sets[way], NOTHING) if label in reading.labels]

"""finding_f1 on Examples and Answers: its parts and its marks."""

import pytest

from radrl.example import Answer, Example
from radrl.scoring import registry, report

REFERENCE = "Small left pleural effusion. Mild cardiomegaly. No pneumothorax."


def score(text: str):
    example = Example(id="a", task="report", question="Report.", reference=REFERENCE)
    return registry.get("finding_f1")([example], [Answer(text)])[0]


def test_value_and_parts():
    result = score("Right pleural effusion. The heart is enlarged. Right upper lobe nodule.")
    assert result.value == 0.4
    assert result.parts == {"precision": 1 / 3, "recall": 1 / 2, "name_f1": 0.8}


def test_marks_colour_both_texts():
    text = "There is a right effusion. The heart is mildly enlarged. No nodule."
    texts = {"reference": REFERENCE, "answer": text}
    shown = [(m.side, m.kind, texts[m.side][m.start : m.end], m.note) for m in score(text).marks]
    assert shown == [
        ("reference", "missed", "pleural effusion", "pleural effusion, left, mild"),
        ("reference", "match", "cardiomegaly", "cardiomegaly, mild"),
        ("reference", "absent", "pneumothorax", "pneumothorax"),
        ("answer", "false", "effusion", "pleural effusion, right"),
        ("answer", "match", "heart is mildly enlarged", "cardiomegaly, mild"),
        ("answer", "absent", "nodule", "nodule"),
    ]


def test_only_reports_are_scored():
    example = Example(id="a", task="vqa_open", question="?", reference=REFERENCE)
    assert registry.get("finding_f1")([example], [Answer("x")]) == [None]
    assert report.finding_f1([], []) == []


def value(name: str, text: str, reference: str = REFERENCE) -> float | None:
    example = Example(id="a", task="report", question="Report.", reference=reference)
    (result,) = registry.get(name)([example], [Answer(text)])
    return None if result is None else result.value


@pytest.mark.parametrize(
    ("name", "same", "invented", "omitted", "normal"),
    [("finding_f1", 1, 0.8, 2 / 3, 0), ("faithfulness", 1, 2 / 3, 1, 1), ("comprehensiveness", 1, 1, 1 / 2, 0),
     ("clinical_error", 0, 1 / 4, 1 / 3, 2 / 3)],
)  # fmt: skip
def test_what_each_scorer_pays_for(name, same, invented, omitted, normal):
    assert value(name, REFERENCE) == same
    assert value(name, REFERENCE + " Nodule.") == pytest.approx(invented)
    assert value(name, "Mild cardiomegaly. No pneumothorax.") == pytest.approx(omitted)
    assert value(name, "Normal chest.") == pytest.approx(normal)


@pytest.mark.parametrize("text", ["asdf", "The patient likes tea.", "Mix flour and eggs.", "no no no", "12 [0.1, 0.2]"])
def test_nonsense_is_not_paid_for_a_normal_film(text):
    normal = "The heart is normal. Lungs are clear. No pneumothorax."
    for name in ("finding_f1", "faithfulness", "comprehensiveness"):
        assert value(name, "Normal heart. No effusion or pneumothorax.", normal) == 1
        assert value(name, text, normal) == 0
    assert value("clinical_error", "Normal heart. No effusion or pneumothorax.", normal) == 0
    assert value("clinical_error", text, normal) == 1


def test_leaving_out_invents_nothing():
    assert value("faithfulness", "Normal chest.", "Left effusion. Edema.") == 1
    assert value("faithfulness", "Eggs.", "Left effusion. Edema.") == 0


def test_clinical_error_counts_kinds_and_takes_weights():
    example = Example(id="a", task="report", question="Report.", reference="Small left effusion, new. Edema.")
    answer = Answer("Large left effusion, unchanged. Nodule.")
    (result,) = registry.get("clinical_error")([example], [answer])
    counts = {kind: count for kind, count in result.parts.items() if count}
    assert counts == {"wrong_severity": 1, "wrong_change": 1, "missed_finding": 1, "false_finding": 1}
    assert result.value == 3 / 4  # 0.5 + 0.5 + 1 + 1 against one finding named by both
    (light,) = report.clinical_error([example], [answer], {"missed_finding": 0, "false_finding": 0})
    assert light.value == 1 / 2
    notes = [mark.note for mark in result.marks if mark.kind == "match"]
    assert notes[0] == "pleural effusion, left, mild, new; wrong severity; wrong change"


def test_a_reference_that_says_nothing_has_no_score():
    for name in ("finding_f1", "faithfulness", "comprehensiveness", "clinical_error"):
        assert value(name, "Effusion.", "XXXX") is None

"""finding_f1 on Examples and Answers: its parts and its marks."""

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

"""The comparison of two reports, and the order in which finding-F1 puts mistakes."""

import pytest

from radrl.clinical.compare import compare, merge
from radrl.clinical.extract import findings

REFERENCE = "Small left pleural effusion. The heart is mildly enlarged. No pneumothorax."


def f1(answer: str, reference: str = REFERENCE) -> float:
    return compare(reference, findings(answer)).f1


def test_mistakes_cost_and_paraphrases_do_not():
    paraphrase = f1("Mild cardiomegaly. There is a small effusion on the left without pneumothorax.")
    severity = f1("Large left pleural effusion. The heart is mildly enlarged. No pneumothorax.")
    omission = f1("The heart is mildly enlarged. No pneumothorax.")
    hallucination = f1(REFERENCE.replace("No", "There is a"))
    side = f1(REFERENCE.replace("left", "right"))
    negation = f1(REFERENCE.replace("Small", "No"))
    unrelated = f1("There is a right upper lobe mass.")
    assert f1(REFERENCE) == paraphrase == severity == 1
    assert unrelated == 0
    assert unrelated < min(omission, hallucination, side, negation)
    assert max(omission, hallucination, side, negation) < severity


def test_worked_example():
    """Reference {left effusion, cardiomegaly}, answer {bilateral effusion, edema}: one half match of two and two."""
    found = compare(REFERENCE, findings("Bilateral effusions. Pulmonary edema."))
    assert (found.precision, found.recall, found.f1, found.name_f1) == (0.25, 0.25, 0.25, 0.5)
    assert [(a.name, b.side) for a, b in found.matched] == [("pleural effusion", "bilateral")]
    assert [f.name for f in found.missed] == ["cardiomegaly"]
    assert [f.name for f in found.false] == ["edema"]


@pytest.mark.parametrize(
    ("reference", "answer", "wanted"),
    [("Left effusion.", "Effusion.", 1), ("Left effusion.", "Bilateral effusions.", 0.5),
     ("Left effusion.", "Right effusion.", 0), ("Possible nodule.", "Nodule.", 1), ("No nodule.", "", 1),
     ("", "Nodule.", 0), ("Nodule.", "", 0), ("", "", 1)],
)  # fmt: skip
def test_matching_rules(reference, answer, wanted):
    assert f1(answer, reference) == wanted


@pytest.mark.parametrize(
    ("text", "presence", "side"),
    [("Left effusion. Right effusion.", "present", "bilateral"),
     ("Left effusion. No right effusion.", "present", "left"),
     ("Possible effusion on the left. Effusion is seen.", "present", "left"),
     ("Left effusion. The effusion has resolved.", "absent", None),
     ("No effusion. Small effusion on the right.", "present", "right"),
     ("Possible left effusion.", "uncertain", "left")],
)  # fmt: skip
def test_merge(text, presence, side):
    (finding,) = merge(findings(text))
    assert (finding.presence, finding.side) == (presence, side)

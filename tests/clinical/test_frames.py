"""Sentences of one frame and any finding: what denies, affirms or doubts does so whatever stands in it."""

import json
from itertools import permutations

import pytest
from shared_folder import SHARED

from radrl.clinical.compare import compare, merge, weighted_error
from radrl.clinical.extract import findings
from radrl.clinical.label import labels

CASES = SHARED / "field_cases"

FINDINGS = {
    "pneumothorax": "pneumothorax",
    "pleural effusion": "pleural effusion",
    "consolidation": "consolidation",
    "pulmonary edema": "edema",
    "pneumonia": "pneumonia",
    "atelectasis": "atelectasis",
    "rib fracture": "fracture",
    "pulmonary nodule": "nodule",
    "hilar mass": "mass",
    "PTX": "pneumothorax",
    "PNA": "pneumonia",
    "cardiomegaly": "cardiomegaly",
}
DENYING = """No {}. | There is no {}. | No evidence of {}. | No evidence for {}. | Without {}.
Without evidence of {}. | W/o {}. | Negative for {}. | The chest is negative for {}. | Free of {}.
The lungs are free of {}. | Absence of {}. | No sign of {}. | No signs of {}.
No radiographic evidence of {}. | {}: none. | {}: No. | {}: negative. | {}: neg. | {}: none seen.
{}: absent. | {} – none. | {} (-). | {}: not seen. | {}? No. | {} is not seen. | {} is absent.
{} is not identified. | {} cannot be seen. | {} has resolved. | {} has completely resolved.
{} is gone. | {} is no longer seen. | There is no longer any {}. | The lungs lack {}.
Interval resolution of {}. | {} with interval resolution. | No definite {}. | No visible {}.
No obvious {}. | No longer any evidence of {}. | Neither {} nor scoliosis. | {} has been excluded.
{} is ruled out. | Skin fold mimicking {}. | Doubt {}. | {} is not present. | No recurrence of {}.
Nothing to suggest {}. | Not seen on this exam is the earlier {}."""
AFFIRMING = """{}. | There is {}. | There is evidence of {}. | Evidence of {}. | Evidence for {}. | Signs of {}.
Signs of {} are seen. | {} is seen. | {} is present. | {} is noted. | {}: yes. | {}: present.
{} (+). | {}? Yes. | {} persists. | {} has not resolved. | {} has not completely resolved.
{} has nearly resolved. | {} has largely cleared. | {} has not cleared. | Incompletely resolved {}.
No interval resolution of {}. | No change in {}. | No significant change in {}.
{} is not significantly changed. | {} is unchanged. | Without change in {}. | Unchanged {}.
Known {}. | Persistent {}. | Stable {}. | {} is again seen. | There is no doubt that {} is present.
Partially resolved {}. | Resolving {}. | {} is slightly improved. | Compatible with {}.
Consistent with {}. | The film shows {}. | No scoliosis but {}. | No scoliosis. {}.
{} without scoliosis. | {}, no scoliosis. | Not only {} but also scoliosis. | Redemonstrated {}."""


def frames(text: str) -> list[str]:
    return [frame.strip() for line in text.splitlines() for frame in line.split("|")]


def presence(text: str, name: str) -> list[str]:
    return [f.presence for f in findings(text) if f.name == name]


@pytest.mark.parametrize("frame", frames(DENYING))
def test_a_frame_that_denies_flips_every_finding(frame):
    for phrase, name in FINDINGS.items():
        assert presence(frame.format(phrase), name) == ["absent"], frame.format(phrase)


@pytest.mark.parametrize("frame", frames(AFFIRMING))
def test_a_frame_that_affirms_flips_none(frame):
    for phrase, name in FINDINGS.items():
        assert presence(frame.format(phrase), name) == ["present"], frame.format(phrase)


@pytest.mark.parametrize("frame", frames(AFFIRMING))
def test_no_reward_pays_a_claim_on_a_normal_film(frame):
    normal = (
        "No acute disease. No pneumothorax, effusion, consolidation, edema or fracture. The heart is normal in size."
    )
    for phrase in FINDINGS:
        found = compare(normal, frame.format(phrase))
        assert found.f1 == 0
        assert weighted_error(found) > 0.3, frame.format(phrase)


def test_there_are_enough_frames():
    assert len(frames(DENYING)) >= 40
    assert len(frames(AFFIRMING)) >= 40


@pytest.mark.parametrize(
    "sentence",
    [
        "There is {}a large left pleural effusion.",
        "Mild edema with {}consolidation.",
        "There is no {}pneumothorax.",
        "No pneumothorax, but {}small effusions.",
        "The film shows {}pneumonia in the left lower lobe.",
    ],
)
def test_evidence_of_changes_nothing(sentence):
    plain, with_evidence = (
        [f.model_copy(update={"span": None}) for f in findings(sentence.format(said))] for said in ("", "evidence of ")
    )
    assert plain == with_evidence


def test_the_order_of_clauses_changes_nothing():
    clauses = ("no pneumothorax is seen", "there is a small left effusion", "the heart is enlarged", "no edema is seen")
    read = {
        tuple(sorted((f.name, f.presence, f.side) for f in merge(findings(f"{'; '.join(order)}.".capitalize()))))
        for order in permutations(clauses)
    }
    assert len(read) == 1


def test_one_side_resolved_and_the_other_not():
    for text in (
        "Effusions have resolved on the left but persist on the right.",
        "The left effusion has resolved, the right persists.",
    ):
        assert labels(text, "chexpert14")["Pleural Effusion"] == 1, text


def test_severity_side_and_change_are_of_this_film():
    (one,) = findings("Right effusion, previously large, is now small.")
    assert (one.side, one.severity) == ("right", "mild")
    (one,) = findings("Edema has improved from severe to mild.")
    assert (one.severity, one.change) == ("mild", "improved")
    (one,) = findings("Right middle and lower lobe consolidation.")
    assert (one.side, one.region) == ("right", None)


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no field cases below {CASES}")
def test_sentences_of_the_field():
    """At most 3% of the sentences wrong in any label, and no finding turned round."""
    wrong, flipped, count = [], [], 0
    for line in (CASES / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        count += 1
        for label, value in labels(case["text"], "chexpert14").items():
            allowed = case["want"].get(label, [None])
            if label != "No Finding" and value not in allowed:
                wrong.append(case["id"])
                if (value, allowed) in ((1, [0]), (0, [1])):
                    flipped.append(case["id"])
    assert count > 100
    assert len(set(wrong)) <= 0.03 * count, wrong
    assert not flipped

"""Scores lie in the row of their Example, and each metric sees only its own tasks."""

from __future__ import annotations

import numpy as np
import pytest

from radrl.evaluation.metrics import MAIN, METRICS, FindingCounts, score
from radrl.example import Answer, Box, Example

BOX = Box(xyxy=(0.1, 0.1, 0.5, 0.5), label="mass")
EXAMPLES = [
    Example(id="open", task="vqa_open", question="Which side?", reference="left"),
    Example(id="closed", task="vqa_closed", question="Big?", reference="no", choices=("yes", "no")),
    Example(id="report", task="report", question="Report?", reference="Left pleural effusion. The heart is enlarged."),
    Example(id="box", task="grounding", question="Where?", boxes=(BOX,)),
    Example(id="report 2", task="report", question="Report?", reference="No pleural effusion."),
]
ANSWERS = [
    Answer("right"),
    Answer("no", choice=1),
    Answer("Right pleural effusion. The heart is enlarged. Nodule in the left upper lobe."),
    Answer("mass", boxes=(BOX,), well_formed=False),
    Answer("No pleural effusion."),
]


def test_each_value_stands_in_its_row():
    found = score(EXAMPLES, ANSWERS)
    assert set(found.values) == set(found.scores) == {metric.name for metric in METRICS}
    none = np.nan
    np.testing.assert_equal(found.values["vqa_open accuracy"], [0, none, none, none, none])
    np.testing.assert_equal(found.values["vqa_closed accuracy"], [none, 1, none, none, none])
    np.testing.assert_equal(found.values["soft_f1"], [none, none, none, 1, none])
    np.testing.assert_equal(found.values["format"], [1, 1, 1, 0, 1])
    np.testing.assert_equal(found.values["length"], [none, none, 13, none, 3])
    np.testing.assert_allclose(found.values["finding_f1"], [none, none, 2 / 5, none, 1])
    assert found.scores["finding_f1"][2].marks
    assert found.scores["finding_f1"][3] is None
    assert set(MAIN.values()) <= set(found.values)


def test_a_finding_on_the_wrong_side_is_false_and_missed():
    findings = score(EXAMPLES, ANSWERS).findings
    assert findings["pleural effusion"] == FindingCounts(match=0, false=1, missed=1)
    assert findings["cardiomegaly"] == FindingCounts(match=1, false=0, missed=0)
    assert findings["nodule"] == FindingCounts(match=0, false=1, missed=0)
    assert findings["nodule"].recall is None
    assert findings["nodule"].f1 == 0


def test_answers_must_match_the_examples():
    with pytest.raises(ValueError, match="4 answers for 5 examples"):
        score(EXAMPLES, ANSWERS[:4])

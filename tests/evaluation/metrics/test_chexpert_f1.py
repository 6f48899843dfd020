"""CheXpert F1 against scikit-learn, on labels read from real sentences."""

from __future__ import annotations

import random

import numpy as np
import pytest

from radrl.evaluation.metrics import chexpert_f1
from radrl.example import Answer, Example

SENTENCES = [
    "The heart is enlarged.", "No pneumothorax.", "Small left pleural effusion.", "Possible pneumonia.",
    "Bibasilar atelectasis.", "Pulmonary edema.", "Right lower lobe consolidation.", "The lungs are clear.",
    "No acute disease.", "A pacemaker is seen.", "Old rib fracture.", "",
]  # fmt: skip


def pairs(n, seed):
    draw = random.Random(seed)
    texts = [" ".join(draw.sample(SENTENCES, draw.randint(0, 4))) for _ in range(2 * n)]
    examples = [Example(id=str(i), task="report", question="?", reference=text) for i, text in enumerate(texts[:n])]
    return examples, [Answer(text) for text in texts[n:]]


def test_equal_to_scikit_learn():
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    examples, answers = pairs(200, 0)
    other = Example(id="q", task="vqa_open", question="?", reference="left")
    found = {c.metric.name: c for c in chexpert_f1.chexpert_columns([*examples, other], [[*answers, Answer("left")]])}
    there = np.array([chexpert_f1.labels_said(e.reference) for e in examples])
    told = np.array([chexpert_f1.labels_said(a.text) for a in answers])
    assert there.shape == (200, 14)
    pick = [chexpert_f1.label_names().index(name) for name in chexpert_f1.TOP5]
    for title, chosen in (("14", list(range(14))), ("5", pick)):
        for kind, average in (("micro", "micro"), ("macro", "macro"), ("examples", "samples")):
            wanted = f1_score(there[:, chosen], told[:, chosen], average=average, zero_division=0)
            (statistic,) = found[f"chexpert{title}_f1_{kind}"].statistics
            assert statistic.at(np.ones((1, 201)))[0] == pytest.approx(wanted, abs=1e-12), (title, kind)
    counts = chexpert_f1.count_labels(examples, [answers])
    each = f1_score(there, told, average=None, zero_division=0)
    assert [one.f1 or 0.0 for one in counts.values()] == pytest.approx(each)


def test_what_counts_as_there():
    names = chexpert_f1.label_names()
    said = dict(
        zip(
            names,
            chexpert_f1.labels_said("Possible pneumonia. No pleural effusion. The heart is enlarged."),
            strict=True,
        )
    )
    assert {name for name, there in said.items() if there} == {"Pneumonia", "Cardiomegaly"} | (
        {"Lung Opacity"} if said["Lung Opacity"] else set()
    )
    assert not any(chexpert_f1.labels_said(""))

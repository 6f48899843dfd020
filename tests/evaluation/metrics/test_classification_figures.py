"""Figures by label against scikit-learn's, and against those that RadVLM's own evaluation gives."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from radrl.answers.parsing import parse
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.statistics.comparison import compare
from radrl.example import Answer, Example
from radrl.output import tables
from radrl.prompt.messages import PromptStyle

GOLDEN = json.loads(Path(__file__).with_name("golden_radvlm_labels.json").read_text())
SET = ("Edema", "Atelectasis", "Fracture", "Pleural Effusion", "Hernia", "No Finding")
FIGURES = [f"label_{figure}_{mean}" for figure in ("f1", "precision", "recall") for mean in ("micro", "macro")]


def value(column, weights=None):
    (statistic,) = column.statistics
    n = len(statistic.there)
    return float(statistic.at(np.ones((1, n)) if weights is None else weights[None])[0])


def drawn(cases, seed, labels=SET[:4], label_set=SET[:5]):
    """Returns Examples, indicators of what is there and of what is named, and the Answers; Hernia is in neither."""
    draw = random.Random(seed)
    there, named = (np.array([[draw.random() < 0.3 for _ in label_set] for _ in range(cases)]) for _ in range(2))
    for side in (there, named):
        side[:, len(labels) :] = False
        if "No Finding" in label_set:
            side[:, -1] = ~side[:, :-1].any(axis=1)
    examples, answers = [], []
    for k in range(cases):
        mine, said = ([label for label, yes in zip(label_set, side[k], strict=True) if yes] for side in (there, named))
        example = Example(
            id=str(k), task="classification", question="?", label_set=label_set, labels=mine,
            reference="" if mine else "No finding",
        )  # fmt: skip
        draw.shuffle(said)
        examples.append(example)
        answers.append(parse(" and ".join(said).lower() or "No finding", example, PromptStyle()))
    return examples, there, named, answers


@pytest.mark.parametrize("label_set", [SET[:5], SET])
def test_equal_to_scikit_learn(label_set):
    metrics = pytest.importorskip("sklearn.metrics")
    examples, there, named, answers = drawn(200, 3, label_set=label_set)
    other = Example(id="q", task="vqa_open", question="?", reference="left")
    found = score_cases([*examples, other], [[*answers, Answer("left")]])
    weights = np.random.default_rng(0).integers(0, 3, 201)
    again = np.repeat(np.arange(200), weights[:200])
    for figure in ("f1", "precision", "recall"):
        theirs = getattr(metrics, f"{figure}_score")
        for mean in ("micro", "macro"):
            column = found.columns[f"label_{figure}_{mean}"]
            assert value(column) == pytest.approx(theirs(there, named, average=mean, zero_division=0), abs=1e-12)
            wanted = theirs(there[again], named[again], average=mean, zero_division=0)  # as the bootstrap takes it
            assert value(column, weights.astype(float)) == pytest.approx(wanted, abs=1e-12)
        each = theirs(there, named, average=None, zero_division=0)
        ours = [getattr(counts, figure) or 0.0 for counts in found.classes.values()]
        assert ours == pytest.approx(each)
    some = (there | named)[:, :-1].any(axis=1) if "No Finding" in label_set else (there | named).any(axis=1)
    f1 = found.columns["label_f1"].by_case[:200]
    wanted = metrics.f1_score(there[some], named[some], average="samples", zero_division=0)
    assert f1[some].mean() == pytest.approx(wanted)
    assert (f1[~some] == 1).all()  # a film without labels, and the answer says so: sklearn counts it 0
    accuracy = found.columns["label_accuracy"].by_case[:200]
    assert accuracy.mean() == pytest.approx(metrics.accuracy_score(there, named))


def test_equal_to_radvlm_on_its_13_labels():
    labels = GOLDEN["labels"]
    examples = [
        Example(id=str(k), task="classification", question="?", label_set=labels, labels=there,
                reference="" if there else "No finding")
        for k, (there, _) in enumerate(GOLDEN["cases"])
    ]  # fmt: skip
    answers = [parse(text, e, PromptStyle()) for e, (_, text) in zip(examples, GOLDEN["cases"], strict=True)]
    found = score_cases(examples, [answers])
    theirs = GOLDEN["figures"]
    for figure in FIGURES:
        assert value(found.columns[figure]) == pytest.approx(theirs[figure], abs=1e-12), figure
    for label, counts in found.classes.items():
        assert counts.f1 == pytest.approx(theirs[label.lower()], abs=1e-12)


def test_a_label_that_nobody_has_counts_0_in_the_macro_mean_and_stands_in_the_table():
    examples, _, _, answers = drawn(30, 1)
    found = score_cases(examples, [answers, answers[::-1]])
    assert found.classes["Hernia"] == (0, 0, 0)
    whole = score_cases(examples, [answers]).classes
    macro = value(score_cases(examples, [answers]).columns["label_f1_macro"])
    assert macro == pytest.approx(np.mean([*(whole[label].f1 for label in SET[:4]), 0]))
    comparison = compare(examples, {"a": found, "b": score_cases(examples, [answers])}, "a", samples=50)
    text = tables.markdown(comparison)
    rows = text[text.index("F1 of labels of classification questions") :].splitlines()
    assert next(row for row in rows if row.startswith("| Hernia")) == "| Hernia | 0 | n/a (n/a, n/a) | n/a (n/a, n/a) |"
    counts = whole["Edema"]
    there, shares = counts.match + counts.missed, (counts.f1, counts.precision, counts.recall)
    assert next(row for row in rows if row.startswith("| Edema")).endswith(
        "| {:.2f} ({:.2f}, {:.2f}) |".format(*shares)
    )
    assert f"| Edema | {there} |" in text
    assert comparison.to_dict()["classes"]["b"]["Edema"]["match"] == counts.match
    main = {metric.name for metric in comparison.headline}
    assert main >= {"label_f1", "label_f1_micro", "label_f1_macro"}


def test_labels_of_several_sets_are_joined_by_name_and_others_are_false_in_the_micro_mean():
    asked = {"task": "classification", "question": "?"}
    examples = [
        Example(id="a", **asked, label_set=("Edema", "Mass"), labels=("Edema",)),
        Example(id="b", **asked, label_set=("edema", "cavity"), labels=("edema",)),
        Example(id="c", **asked, labels=("scoliosis",)),
    ]
    texts = ("edema", "edema, cavity", "scoliosis, something else")
    answers = [parse(text, e, PromptStyle()) for text, e in zip(texts, examples, strict=True)]
    found = score_cases(examples, [answers])
    assert found.classes == {"Edema": (2, 0, 0), "Mass": (0, 0, 0), "cavity": (0, 1, 0), "scoliosis": (1, 0, 0)}
    assert value(found.columns["label_f1_micro"]) == pytest.approx(6 / 8)
    assert value(found.columns["label_f1_macro"]) == pytest.approx((1 + 0 + 0 + 1) / 4)

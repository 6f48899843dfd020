"""BERTScore, RadGraph F1 and CheXbert's figures of a set on tiny random archives, against what the authors' packages
and RadVLM-GRPO's reward workers said of 540 pairs (golden_neural.json, made by make_golden_neural.py)."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from make_golden_neural import digest
from neural_archives import TEXTS
from text_pairs import pairs

from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.neural import models
from radrl.scoring.neural.bertscore import BertScore
from radrl.scoring.neural.bertscore_models import MODELS

GOLDEN = json.loads((Path(__file__).parent / "golden_neural.json").read_text())
PAIRS = pairs()
FORMS = ("simple", "partial", "complete")


@pytest.fixture(scope="module")
def run(root):
    """``run(name, **options)`` gives that scorer, its Scores of the pairs and the value of the set."""
    weights = {folder.name: str(folder) for folder in root.iterdir()}
    examples = [Example(id=str(k), task="report", question="?", reference=b) for k, (_, b) in enumerate(PAIRS)]
    answers = [Answer(a) for a, _ in PAIRS]

    def score(name: str, count: int = len(PAIRS), **options):
        scorer = registry.get(name).with_options({"weights": weights, "device": "cpu", **options})
        scores = scorer(examples[:count], answers[:count])
        if not scorer.pooled:
            return scorer, scores, float(np.mean(values(scores)))
        table = scorer.pooled.table(examples[:count], answers[:count], **scorer.options)
        return scorer, scores, float(scorer.pooled.value(table.sum(axis=0)))

    return score


def values(scores) -> list[float]:
    return [one.value for one in scores]


def test_the_golden_file_is_of_these_pairs():
    assert GOLDEN["texts"] == digest(PAIRS), "run make_golden_neural.py"


@pytest.mark.parametrize("model", GOLDEN["bertscore"])
def test_bertscore_is_the_packages(run, model):
    """The package computes in float32, whose last digit is 6e-8 of F, and rescales in it too: times 6.6 for the highest
    baseline. Ours is nearer to float64."""
    scorer, scores, _ = run("bertscore", model=model, rescale=False)
    wanted = np.maximum(GOLDEN["bertscore raw"][model], 0.0)  # below no similarity at all is cut
    assert values(scores) == pytest.approx(wanted, abs=5e-7)
    assert (scorer.low, scorer.high) == (0.0, 1.0)
    published = MODELS[model]
    rescaled = [published.rescaled(value) for value in values(scores)]
    assert rescaled == pytest.approx(np.maximum(GOLDEN["bertscore"][model], published.low), abs=2e-6)
    assert len(set(np.round(rescaled, 3))) > 50  # they differ enough to tell models apart
    scorer, scores, _ = run("bertscore", count=8, model=model)
    assert values(scores) == pytest.approx(rescaled[:8], abs=1e-6)
    assert scorer.low == published.low


@pytest.mark.parametrize("model", ["radgraph", "radgraph-xl"])
def test_radgraph_is_the_packages(run, model):
    wanted = GOLDEN["radgraph"][model]
    _, scores, value = run("radgraph", model=model, form="complete")
    assert value == pytest.approx(wanted["mean"][2], abs=1e-8)
    for form, cases in zip(FORMS, wanted["cases"], strict=True):
        assert [one.parts[form] for one in scores] == pytest.approx(cases, abs=1e-8), form


def test_rewards_are_those_of_radvlm_grpos_workers(run):
    _, scores, _ = run("radgraph_radvlm")
    assert values(scores) == pytest.approx(GOLDEN["radvlm"]["radgraph"], abs=1e-8)
    assert values(scores) != pytest.approx(GOLDEN["radgraph"]["radgraph-xl"]["cases"][2], abs=0.1)  # the case tells
    assert values(run("bertscore_radvlm")[1]) == pytest.approx(GOLDEN["radvlm"]["bertscore"], abs=2e-6)


def test_chexberts_labels_are_the_packages(run):
    _, compute = models.load("chexbert", run("chexbert_accuracy_5")[0].options["weights"], "cpu")
    found = compute([text for pair in PAIRS for text in pair])
    labels = ["".join(str(int(k in one.positive)) for k in range(14)) for one in found]
    assert labels == [one for pair in GOLDEN["labels"] for one in pair]
    assert len(set(labels)) > 100


@pytest.mark.parametrize("chosen", ["14", "5"])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "examples"])
def test_chexberts_figures_are_the_packages(run, average, chosen):
    of = GOLDEN["chexbert"][chosen][{"examples": "samples avg"}.get(average, f"{average} avg")]
    assert run(f"chexbert_f1_{average}_{chosen}")[2] == pytest.approx(of["f1-score"], abs=1e-8)


def test_chexberts_accuracy_is_the_packages(run):
    _, scores, value = run("chexbert_accuracy_5")
    assert values(scores) == GOLDEN["chexbert"]["exact"]
    assert value == pytest.approx(GOLDEN["chexbert"]["accuracy"], abs=1e-8)


def test_an_answer_without_text_names_no_condition(root):
    folders = {"chexbert": str(root / "chexbert")}
    scorer = registry.get("chexbert_f1_micro_14").with_options({"weights": folders, "device": "cpu"})
    examples = [Example(id="a", task="report", question="?", reference=TEXTS[0])] * 2
    table = scorer.pooled.table(examples, [Answer(" "), Answer(TEXTS[0])], **scorer.options)
    right, given, wanted = table.reshape(2, 3, 14).sum(axis=2).T
    assert (right[0], given[0]) == (0, 0)
    assert wanted[0] == wanted[1] == right[1] == given[1] > 0
    assert scorer.pooled.value(np.stack([table, table, 0 * table]).sum(axis=1)).tolist() == [2 / 3, 2 / 3, 0.0]


@pytest.mark.parametrize("name", ["chexbert_f1", "chexbert_macro_f1"])
def test_old_names_say_the_new_ones(name, refusal):
    assert "chexbert_f1_m" in refusal(registry.get, name)


def test_another_model_than_the_named_is_refused(root, refusal):
    assert "config.json: not roberta-large" in refusal(BertScore, root / "distilroberta", "cpu", "roberta-large")
    assert "should be" in refusal(registry.get("bertscore").with_options, {"model": "roberta-huge"})


@pytest.mark.parametrize(
    ("options", "low"), [({}, -5.55016), ({"model": "distilbert-base-uncased"}, -1.99585), ({"rescale": False}, 0.0)]
)
def test_no_answer_has_the_lowest_value_of_its_model(root, options, low):
    folders = {folder.name: str(folder) for folder in root.iterdir()}
    scorer = registry.get("bertscore").with_options({**options, "weights": folders, "device": "cpu"})
    assert pickle.loads(pickle.dumps(scorer)) == scorer  # in another process too
    (found,) = scorer([Example(id="a", task="report", question="?", reference=TEXTS[0])], [Answer(" ")])
    assert found.value == pytest.approx(low, abs=1e-5)

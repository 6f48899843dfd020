"""The figure of a set is one number, whether `radrl evaluate` prints it or `radrl score`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from neural_archives import TEXTS

from radrl.commands import score
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.registry import Scorer

assert score  # importing it registers all scorers
OF_TEXTS = [name for name in registry.names() if {"report", "vqa_open"} & set(registry.get(name).tasks)]
SAID = {
    **{f"same {k}": (text, text) for k, text in enumerate(TEXTS[:4])},
    **{f"other {k}": pair for k, pair in enumerate(zip(TEXTS[1:6], TEXTS, strict=False))},
    "silent": ("", TEXTS[0]),
    "again": (TEXTS[2], TEXTS[0]),
    "twice": (TEXTS[2], TEXTS[0]),
    "short": ("Effusion.", "No pneumothorax."),
    "no reference": ("Small left pleural effusion.", " "),  # some scorers have no Score for it
}


@pytest.mark.parametrize("name", OF_TEXTS)
def test_evaluate_and_score_give_one_figure(name, root, tmp_path, monkeypatch):
    scorer = registry.get(name)
    if scorer.kind == "judge":
        pytest.skip("asks a model")
    if scorer.kind == "neural":
        weights = {folder.name: str(folder) for folder in root.iterdir()}
        scorer = scorer.with_options({"weights": weights, "device": "cpu"})
    if problem := scorer.missing(**scorer.options):
        pytest.skip(problem)
    monkeypatch.setitem(registry._SCORERS, name, scorer)  # as `radrl score` finds it, with the tiny weights
    task = "report" if "report" in scorer.tasks else "vqa_open"
    examples = [Example(id=key, task=task, question="?", reference=wanted) for key, (_, wanted) in SAID.items()]
    evaluated = of_evaluate(scorer, task, examples, [Answer(said) for said, _ in SAID.values()])
    sides = [tmp_path / "said.jsonl", tmp_path / "wanted.jsonl"]
    for k, path in enumerate(sides):
        path.write_text("".join(json.dumps({"id": key, "text": pair[k]}) + "\n" for key, pair in SAID.items()))
    scored = score.score_files(*sides, [name])[name]
    assert evaluated == pytest.approx(scored, abs=1e-12)


def of_evaluate(scorer: Scorer, task: str, examples: list[Example], answers: list[Answer]) -> float:
    """Returns what an evaluation prints for the scorer."""
    columns = score_cases(examples, [answers], [(task, scorer)]).columns
    (column,) = [one for one in columns.values() if one.metric.about.startswith(f"scorer {scorer.name}:")]
    (statistic,) = column.statistics
    return float(statistic.at(np.ones((1, len(examples))))[0])


def test_micro_and_macro_are_two_figures(root):
    weights = {folder.name: str(folder) for folder in root.iterdir()}
    examples = [Example(id=key, task="report", question="?", reference=wanted) for key, (_, wanted) in SAID.items()]
    answers = [Answer(said) for said, _ in SAID.values()]
    found = {
        name: of_evaluate(
            registry.get(name).with_options({"weights": weights, "device": "cpu"}), "report", examples, answers
        )
        for name in ("chexbert_f1_micro_14", "chexbert_f1_macro_14")
    }
    assert len(set(found.values())) == 2


def test_a_sets_value_can_be_resampled():
    """What an evaluation gives for a resample is what the scorer gives for the set with its cases that often."""
    counts = np.random.default_rng(0).integers(0, 3, len(SAID))
    examples = [Example(id=key, task="report", question="?", reference=wanted) for key, (_, wanted) in SAID.items()]
    answers = [Answer(said) for said, _ in SAID.values()]
    rows = np.repeat(np.arange(len(SAID)), counts)
    for name in OF_TEXTS:
        scorer = registry.get(name)
        if scorer.pooled is None or scorer.kind != "cpu" or scorer.missing(**scorer.options):
            continue
        column = score_cases(examples, [answers], [("report", scorer)]).columns[name]
        some, given = [examples[i] for i in rows], [answers[i] for i in rows]
        wanted = scorer.corpus_value(some, given, scorer(some, given))
        assert column.own[0].at(counts[None].astype(float))[0] == pytest.approx(wanted, abs=1e-12), name

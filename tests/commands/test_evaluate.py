"""A whole evaluation of a tiny model: what it leaves, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radrl.commands.evaluate import run_evaluation
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.header import Header
from radrl.evaluation.controls import baselines, bias
from radrl.evaluation.judge import score_models
from radrl.example import Answer, Example
from radrl.output.run_facts import decoding_differs, settings_notes
from radrl.scoring import registry

REPORTS = ("No pleural effusion.", "Large left pleural effusion. The heart is enlarged.", "The lungs are clear.")
SHORT = ("evaluation.max_new_tokens=4",)


@pytest.mark.slow
def test_bias_is_looked_for_and_shards_collect_the_controls_too(make_recipe, tiny_folder, tmp_path):
    recipe = make_recipe(*SHORT, "data.limit=8")
    from radrl.evaluation.answers.sources import Shard

    models, out = {"tiny": (str(tiny_folder), False)}, tmp_path / "out"
    for k in (1, 2):
        assert run_evaluation(recipe, models, out, shard=Shard(k, 2), look_for_bias=True) == out / "predictions"
    assert not (out / "comparison.json").exists()
    page = run_evaluation(recipe, models, out, look_for_bias=True)
    assert page.is_file()
    tables = json.loads((out / "bias.json").read_text())["tiny"]
    assert {row["images"] for row in tables["controls"]} == {"own", bias.BLANK, bias.SWAPPED}
    assert {row["by"] for row in tables["subgroups"]} == {"sex", "age", "view", "source"}
    assert (out / "length.csv").read_text().count("\n") == 1 + 8
    assert not list((out / "predictions").glob("*.shard-*"))
    found = json.loads((out / "comparison.json").read_text())
    assert set(found["baselines"]) <= set(baselines.NAMES)
    assert found["models"][-1] == "tiny"


@pytest.mark.parametrize(
    ("names", "wanted"),
    [(["a b", "a_b"], "'a b' and 'a_b' would share a file"), (["trivial baseline"], "name of a trivial baseline")],
)
def test_names_that_would_collide_are_refused(make_recipe, tiny_folder, tmp_path, refusal, names, wanted):
    models = {name: (str(tiny_folder), False) for name in names}
    assert wanted in refusal(run_evaluation, make_recipe(*SHORT), models, tmp_path / "out")


def test_models_that_were_not_run_alike_are_noted():
    def header(**decoding):
        told = Decoding()._asdict() | decoding
        return Header("x", "y", "transformers", {"thinking": False}, told, {"resized_by": "A", "max_pixels": 9})

    same = {"a": header(), "b": header()}
    assert settings_notes(same) == []
    longer = {**same, "thinking": header(max_new_tokens=1024)}
    assert settings_notes(longer) == [
        "models were not run alike: decoding.max_new_tokens differs (a 256, b 256, thinking 1024)"
    ]
    file = Header("f", "f.csv", "file", {"thinking": False}, {"samples": 1})
    assert settings_notes({**same, "theirs": file}) == ["decoding settings not known (read from files): theirs"]
    assert decoding_differs(header(seed=1), header(seed=2)) == ""
    assert decoding_differs(header(), header(temperature=1.0)) == "temperature"


@pytest.mark.slow
def test_processes_score_as_one_does():
    examples = [Example(id=f"r{k}", task="report", question="?", reference=text) for k, text in enumerate(REPORTS)]
    runs = {"a": [[[Answer(text) for text in REPORTS]]], "b": [[[Answer(text) for text in REPORTS[::-1]]]] * 2}
    scorers = [("report", registry.get(name)) for name in ("bleu_4", "google_bleu", "cider", "rouge_l_coco")]
    alone, shared = (score_models(examples, runs, scorers, workers) for workers in (0, 2))
    assert {name: len(of_model) for name, of_model in shared.items()} == {"a": 1, "b": 2}
    once = np.ones((1, len(examples)))
    for name in runs:
        one, other = alone[name][0], shared[name][0]
        assert one.columns.keys() == other.columns.keys()
        for metric, column in one.columns.items():
            values = [[s.at(once) for s in c.statistics] for c in (column, other.columns[metric])]
            assert np.array_equal(*values, equal_nan=True), metric

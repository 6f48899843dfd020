"""What `radrl compare` takes from finished evaluations: no model is guessed, none is taken twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from radrl.evaluation.answers import predictions as store
from radrl.evaluation.answers.finished_runs import find_predictions, models_in, recipe_of
from radrl.evaluation.answers.header import RECIPE, Header
from radrl.evaluation.answers.predictions import Prediction


@pytest.fixture
def evaluated(tmp_path):
    """``evaluated("a", "SFT", "GRPO")`` makes a finished evaluation of these models; returns its folder."""

    def make(folder: str, *models: str, control: str | None = None, file: str | None = None) -> Path:
        for name in models:
            path = tmp_path / folder / "predictions" / f"{file or store.file_name(name)}.jsonl"
            store.write_predictions(path, [[Prediction("x", 0, "said", 1, "s")]])
            images = {"control": control} if control else {}
            header = Header(name, "place", "transformers", {"thinking": False}, {"temperature": 0.0}, images)
            header.save(path.with_suffix(".json"))
        return tmp_path / folder

    return make


def named(files):
    return {name: [str(path.parent.parent.name + "/" + path.name) for path, _ in each] for name, each in files.items()}


def test_all_models_of_the_folders_and_controls_aside(evaluated):
    a, b = evaluated("a", "SFT", "GRPO"), evaluated("b", "SFT", "DPO")
    evaluated("a", "SFT", control="blank image", file="SFT___blank_image")
    assert named(find_predictions([a, b], [])) == {
        "GRPO": ["a/GRPO.jsonl"], "SFT (a)": ["a/SFT.jsonl"], "DPO": ["b/DPO.jsonl"], "SFT (b)": ["b/SFT.jsonl"],
    }  # fmt: skip
    (a / "comparison.json").write_text('{"models": ["SFT", "GRPO"]}')
    assert list(models_in(a)) == ["SFT", "GRPO"]


def test_several_places_are_training_seeds(evaluated):
    places = [evaluated(f"seed{k}", "GRPO") for k in range(3)]
    both = evaluated("both", "SFT", "GRPO")
    found = find_predictions([], [f"GRPO={','.join(map(str, places))}", f"SFT={both}", "theirs=p.csv/think"])
    assert named(found)["GRPO"] == [f"seed{k}/GRPO.jsonl" for k in range(3)]
    assert named(found)["SFT"] == ["both/SFT.jsonl"]
    assert found["theirs"] == [(Path("p.csv"), True)]
    assert named(find_predictions([], [f"any={places[0]}"])) == {"any": ["seed0/GRPO.jsonl"]}  # its only model


def test_what_is_not_clear_is_refused(evaluated, tmp_path, refusal):
    both = evaluated("both", "SFT", "GRPO")
    assert "no 'SFD' (did you mean 'SFT'?) there" in refusal(find_predictions, [], [f"SFD={both}"])
    assert "one file stands twice" in refusal(find_predictions, [], [f"SFT={both},{both}/predictions/SFT.jsonl"])
    assert "there is a model 'SFT' already" in refusal(find_predictions, [both], [f"SFT={both}"])
    assert "write NAME=FOLDER" in refusal(find_predictions, [], ["SFT"])
    assert "holds no finished evaluation" in refusal(find_predictions, [tmp_path], [])
    assert "name finished evaluations" in refusal(find_predictions, [], [])
    assert "a shard" in refusal(find_predictions, [evaluated("s", "SFT", file="SFT.shard-1-of-2")], [])
    assert "give the recipe with --recipe" in refusal(recipe_of, [both], find_predictions([both], []))
    (both / "predictions" / RECIPE).write_text("")
    assert recipe_of([both], find_predictions([both], [])) == both / "predictions" / RECIPE
    (both / "predictions" / "SFT.json").write_text("[]")
    assert "not the header" in refusal(find_predictions, [both], [])

"""run.json: what a run was made with, and how each of its starts ended."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from datetime import datetime

import pytest
import torch

from radrl.commands import train
from radrl.training.run_folder.record import FILE, Record

RUN = ("sft={max_steps: 2, per_device_train_batch_size: 2, learning_rate: 1e-3, weight_decay: 0.25}",)


def starts(folder):
    return json.loads((folder / FILE).read_text())["starts"]


def test_a_finished_run_says_with_what_it_was_made(make_recipe, phantom_set):
    recipe = make_recipe(*RUN)
    (start,) = starts(train.run_sft(recipe).folder)
    manifest = phantom_set / "train.jsonl"
    summed = subprocess.run(["sha256sum", str(manifest)], capture_output=True, text=True, check=True).stdout
    assert start["data"] == [{"split": "train", "manifest": str(manifest), "sha256": summed.split()[0]}]
    tasks = Counter(json.loads(line)["task"] for line in manifest.read_text().splitlines())
    assert start["examples"] == tasks
    assert start["versions"]["torch"] == torch.__version__
    assert start["device"] == {"type": "cpu", "names": [], "processes": 1, "threads": torch.get_num_threads()}
    assert (start["config"]["weight_decay"], start["config"]["learning_rate"]) == (0.25, 1e-3)
    assert start["config"]["adam_beta2"] == 0.999  # not in the recipe: TRL's own
    assert start["recipe"]["sft"]["weight_decay"] == 0.25
    assert start["recipe"]["prompt"]["box_format"] == "unit"  # a default
    assert (start["exit"], start["steps"], start["resumed_from"]) == ("finished", 2, None)
    assert datetime.fromisoformat(start["start"]) <= datetime.fromisoformat(start["end"])
    assert start["config"]["hub_token"] == "<HUB_TOKEN>"


def test_a_run_that_ends_early_says_why_and_tells_nothing_of_the_data(make_recipe, monkeypatch, refusal):
    recipe = make_recipe("grpo={max_steps: 1}")
    said = refusal(train.run_grpo, recipe)
    (start,) = starts(recipe.path("run") / "grpo")
    assert start["exit"] == f"stopped: {said}"
    assert start["end"]
    assert start["steps"] is None

    def broken(*_, **__):
        raise RuntimeError("cannot read the film of Jane Doe")

    monkeypatch.setattr(train, "train_sft", broken)
    with pytest.raises(RuntimeError):
        train.run_sft(recipe)
    (start,) = starts(recipe.path("run") / "sft")
    assert start["exit"] == "failed: RuntimeError"


def test_a_killed_start_has_no_end_and_stays_in_the_record_of_a_resumed_run(make_recipe, tmp_path, monkeypatch):
    recipe, checkpoint = make_recipe(), tmp_path / "checkpoint-3"
    Record(tmp_path, recipe, "grpo", None)
    Record(tmp_path, recipe, "grpo", checkpoint).finish("finished")
    assert [(start["exit"], start["resumed_from"]) for start in starts(tmp_path)] == [
        (None, None),
        ("finished", "checkpoint-3"),
    ]
    monkeypatch.setenv("RANK", "1")
    Record(tmp_path, recipe, "grpo", checkpoint)  # of several processes the first one writes
    assert len(starts(tmp_path)) == 2
    monkeypatch.delenv("RANK")
    (tmp_path / FILE).write_text("changed by hand")
    Record(tmp_path, recipe, "grpo", checkpoint)
    assert len(starts(tmp_path)) == 1

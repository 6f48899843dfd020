"""What a resumed run must share with the one before: the rows of a step, and where it ends."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from radrl.commands import train
from radrl.errors import UserError
from radrl.models import loading
from radrl.training.run_folder.resuming import check_batch
from radrl.training.stage import MARKER

SETTINGS = "{max_steps: 2, per_device_train_batch_size: 2, save_steps: 1, gradient_checkpointing: false}"
RUN = ("data.limit=12", f"sft={SETTINGS}", f"grpo={SETTINGS}", "grpo.num_generations=2",
       "grpo.max_completion_length=4", "rewards={report: [{scorer: length}]}", "data.tasks=[report]")  # fmt: skip


def broken(recipe, run, monkeypatch):
    """Runs a stage up to its last checkpoint; the disk is full when the model is to be saved."""

    def full(*_):
        raise UserError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(loading, "save", full)
        with pytest.raises(UserError):
            run(recipe)


@pytest.mark.parametrize("run", [train.run_sft, train.run_grpo])
def test_a_run_whose_model_could_not_be_saved_is_resumed_without_a_step_more(make_recipe, monkeypatch, run):
    unbroken, recipe = run(make_recipe(*RUN)), make_recipe(*RUN, "out=broken")
    broken(recipe, run, monkeypatch)
    resumed = run(recipe, resume=True)
    assert resumed.done()["steps"] == 2
    one, other = (load_file(stage.model / "model.safetensors") for stage in (unbroken, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_another_number_of_processes_is_refused(make_recipe, monkeypatch, refusal):
    recipe = make_recipe(*RUN)
    broken(recipe, train.run_sft, monkeypatch)
    marker = recipe.path("run") / "sft" / "checkpoint-2" / MARKER
    noted = json.loads(marker.read_text())
    noted["batch"]["processes"] = 2  # as if two had begun it
    marker.write_text(json.dumps(noted))
    said = refusal(train.run_sft, recipe, resume=True)
    assert "was trained with 4 rows a step (2 processes x 2 x 1), and now it would be 2 rows a step" in said
    assert said.endswith("start 2 processes again, or set gradient_accumulation_steps 2")
    kept = make_recipe(*RUN, "sft.gradient_accumulation_steps=2")  # and does not count as another recipe
    assert train.run_sft(kept, resume=True).done()["steps"] == 2


def batch(processes, size, accumulation, per_generation=None):
    found = {"processes": processes, "per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation}
    if per_generation is None:
        return found
    return {**found, "steps_per_generation": per_generation, "generation_batch_size": processes * size * per_generation}


@pytest.mark.parametrize(
    ("begun", "now", "ends"),
    [
        (batch(2, 4, 1), batch(1, 4, 2), None),
        (batch(2, 4, 1), batch(1, 8, 1), None),
        (batch(4, 2, 1, 1), batch(2, 2, 2, 2), None),
        (batch(1, 4, 1), batch(2, 4, 1), "start 1 process again"),  # half a row at a time cannot be set
        (batch(8, 2, 3), batch(6, 2, 3), "start 8 processes again, or set gradient_accumulation_steps 4"),
        (batch(4, 2, 1, 1), batch(2, 2, 1, 1), "or set gradient_accumulation_steps 2"),
        (
            batch(4, 2, 1, 4),
            batch(2, 2, 1, 4),
            "or set gradient_accumulation_steps 2 and steps_per_generation 8",
        ),
        (batch(4, 2, 1, 4), batch(2, 2, 2, 4), "or set steps_per_generation 8"),
    ],
)
def test_the_setting_that_keeps_the_rows_of_a_step(tmp_path, refusal, begun, now, ends):
    if ends is None:
        check_batch(tmp_path, begun, now)
    else:
        assert refusal(check_batch, tmp_path, begun, now).endswith(ends)

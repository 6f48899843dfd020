"""What ends a run that can come to nothing: in one line, in every stage and process, with no model and nothing lost."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from radrl.commands import train
from radrl.errors import UserError
from radrl.example import Score
from radrl.scoring import registry, rewards
from radrl.training import grpo_rows, sft_rows
from radrl.training.audit.callback import Audit
from radrl.training.grpo import RadrlGRPOTrainer
from radrl.training.sft import RadrlSFTTrainer
from radrl.training.sft_rows import Collator
from radrl.training.stage import Clock, last_checkpoint

HELPERS = Path(__file__).parents[2] / "helpers"
SHORT = "max_steps: 4, per_device_train_batch_size: 4, save_steps: 1, gradient_checkpointing: false"
REWARDS = "rewards={report: [{scorer: length}], grounding: [{scorer: length}], vqa_closed: [{scorer: length}], " \
    "vqa_open: [{scorer: length}]}"  # fmt: skip
RUN = (
    REWARDS,
    f"sft={{{SHORT}}}",
    f"coldstart.sft={{{SHORT}}}",
    f"grpo={{{SHORT}, num_generations: 2, max_completion_length: 4, learning_rate: 1e-3}}",
)
STAGES = {
    "sft": (train.run_sft, RadrlSFTTrainer),
    "coldstart": (train.run_coldstart, RadrlSFTTrainer),
    "grpo": (train.run_grpo, RadrlGRPOTrainer),
}


def after_two_steps(loss, trainer, of_loss):
    """Makes the loss, or only the gradient, infinite in step 3."""
    if trainer.state.global_step < 2:
        return loss
    if of_loss:
        return loss + torch.inf
    loss.register_hook(lambda gradient: gradient * torch.inf)
    return loss


def folder_of(recipe, name):
    return recipe.path(recipe.out) / name


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("of_loss", [True, False], ids=["loss", "gradient"])
def test_the_first_infinite_loss_or_gradient_ends_the_run(make_recipe, refusal, monkeypatch, examples, name, of_loss):
    run, kind = STAGES[name]
    compute_loss = kind.compute_loss
    monkeypatch.setattr(
        kind,
        "compute_loss",
        lambda self, *args, **kwargs: after_two_steps(compute_loss(self, *args, **kwargs), self, of_loss),
    )
    recipe = make_recipe(*RUN)
    message = refusal(run, recipe)
    assert f"step 3: the {'loss is inf' if of_loss else 'gradient norm is nan'}" in message
    assert re.search(r"learning rate [\d.e-]+; Examples", message)
    named = re.search("Examples (.*?);", message)[1].split(", ")
    assert len(named) == (2 if name == "grpo" else 4)
    assert {*named} <= {example.id for example in examples}
    assert "finite: checkpoint-2)" in message
    assert last_checkpoint(folder_of(recipe, name)).name == "checkpoint-2"
    assert not (folder_of(recipe, name) / "model").exists()


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_weights_that_a_step_made_infinite_are_in_no_checkpoint(make_recipe, refusal, name):
    recipe = make_recipe(*RUN, f"{name}.learning_rate=1e38", f"{name}.lr_scheduler_type=constant", "sft.weight_decay=1")
    message = refusal(STAGES[name][0], recipe)
    assert "no numbers (" in message or "not numbers" in message
    assert last_checkpoint(folder_of(recipe, name)) is None
    assert not (folder_of(recipe, name) / "model").exists()


def stop_iteration(*_, **__):
    raise StopIteration


@pytest.mark.parametrize("raised", [StopIteration, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("place", "owner", "method", "name"),
    [
        ("collator", sft_rows, "sft_inputs", "sft"),
        ("rows of sft", sft_rows, "augment", "sft"),
        ("rows of grpo", grpo_rows, "messages", "grpo"),
        ("reward", rewards, "scorer_values", "grpo"),
        ("callback", Clock, "on_save", "sft"),
        ("audit", Audit, "look", "grpo"),
    ],
)
def test_no_exception_reads_as_the_end_of_the_data(make_recipe, monkeypatch, place, owner, method, name, raised):
    calls = []
    right = getattr(owner, method)

    def wrong(*args, **kwargs):
        calls.append(1)
        if len(calls) > 2:
            raise raised
        return right(*args, **kwargs)

    monkeypatch.setattr(owner, method, wrong)
    recipe = make_recipe(*RUN, "grpo.per_device_train_batch_size=2", "sft.per_device_train_batch_size=1")
    with pytest.raises((RuntimeError, StopIteration) if raised is StopIteration else KeyboardInterrupt):
        STAGES[name][0](recipe)
    assert not (folder_of(recipe, name) / "model").exists()
    assert len(calls) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_what_is_wrong_in_one_process_ends_all_of_them(make_recipe, tiny_folder, name):
    recipe = make_recipe(*RUN, f"model={{start: {tiny_folder}}}")
    recipe.file.write_text(recipe.to_yaml())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(HELPERS / "guards_process.py"), str(recipe.file), name]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    lines = dict(re.findall(r"^process (\d): (.*)$", made.stdout, re.MULTILINE))
    assert lines.keys() == {"0", "1"}
    assert lines["0"] == lines["1"]
    assert "step 2: the loss is nan (" in lines["0"]
    assert "finite: checkpoint-1)" in lines["0"]
    assert not (folder_of(recipe, name) / "model").exists()


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ("per_device_train_batch_size: 8", "the data have 3 Examples, but one rollout takes 4; give at least 4, or set "
         "'grpo.per_device_train_batch_size: 6'"),
        ("per_device_train_batch_size: 2, steps_per_generation: 4", "set 'grpo.per_device_train_batch_size: 2' and "
         "'grpo.steps_per_generation: 3'"),
        ("per_device_train_batch_size: 4, generation_batch_size: 8", "give at least 4"),
    ],
)  # fmt: skip
def test_fewer_examples_than_a_rollout_takes(make_recipe, refusal, monkeypatch, changed, wanted):
    monkeypatch.setattr(train, "tiny_model", None)  # before the model is loaded
    message = refusal(train.run_grpo, make_recipe(*RUN, f"grpo={{num_generations: 2, {changed}}}", "data.limit=3"))
    assert message.endswith(wanted)


def test_the_numbers_that_a_refusal_names_fit(make_recipe):
    settings = "grpo={max_steps: 1, num_generations: 2, max_completion_length: 2, steps_per_generation: 3, "
    recipe = make_recipe(REWARDS, settings + "per_device_train_batch_size: 2}", "data.limit=3")
    assert train.run_grpo(recipe).done()["steps"] == 1


def test_fewer_rows_than_a_batch_that_must_be_full(make_recipe, refusal):
    recipe = make_recipe("sft={dataloader_drop_last: true, per_device_train_batch_size: 4}", "data.limit=3")
    assert "one batch takes 4; give at least 4, or set 'sft.per_device_train_batch_size: 3'" in refusal(
        train.run_sft, recipe
    )


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_a_run_that_ends_before_its_last_step_has_no_model(make_recipe, refusal, monkeypatch, name):
    def end(self, args, state, control, **_):
        control.should_training_stop = True

    monkeypatch.setattr(Clock, "on_step_end", end, raising=False)
    recipe = make_recipe(*RUN)
    assert "training ended after 1 of 4 steps; no model is saved" in refusal(STAGES[name][0], recipe)
    assert not (folder_of(recipe, name) / "model").exists()


def test_data_that_end_too_early_are_no_end(make_recipe, refusal, monkeypatch):
    monkeypatch.setattr(Collator, "__call__", stop_iteration)  # as if nothing had caught it
    assert "step 1 of 4 got 0 of 1 batches" in refusal(train.run_sft, make_recipe(*RUN))


@pytest.mark.parametrize(("value", "said"), [(math.nan, "scorer length gave nan for "), (math.inf, "is infinite")])
def test_a_reward_that_is_no_number_is_never_trained_on(make_recipe, monkeypatch, value, said):
    if value is math.inf:
        more = [REWARDS.replace("length}]", "length, scale: 1e300}]")]
    else:
        more = []
        scorer = registry.get("length")
        wrong = replace(scorer, function=lambda examples, answers: [Score(value)] * len(examples))
        monkeypatch.setitem(registry._SCORERS, "length", wrong)
    recipe = make_recipe(*RUN, *more)
    with pytest.raises((UserError, ValueError), match=said):
        train.run_grpo(recipe)
    assert not (folder_of(recipe, "grpo") / "model").exists()

"""What ends a run that can come to nothing: in one line, in every stage and process, with no model and nothing lost."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from radrl.scoring import reward
from radrl.training import sft, stages
from radrl.training.audit import Audit
from radrl.training.grpo import RadrlGRPOTrainer
from radrl.training.run import Clock, last_checkpoint
from radrl.training.sft import RadrlSFTTrainer

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
    "sft": (stages.run_sft, RadrlSFTTrainer),
    "coldstart": (stages.run_coldstart, RadrlSFTTrainer),
    "grpo": (stages.run_grpo, RadrlGRPOTrainer),
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
        ("collator", sft, "sft_inputs", "sft"),
        ("rows of sft", sft, "augment", "sft"),
        ("rows of grpo", "radrl.training.grpo", "messages", "grpo"),
        ("reward", reward, "raw_values", "grpo"),
        ("callback", Clock, "on_save", "sft"),
        ("audit", Audit, "look", "grpo"),
    ],
)
def test_no_exception_reads_as_the_end_of_the_data(make_recipe, monkeypatch, place, owner, method, name, raised):
    calls = []
    owner = sys.modules[owner] if isinstance(owner, str) else owner
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

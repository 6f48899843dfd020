"""What a resumed run must do as the run that wrote the checkpoint did, beyond the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from radrl.errors import UserError
from radrl.models.library_internals import TrainerSteps

# by their names in TRL's configs; the last two are of a rollout, in GRPO alone
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps", "generation_batch_size", "steps_per_generation")

# Each of several processes on a CPU asks for its checkpoint on "cpu:0", "cpu:1" ..., which torch does not know.
torch.serialization.register_package(15, lambda _: None, lambda storage, at: storage if at.startswith("cpu:") else None)


class EndsWhereItEnded(TrainerSteps):
    """A trainer that trains no more when it is resumed from the checkpoint of its last step.

    transformers' Trainer looks for the end after each step only, and would take a step too many.
    """

    def run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super().run_epoch(*args, **kwargs)


def batch_of(config: TrainingArguments) -> dict[str, int]:
    """Returns what the size of an optimiser step and of a rollout comes from, over all processes."""
    sizes = {name: getattr(config, name, None) for name in BATCH}
    return {"processes": config.world_size, **{name: value for name, value in sizes.items() if value is not None}}


def check_batch(checkpoint: Path, begun: dict[str, int], now: dict[str, int]) -> None:
    """Compares the batch (`batch_of`) with which a checkpoint was written with that of the run that goes on from it.

    Raises:
        UserError: a step or a rollout has other rows than before, since there are other processes: the place in the
            epoch would move, and the learning rate would suit no longer.
    """
    step, rollout = _rows(begun), begun.get("generation_batch_size")
    if step == _rows(now) and rollout == now.get("generation_batch_size"):
        return
    at_once = now["per_device_train_batch_size"] * now["processes"]
    wanted = {}
    if step != _rows(now):
        wanted["gradient_accumulation_steps"] = step / at_once
    if rollout is not None and rollout not in (
        step,
        now.get("generation_batch_size"),
    ):  # else TRL's default for it follows
        wanted["steps_per_generation"] = rollout / at_once
    fix = " and ".join(f"{name} {value:g}" for name, value in wanted.items())
    kept = all(value >= 1 and value.is_integer() for value in wanted.values())
    raise UserError(
        f"{checkpoint}: was trained with {_said(begun)}, and now it would be {_said(now)}; start {begun['processes']} "
        f"process{'es' if begun['processes'] > 1 else ''} again{f', or set {fix}' if kept else ''}"
    )


def _rows(batch: dict[str, int]) -> int:
    return batch["per_device_train_batch_size"] * batch["gradient_accumulation_steps"] * batch["processes"]


def _said(batch: dict[str, int]) -> str:
    factors = [batch[name] for name in ("processes", "per_device_train_batch_size", "gradient_accumulation_steps")]
    said = f"{_rows(batch)} rows a step ({factors[0]} processes x {factors[1]} x {factors[2]})"
    rollout = batch.get("generation_batch_size")
    return said if rollout in (None, _rows(batch)) else f"{said} and {rollout} a rollout"

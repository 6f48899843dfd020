"""Warnings of a training run: a gradient far above what was usual, rewards without spread, weights that stand still.

- *gradient norm*: before clipping, more than ``guards.grad_norm`` times the median of the logged steps before;
- *no spread*: for ``guards.no_spread`` steps in a row no group had two different rewards: nothing could be learnt;
- *weights that stand still*: bfloat16 keeps 8 bits of a weight, and a small step is rounded away. Measured on a sample,
  at the first step whose learning rate is at least half of the largest one. Float32 weights have no such bound.

Each is given again after 50 steps at the earliest. With ``guards.stop`` the first one ends the run. What the rewards
pay for is audit.py's.
"""

from __future__ import annotations

import logging
import statistics
from typing import Any, cast

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.errors import UserError
from radrl.recipe.sections import Guards

log = logging.getLogger(__name__)

WINDOW = 50  # logged steps behind a median, and steps before a warning is repeated
LEAST = 10  # logged steps that a median needs
SAMPLE = 2**18  # weights that are looked at
STILL = 0.5  # share of weights that should move in one step


class Watch(TrainerCallback):
    """Warns as said above. ``section`` is the recipe's, which the lines name."""

    def __init__(self, guards: Guards, section: str) -> None:
        self.guards, self.section = guards, section
        self.warned: dict[str, int] = {}  # kind: step
        self.measured = False
        self.before: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def _warn(self, kind: str, step: int, state: TrainerState, text: str) -> None:
        if step - self.warned.get(kind, -WINDOW) < WINDOW:
            return
        self.warned[kind] = step
        line = f"step {step}: {text}"
        if self.guards.stop:
            raise UserError(f"{line}; training has stopped ('guards.stop') and no model is saved")
        if state.is_world_process_zero:
            log.warning("%s", line)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = state.log_history[-1] if state.log_history else {}
        if "grad_norm" in now:
            self._look_at_gradient(now, state)
        if "frac_reward_zero_std" in now:
            self._look_at_spread(now, state)

    def _look_at_gradient(self, row: dict[str, Any], state: TrainerState) -> None:
        now, before = row["grad_norm"], state.log_history[-4 * WINDOW : -1]  # there may be others between them
        usual = [row["grad_norm"] for row in before if row.get("grad_norm", 0.0) > 0][-WINDOW:]
        if not self.guards.grad_norm or len(usual) < LEAST:
            return
        median = statistics.median(usual)
        if now > self.guards.grad_norm * median:
            self._warn(
                "gradient norm", state.global_step, state,
                f"the gradient norm is {now:.3g}, {now / median:.0f} times its median of the last {len(usual)} logged "
                f"steps ({median:.3g}), at learning rate {row['learning_rate']:g}; if that goes on, lower it or "
                f"'{self.section}.max_grad_norm' ('guards.grad_norm' sets what is told, 'guards.stop: true' ends the "
                "run)",
            )  # fmt: skip

    def _look_at_spread(self, now: dict[str, Any], state: TrainerState) -> None:
        since = 0  # the last step whose rewards had some
        for row in reversed(state.log_history):
            if row.get("frac_reward_zero_std", 1.0) < 1.0:
                since = row["step"]
                break
        steps = state.global_step - since
        if self.guards.no_spread and steps >= self.guards.no_spread:
            self._warn(
                "no spread", state.global_step, state,
                f"for {steps} steps no group has had two different rewards (mean {now['reward']:.3g}), so there is "
                "nothing to learn from: look at completions and rewards, raise 'grpo.num_generations' or "
                "'grpo.temperature' ('guards.no_spread' sets what is told, 'guards.stop: true' ends the run)",
            )  # fmt: skip

    # --- weights that stand still ------------------------------------------------------------------------------------

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        rate = parts["optimizer"].param_groups[0]["lr"]
        if not self.measured and rate >= args.learning_rate / 2 > 0:
            self.before = _sample(parts["model"])

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **parts: Any
    ) -> None:
        if not self.before:
            return
        self.measured = True
        kept, self.before = self.before, []
        moved = sum(int((_local(weight).flatten()[at] != value).sum()) for weight, at, value in kept)
        share = moved / sum(len(at) for _, at, _ in kept)
        if share < STILL:
            rate = parts["optimizer"].param_groups[0]["lr"]
            kind = str(kept[0][0].dtype).removeprefix("torch.")
            self._warn(
                "weights that stand still", state.global_step + 1, state,
                f"only {share:.2%} of the weights that have a gradient moved: steps of learning rate {rate:g} are "
                f"rounded away in {kind}. Train float32 weights ('model.dtype: float32' with '{self.section}.bf16: "
                "true'), or raise the learning rate",
            )  # fmt: skip


def _sample(model: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Returns weights of less than 32 bits with a gradient: parameter, places in it (of this process's shard), values.
    Of every so many weights one is taken, SAMPLE at most."""
    weights = [p for p in model.parameters() if p.grad is not None and p.dtype in (torch.bfloat16, torch.float16)]
    every = sum(_local(p).numel() for p in weights) // SAMPLE + 1
    kept = []
    for weight in weights:
        values = _local(weight).flatten()
        at = torch.arange(0, len(values), every, device=values.device)
        at = at[_local(cast(torch.Tensor, weight.grad)).flatten()[at] != 0]
        if len(at):
            kept.append((weight, at, values[at]))
    return kept


def _local(x: torch.Tensor) -> torch.Tensor:
    return (x.to_local() if isinstance(x, DTensor) else x).detach()

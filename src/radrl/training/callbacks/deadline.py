"""Training that ends by the clock: SFT as a control that has the time GRPO had, whatever the machine's speed does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from accelerate.utils import broadcast
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.errors import UserError
from radrl.training.stage import Clock

ENDLESS = 10**9  # steps that a training gets which ends by the clock
STEPS = 1000  # of a schedule, where a recipe counts epochs


class Deadline(TrainerCallback):
    """Ends training after the first step that ends ``seconds`` or more after its start, by ``clock``, which counts on
    after a resume.

    ``share`` is the part of the time that is used up, 0-1. It is the first process's in all of them.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.share = min(1.0, clock.before / seconds)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        mine = torch.tensor(min(1.0, self.clock.seconds / self.seconds), device=args.device)
        self.share = float(cast(torch.Tensor, broadcast(mine)))
        if self.share >= 1:
            control.should_training_stop = True
            control.should_evaluate |= args.eval_strategy == "steps"  # as transformers does after the last step

    def place(self, _: TrainerState) -> tuple[int, int]:
        """Returns how many seconds have passed, and how many there are."""
        return round(self.share * self.seconds), round(self.seconds)

    def rule(self, scheduler: LRScheduler, steps: int) -> None:
        """Lets a learning rate that was to change over ``steps`` steps go the same way over the time instead.

        Raises:
            UserError: the schedule is none of the step alone.
        """
        if not isinstance(scheduler, LambdaLR):
            raise UserError(
                f"sft.lr_scheduler_type: {type(scheduler).__name__} cannot go by time, which --as-long-as needs; "
                "choose another, such as cosine"
            )
        of_steps = cast(list[Callable[[float], float]], scheduler.lr_lambdas)  # none asks for whole steps
        scheduler.lr_lambdas = [lambda _, f=f: f(self.share * steps) for f in of_steps]

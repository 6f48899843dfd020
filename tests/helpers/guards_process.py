"""Trains a stage in the processes that torchrun started; in step 2 the loss of process 1 alone is NaN.

python tests/helpers/guards_process.py RECIPE STAGE
"""

from __future__ import annotations

import os
import sys

import torch

from radrl.commands import train
from radrl.commands.load_recipe import load_recipe
from radrl.errors import UserError
from radrl.training.grpo import RadrlGRPOTrainer
from radrl.training.sft import RadrlSFTTrainer


def wrong(kind: type) -> None:
    """Makes the loss of process 1 NaN, and leaves its gradient as it is."""
    right = kind.training_step

    def training_step(self, *args, **kwargs):
        loss = right(self, *args, **kwargs)
        if os.environ["RANK"] == "1" and self.state.global_step == 1:
            self._losses[-1] = loss * torch.nan
        return loss

    kind.training_step = training_step


if __name__ == "__main__":
    wrong(RadrlSFTTrainer)
    wrong(RadrlGRPOTrainer)
    try:
        getattr(train, f"run_{sys.argv[2]}")(load_recipe(sys.argv[1]))
    except UserError as error:
        print(f"process {os.environ['RANK']}: {error}\n", end="", flush=True)
    torch.distributed.destroy_process_group()

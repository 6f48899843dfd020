"""radrl's commands with FSDP2 on a CPU, and GRPO on completions that are the same for any number of processes.

torchrun --nproc_per_node 2 tests/helpers/fsdp_on_cpu.py sft RECIPE ... [-- grpo RECIPE ...]

A GRPO run of the name ``planted`` fails in the second process alone.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby

import accelerate
import numpy as np
from accelerate import FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from radrl.commands.main import main
from radrl.errors import UserError
from radrl.training.grpo import RadrlGRPOTrainer


def shard() -> None:
    """accelerate shards on GPUs only; told that this is such a run, it does so on gloo too."""
    begin = accelerate.Accelerator.__init__

    def begin_sharded(self, *args, fsdp_plugin: FullyShardedDataParallelPlugin | None = None, **kwargs) -> None:
        for state in (AcceleratorState, PartialState):  # of the run before
            if state._shared_state:
                state._shared_state["distributed_type"] = DistributedType.MULTI_CPU
        if fsdp_plugin is None and os.environ.get("ACCELERATE_USE_FSDP") == "true":
            fsdp_plugin = FullyShardedDataParallelPlugin()
        begin(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            self.state.fsdp_plugin = fsdp_plugin
            for state in (AcceleratorState, PartialState):
                state._shared_state["distributed_type"] = DistributedType.FSDP

    accelerate.Accelerator.__init__ = begin_sharded


def fix_completions(tokens: int = 700) -> None:
    """A rollout is made, and replaced by completions that depend on nothing but the step and the row."""
    generate = RadrlGRPOTrainer.complete_prompts

    def drawn(self, prompt_ids, *args, **kwargs):
        if self.args.output_dir.endswith("planted") and self.accelerator.process_index == 1:
            raise UserError("planted in the second process")
        made, _ = generate(self, prompt_ids, *args, **kwargs)
        first = self.accelerator.process_index * len(made)
        draws = [np.random.default_rng([self.state.global_step, first + i]) for i in range(len(made))]
        return [draw.integers(0, tokens, draw.integers(1, 9)).tolist() for draw in draws], None

    RadrlGRPOTrainer.complete_prompts = drawn


def run(arguments: list[str]) -> None:
    """Runs the commands, with ``--`` between them, one after the other."""
    for divider, command in groupby(arguments, key=lambda argument: argument == "--"):
        if divider:
            continue
        sys.argv[1:] = command
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise
        AcceleratorState._reset_state(reset_partial_state=False)


if __name__ == "__main__":
    shard()
    fix_completions()
    run(sys.argv[1:])

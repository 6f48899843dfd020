"""Trains a small model for a few steps in this process, or in the processes torchrun started, and writes the losses.

python tests/helpers/prefix_process.py FOLDER ddp fsdp2
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from prefix_models import in_float64, make_model, make_rows, make_trainer
from torch.distributed.tensor import DTensor

from radrl.support.processes import end_together
from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer

STEPS = 4


class Trainer(SharedPrefixGRPOTrainer):
    """Rolls out for real, then takes completions that depend on nothing but the step and the row."""

    def create_accelerator_and_postprocess(self):
        """accelerate shards on GPUs only; told that this is such a run, it does so on gloo too."""
        super().create_accelerator_and_postprocess()
        if self.args.fsdp_plugin_args is not None:
            self.accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            for state in (AcceleratorState, PartialState):
                state._shared_state["distributed_type"] = DistributedType.FSDP
            self.is_fsdp_enabled = True

    def complete_prompts(self, prompt_ids, *args, **kwargs):
        made, _ = super().complete_prompts(prompt_ids, *args, **kwargs)
        assert len(made) == len(prompt_ids)
        first = self.accelerator.process_index * len(prompt_ids)
        draws = [np.random.default_rng([self.state.global_step, first + i]) for i in range(len(prompt_ids))]
        return [draw.integers(0, 200, draw.integers(1, 9)).tolist() for draw in draws], None


def train(folder: Path, how: str) -> list[dict]:
    """Returns the log of a run in float64: ``stock`` (TRL's own path), ``ddp`` or ``fsdp2``."""
    model, processor = make_model("qwen3_vl")
    start = folder / f"start-{os.environ.get('RANK', 'alone')}"  # where the reference model is loaded from
    if not start.exists():
        model.double().save_pretrained(start)
    model = type(model).from_pretrained(start, dtype=torch.float64)
    processes = 1 if how == "stock" else 2
    settings = {}
    if how == "fsdp2":
        settings = {
            "fsdp": True,
            "fsdp_config": {
                "version": 2,
                "transformer_layer_cls_to_wrap": ["Qwen3VLTextDecoderLayer", "Qwen3VLVisionBlock"],
            },
        }
    trainer = make_trainer(
        folder / f"run-{how}", model, processor, make_rows((1, 1, 2, 1)), share=how != "stock", kind=Trainer, beta=0.1,
        num_iterations=2, max_steps=STEPS, per_device_train_batch_size=16 // processes, **settings,
    )  # fmt: skip
    trainer.train()
    assert trainer.sharing == (how != "stock")
    if how == "fsdp2":
        assert all(isinstance(p, DTensor) for m in (trainer.model, trainer.ref_model) for p in m.parameters())
    return [row for row in trainer.state.log_history if "loss" in row]


if __name__ == "__main__":
    in_float64(pytest.MonkeyPatch())
    for how in sys.argv[2:]:
        made = train(Path(sys.argv[1]), how)
        if torch.distributed.get_rank() == 0:
            Path(sys.argv[1], f"{how}.json").write_text(json.dumps(made))
        AcceleratorState._reset_state(reset_partial_state=False)
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_CPU
    end_together()  # one that ends first may abort the other on its way out

"""Weights of which each process holds a part (FSDP2, DeepSpeed's ZeRO-3): trained rightly, and saved in one piece."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.errors import UserError


def prepare(trainer: Trainer) -> None:
    """Sees to it, before the first step, that the work is split in a way that is served.

    Raises:
        UserError: FSDP of version 1, whose parts are those of one flat tensor; or one process has several GPUs, over
            which transformers would split a batch's rows, and its images' patches as if each row had as many.
    """
    if trainer.args.n_gpu > 1:
        raise UserError(
            f"one process sees {trainer.args.n_gpu} GPUs; start one for each with 'torchrun --nproc_per_node "
            f"{trainer.args.n_gpu} -m radrl ...', or let it see one with CUDA_VISIBLE_DEVICES=0"
        )
    if not trainer.is_fsdp_enabled:
        return
    if not trainer.accelerator.is_fsdp2:
        raise UserError("FSDP of version 1 is not served; choose version 2 (fsdp_version: 2 in accelerate's file)")
    trainer.add_callback(WholeHead())


class WholeHead(TrainerCallback):
    """Has FSDP2 join the output layer's weights for each pass.

    TRL reads them without calling the layer, and where it finds parts joins them in a way that gives each process the
    gradient of its own rows alone. That is so where embeddings are not tied, as in Qwen3-VL-8B: there accelerate 1.15
    makes the layer a unit of FSDP2 by itself.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        head = model.get_output_embeddings()
        if isinstance(head, FSDPModule):
            model.base_model.register_forward_pre_hook(lambda *_: head.unshard())


def whole_model(trainer: Trainer) -> PreTrainedModel | None:
    """Returns the trained model with all its weights and its adapters merged, on the first process; None on the others.

    Every process must call it. After it the trainer trains no more: the first process's parts are replaced by wholes.
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    first = trainer.is_world_process_zero()
    _join(model, keep=first)
    if not first:
        return None
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def _join(model: nn.Module, *, keep: bool) -> None:
    """Replaces each parameter of which this process holds a part by the whole one, in main memory. A process that does
    not ``keep`` them only gives its parts."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # some are whole since the last forward pass, in memory that FSDP takes back
    wholes: dict[nn.Parameter, nn.Parameter | None] = {}  # a parameter that two modules share stays one
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not _is_part(parameter):
                continue
            if parameter not in wholes:
                wholes[parameter] = _whole(parameter, keep=keep)
            if keep:
                setattr(module, name, wholes[parameter])


def _is_part(parameter: nn.Parameter) -> bool:
    return isinstance(parameter, DTensor) or hasattr(parameter, "ds_id")  # of FSDP2; of ZeRO-3


@torch.no_grad()
def _whole(parameter: nn.Parameter, *, keep: bool) -> nn.Parameter | None:
    if isinstance(parameter, DTensor):
        # weights that FSDP keeps in main memory are joined where the processes can talk to each other
        there = cast(DTensor, parameter.to(parameter.device_mesh.device_type))
        joined, gathered = there.full_tensor(), nullcontext()
    else:
        import deepspeed  # pyright: ignore[reportMissingImports] # installed by who uses it

        joined, gathered = parameter, deepspeed.zero.GatheredParameters([parameter])
    with gathered:
        return nn.Parameter(joined.data.cpu().clone(), requires_grad=False) if keep else None

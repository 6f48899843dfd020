"""The trainer of a stage, built for real on a model without weights: TRL, peft and transformers look at every setting
as they will in training, and nothing is loaded, trained or written."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, ProcessorMixin, TrainingArguments

from radrl.errors import UserError, one_line
from radrl.manifest.example_set import ExampleSet
from radrl.models.library_internals import GRPOSteps, logits_processors
from radrl.recipe.schema import Recipe, StageKind
from radrl.training.checks.library_errors import one_line_refusals
from radrl.training.held_out.evaluating import HeldOut
from radrl.training.random_state import random_state_kept
from radrl.training.stage import Clock, Stage

if TYPE_CHECKING:
    from radrl.training.grpo import RadrlGRPOTrainer
    from radrl.training.sft import RadrlSFTTrainer


class Plan(NamedTuple):
    """What a stage would do: its optimiser steps, the rows that one takes (Examples with their images, or completions)
    and the weights it trains."""

    steps: int
    rows: int
    trained: int


def rehearse(
    recipe: Recipe,
    kind: StageKind,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    dev: HeldOut | None = None,
) -> Plan:
    """Builds the trainer, its optimiser and its schedule for ``model``, which `radrl.models.loading.skeleton` has
    made and which is changed by it.

    Raises:
        UserError: a setting is refused.
    """
    section, _ = recipe.trl_section(kind)
    gpus = range(torch.cuda.device_count())  # what is trained must not depend on having looked
    looking = one_line_refusals(recipe, kind, deliberate=True)
    with random_state_kept(gpus), tempfile.TemporaryDirectory() as folder, looking:
        trainer = _trainer(recipe, kind, model, processor, examples, dev, Path(folder))
        config, batches = trainer.args, trainer.get_train_dataloader()
        steps = trainer.set_initial_training_values(config, batches)[6]
        trainer.create_optimizer_and_scheduler(steps)
        _check_checkpointing(recipe, section, config)
        if isinstance(trainer, GRPOSteps):
            _check_sampling(trainer)
        trained = sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad)
        return Plan(steps, config.train_batch_size * config.gradient_accumulation_steps * config.world_size, trained)


def _trainer(
    recipe: Recipe,
    kind: StageKind,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    dev: HeldOut | None,
    folder: Path,
) -> RadrlSFTTrainer | RadrlGRPOTrainer:
    stage, processor = Stage(folder, kind), copy.deepcopy(processor)  # TRL sets its padding and end tokens
    cast(Any, model).hf_device_map = {"": "meta"}  # a model that is placed already: the trainers leave it where it is
    ours = {
        "report_to": "none",
        "push_to_hub": False,  # it would make the repository
        "deepspeed": None,  # it would take hold of the process
    }
    if kind != "grpo":
        from radrl.training.sft import sft_trainer

        options: dict[str, Any] = {}
        if kind == "coldstart":
            cold = recipe.coldstart.model_copy(update={"sft": {**recipe.coldstart.sft, **ours}})
            recipe = recipe.model_copy(update={"coldstart": cold})
            options = {"config": recipe.coldstart_config(folder), "thinking_share": cold.thinking_share}
        else:
            recipe = recipe.model_copy(update={"sft": {**recipe.sft, **ours}})
        return sft_trainer(recipe, model, processor, examples, stage, Clock(None), dev=dev, **options)
    from radrl.training.grpo import check_reference, grpo_trainer

    check_reference(recipe, recipe.grpo_config(folder), model)
    # vLLM would start; the reference for KL is a second model, with weights. Keys that need them have been looked at
    apart = ("beta", "sync_ref_model", "ref_model_", "use_bias_correction_kl", "use_vllm", "vllm_")
    kept = {key: value for key, value in recipe.grpo.items() if not key.startswith(apart)}
    changed = {"grpo": {**kept, **ours}}
    return grpo_trainer(recipe.model_copy(update=changed), model, processor, examples, stage, Clock(None), None, dev)


def _check_checkpointing(recipe: Recipe, section: str, config: TrainingArguments) -> None:
    """Hands ``gradient_checkpointing_kwargs`` to what takes them in every layer of a step."""
    options = cast(dict[str, Any], config.gradient_checkpointing_kwargs)
    if not config.gradient_checkpointing or not options:
        return
    try:
        number = torch.zeros(1, requires_grad=True)
        checkpoint(torch.sin, number, **{"use_reentrant": False, **options})
    except Exception as error:  # torch checks with errors of many types
        at = f"{recipe.file}: key '{section}.gradient_checkpointing_kwargs'"
        raise UserError(one_line(f"{at}: torch refuses it: {error}")) from None


def _check_sampling(trainer: GRPOSteps) -> None:
    """Has transformers look at how completions are sampled, as its ``generate`` does first."""
    config = trainer.generation_config
    config.validate(strict=False)
    logits_processors(trainer.model, config, 1, "cpu")

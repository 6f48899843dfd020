"""GRPO through TRL's GRPOTrainer, on Examples of several tasks at once.

Each Example is scored by its own task's scorers (scoring/reward.py); a group is one prompt, so advantages never mix
tasks. What is added to TRL: rows read pictures late and share one picture a group, a sampler that a resume finds again,
and the logs that a length audit needs. RadVLM-GRPO: arXiv 2512.10691; GRPO: arXiv 2402.03300; Dr. GRPO: arXiv
2503.20783 (``loss_type: dr_grpo`` and ``scale_rewards: false`` in the recipe's ``grpo:`` section).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin
from trl.trainer.grpo_config import GRPOConfig

from radrl.errors import UserError
from radrl.example import Answer
from radrl.images.sizes import image_resizing
from radrl.manifest.example_set import ExampleSet
from radrl.models.inputs import template_kwargs
from radrl.models.library_internals import source_of
from radrl.models.loading import suit_to_cpu
from radrl.prompt import control_tokens
from radrl.recipe.schema import Recipe
from radrl.scoring.rewards import load_rewards
from radrl.training.audit.callback import Audit
from radrl.training.callbacks.guards import Guarded
from radrl.training.callbacks.watch import Watch
from radrl.training.checks.library_errors import one_line_refusals
from radrl.training.grpo_rows import EpochSampler, GRPORows, steps_of_rollout
from radrl.training.held_out.evaluating import HeldOut, HeldOutEvaluation
from radrl.training.lora import lora_config
from radrl.training.run_folder.logged_films import log_films
from radrl.training.run_folder.no_model_card import NoModelCard
from radrl.training.run_folder.resuming import EndsWhereItEnded
from radrl.training.run_folder.samples import Samples, texts_only
from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer
from radrl.training.stage import Clock, Progress, Stage
from radrl.training.train_and_save import train_and_save


def _without_texts(record: logging.LogRecord) -> bool:
    """TRL's warning of a completion that no reward could be computed of quotes it, its prompt and its Example."""
    if "All reward functions returned None" in record.getMessage():
        record.msg, record.args = "no reward could be computed of a completion; it has no advantage", ()
    return True


logging.getLogger("trl.trainer.grpo_trainer").addFilter(_without_texts)


class RadrlGRPOTrainer(Guarded, HeldOutEvaluation, EndsWhereItEnded, NoModelCard, SharedPrefixGRPOTrainer):
    """TRL's GRPOTrainer that computes image and prompt once a group, with the sampler above and an audit."""

    audit: Audit | None = None
    samples: Samples | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.ref_model is not None:
            suit_to_cpu(cast(nn.Module, self.ref_model))

    def held_out_figures(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Returns what the audit says of them."""
        assert self.audit is not None
        return self.audit.look_at_dev(answers)

    def train_sampler(self, dataset: Dataset | None) -> EpochSampler:
        rows = dataset if dataset is not None else self.train_dataset
        return EpochSampler(
            data_source=cast(Dataset, rows),
            mini_repeat_count=self.num_generations,
            batch_size=cast(int, self.args.generation_batch_size) // self.num_generations,
            repeat_count=self.num_iterations * cast(int, self.args.steps_per_generation),
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    def roll_out(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().roll_out(rows)
        if self.samples is not None and self.model.training:
            self.samples.look(self, rows)
        return batch

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        texts_only(self.texts_to_log)
        super().log(logs, start_time)
        if self.log_completions and "reward" in logs:  # which has no part in the last log of a run
            log_films(self)

    def compute_rewards(self, rows: Any, prompts: Any, completions: Any, completion_ids: Any) -> torch.Tensor:
        rewards = super().compute_rewards(rows, prompts, completions, completion_ids)
        if rewards.isinf().any():  # TRL would make advantages of 0 of them, for the whole group
            name = self.reward_func_names[int(rewards.isinf().any(0).nonzero()[0])]
            raise UserError(f"reward '{name}' is infinite in float32; lower its 'scale' under 'rewards'")
        if self.audit is not None and self.model.training:
            self.audit.look(rows, completions, rewards)
        return rewards


def train_grpo(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    checkpoint: Path | None = None,
    dev: HeldOut | None = None,
) -> dict[str, Any]:
    """Trains with the recipe's rewards, from ``checkpoint`` on where one is given, and saves ``stage.model``;
    returns notes (steps, seconds). The run is audited, with the held-out Examples of ``dev`` where there are some."""
    clock = Clock(checkpoint)
    with one_line_refusals(recipe, "grpo"):
        trainer = grpo_trainer(recipe, model, processor, examples, stage, clock, checkpoint, dev)
        return train_and_save(trainer, processor, stage, clock, checkpoint)


def grpo_trainer(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    clock: Clock,
    checkpoint: Path | None = None,
    dev: HeldOut | None = None,
) -> RadrlGRPOTrainer:
    """Returns the trainer that `train_grpo` runs; nothing is trained or written yet, and weights are not looked at but
    for those of a reference for KL.

    Raises:
        UserError: a task has Examples but no rewards, checkpoints would fall between a rollout and its updates, or
            there is no reference for KL.
    """
    tasks = examples.tasks
    missing = sorted(tasks - set(recipe.rewards))
    if missing:
        raise UserError(
            f"{recipe.file}: no rewards for task '{missing[0]}' of the training data; "
            f"add 'rewards.{missing[0]}' or leave the task out with 'data.tasks'"
        )
    style = recipe.style()
    functions = load_rewards(recipe, tasks)
    config = recipe.grpo_config(stage.folder, reward_weights=[function.weight for function in functions])
    images, control = image_resizing(processor.image_processor), control_tokens.of_tokenizer(processor.tokenizer)
    asked = cast(dict[str, Any], config.chat_template_kwargs or {})
    config.chat_template_kwargs = {**asked, **template_kwargs(processor, style)}
    if config.use_vllm:
        config.generation_kwargs = no_pictures(model, cast(dict[str, Any], config.generation_kwargs or {}))
    config.disable_tqdm = True
    _check_saves(config, recipe)
    if config.cast_lm_head_to_fp32 and model.config.tie_word_embeddings:
        raise UserError(
            f"{recipe.file}: key 'grpo.cast_lm_head_to_fp32': this model's output layer is its embedding, which TRL "
            "cannot cast in a model with images; leave the key out"
        )
    check_reference(recipe, config, model)
    rows = GRPORows(examples, style, images, control)
    if dev is not None:
        dev.write_into(config)
    held_out = dev and dev.dev
    audit = Audit(stage.folder, style, [function.__name__ for function in functions], held_out, checkpoint)
    progress = Progress(stage.name, ("reward", "completions/mean_length", "frac_reward_zero_std"))
    trainer = RadrlGRPOTrainer(
        model=model,
        reward_funcs=functions,
        args=config,
        train_dataset=_dataset(rows),
        eval_dataset=held_out and _dataset(GRPORows(held_out.examples, style, images, control)),
        processing_class=processor,
        callbacks=[audit, Watch(recipe.guards, "grpo"), clock, progress],
        peft_config=lora_config(recipe, model),
        share=recipe.model.shared_prefix,
    )
    trainer.audit, audit.trainer = audit, trainer
    trainer.held_out, trainer.clock = dev, clock
    if recipe.samples_every:
        trainer.samples = Samples(stage.folder, style, recipe.samples_every, checkpoint)
    return trainer


def check_reference(recipe: Recipe, config: GRPOConfig, model: PreTrainedModel) -> None:
    """Raises UserError where KL asks for a reference and there is no folder to read it from."""
    if config.beta and recipe.model.lora is None and not source_of(model):  # TRL reads it a second time
        raise UserError(
            f"{recipe.file}: key 'grpo.beta' is above 0, but a model that is made on the spot or merged has no folder "
            "to read the reference from; start from a stage's folder, with --start, add 'model.lora', or leave "
            "'grpo.beta' out"
        )


def _dataset(rows: GRPORows) -> Dataset:
    return Dataset.from_dict({"index": range(len(rows.examples))}).with_transform(rows)


def no_pictures(model: PreTrainedModel, own: dict[str, Any]) -> dict[str, Any]:
    """Returns vLLM's generation settings with which no completion holds the token of an image or a video: it would be
    one for which there are no features. TRL sees to that where transformers writes the completions."""
    tokens = [getattr(model.config, f"{kind}_token_id", None) for kind in ("image", "video")]
    never = {token: -100.0 for token in tokens if token is not None}  # the least that OpenAI's field takes
    return {**own, "logit_bias": {**never, **(own.get("logit_bias") or {})}}


def _check_saves(config: GRPOConfig, recipe: Recipe) -> None:
    together = steps_of_rollout(config)
    if config.eval_strategy == "steps" and config.eval_steps is not None:
        if "eval_steps" not in recipe.grpo:
            config.eval_steps = math.ceil(config.eval_steps / together) * together
        if (config.save_strategy == "best" or config.load_best_model_at_end) and config.eval_steps % together:
            raise UserError(
                f"{recipe.file}: key 'grpo.eval_steps' is {config.eval_steps:g}, and the best checkpoint is kept, but "
                f"a rollout ends only every {together} steps; make it a multiple of {together}"
            )
    if config.save_strategy != "steps":
        return
    if "save_steps" not in recipe.grpo:
        config.save_steps = math.ceil(config.save_steps / together) * together
    at = f"{recipe.file}: key 'grpo.save_steps' is {config.save_steps:g}"
    if config.save_steps < 1:
        raise UserError(f"{at}, a share of the run; give a number of steps, a multiple of {together}")
    if config.save_steps % together:
        raise UserError(f"{at}, but a rollout ends only every {together} steps; make it a multiple of {together}")

"""GRPO through TRL's GRPOTrainer, on Examples of several tasks at once.

Each Example is scored by its own task's scorers (scoring/reward.py); a group is one prompt, so advantages never mix
tasks. What is added to TRL: rows read pictures late and share one picture a group, a sampler that a resume finds again,
and the logs that a length audit needs. RadVLM-GRPO: arXiv 2512.10691; GRPO: arXiv 2402.03300; Dr. GRPO: arXiv
2503.20783 (``loss_type: dr_grpo`` and ``scale_rewards: false`` in the recipe's ``grpo:`` section).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, ProcessorMixin
from trl.trainer.utils import RepeatSampler

from radrl.data.examples import ExampleSet
from radrl.errors import UserError
from radrl.image_sizes import box_size, image_facts
from radrl.prompt import PromptStyle, messages
from radrl.recipe import Recipe
from radrl.scoring.reward import load_rewards
from radrl.training.audit import Audit
from radrl.training.batch import prompt_text, template_kwargs
from radrl.training.guards import Guarded, loud
from radrl.training.held_out import Dev
from radrl.training.models import suit_to_cpu
from radrl.training.resuming import EndsWhereItEnded
from radrl.training.run import Clock, Progress, Stage
from radrl.training.samples import Samples, texts_only
from radrl.training.sft import finish, lora_config
from radrl.training.shared_prefix import SharedPrefixGRPOTrainer
from radrl.training.watch import Watch

LEAST_BETWEEN_SAVES = 50  # steps between checkpoints where the recipe does not say


class GRPORows:
    """Turns row numbers into TRL's rows: prompt, pictures, and for the rewards the Example and, where boxes are in
    pixels, the size they are related to. ``images`` are the `image_facts` of the model."""

    def __init__(self, examples: ExampleSet, style: PromptStyle, images: Mapping[str, Any]) -> None:
        self.examples, self.style, self.images = examples, style, images

    @loud
    def __call__(self, rows: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = rows["index"]
        sizes = [box_size(self.examples, i, self.style, self.images) for i in chosen]
        made: dict[str, list[Any]] = {
            "prompt": [messages(self.examples[i], self.style, size) for i, size in zip(chosen, sizes, strict=True)],
            "images": [self.examples.pictures(i) for i in chosen],
            "example": [self.examples[i] for i in chosen],
        }
        return made | ({"size": sizes} if self.style.box_format == "pixel" else {})


class EpochSampler(RepeatSampler):
    """TRL's sampler, shuffled from (seed, epoch). TRL's own keeps one generator for all epochs, so a run resumed in a
    later epoch would see the first epoch's order again."""

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            self.generator.manual_seed(self.seed + 1_000_003 * epoch)


class RadrlGRPOTrainer(Guarded, EndsWhereItEnded, SharedPrefixGRPOTrainer):
    """TRL's GRPOTrainer that computes image and prompt once a group, with the sampler above and an audit."""

    audit: Audit | None = None
    samples: Samples | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.ref_model is not None:
            suit_to_cpu(self.ref_model)

    def _get_train_sampler(self, dataset: Dataset | None = None) -> EpochSampler:
        return EpochSampler(
            data_source=dataset if dataset is not None else self.train_dataset,
            mini_repeat_count=self.num_generations,
            batch_size=self.args.generation_batch_size // self.num_generations,
            repeat_count=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.shuffle_dataset,
            seed=self.args.seed,
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if self.samples is not None and self.model.training:
            self.samples.look(self, inputs)
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        texts_only(self._logs)
        super().log(logs, start_time)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if rewards.isinf().any():  # TRL would make advantages of 0 of them, for the whole group
            name = self.reward_func_names[int(rewards.isinf().any(0).nonzero()[0])]
            raise UserError(f"reward '{name}' is infinite in float32; lower its 'scale' under 'rewards'")
        if self.audit is not None and self.model.training:
            self.audit.look(inputs, completions, rewards)
        return rewards


def train_grpo(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    checkpoint: Path | None = None,
    dev: ExampleSet | None = None,
) -> dict[str, Any]:
    """Trains with the recipe's rewards, from ``checkpoint`` on where one is given, and saves ``stage.model``;
    returns notes (steps, seconds). The run is audited, with the held-out Examples of ``dev`` where there are some.

    Raises:
        UserError: a task has Examples but no rewards, checkpoints would fall between a rollout and its updates, there
            is no reference for KL, or dev is not held out.
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
    images = image_facts(processor.image_processor)
    # TRL renders the prompts; here it is seen that the template takes them
    prompt_text(processor, examples[0], style, box_size(examples, 0, style, images))
    config.chat_template_kwargs = {**(config.chat_template_kwargs or {}), **template_kwargs(processor, style)}
    config.disable_tqdm = True
    _check_saves(config, recipe)
    if config.cast_lm_head_to_fp32 and model.config.tie_word_embeddings:
        raise UserError(
            f"{recipe.file}: key 'grpo.cast_lm_head_to_fp32': this model's output layer is its embedding, which TRL "
            "cannot cast in a model with images; leave the key out"
        )
    if config.beta and recipe.model.lora is None and not model.config._name_or_path:  # TRL reads it a second time
        raise UserError(
            f"{recipe.file}: key 'grpo.beta' is above 0, but a model that is made on the spot has no folder to read "
            "the reference from; start from a stage's folder, with --start, or leave 'grpo.beta' out"
        )
    clock, rows = Clock(checkpoint), GRPORows(examples, style, images)
    held_out = None if dev is None else Dev(recipe, dev, examples, config.eval_steps)
    audit = Audit(stage.folder, style, [function.__name__ for function in functions], held_out, checkpoint)
    progress = Progress(stage.name, ("reward", "completions/mean_length", "frac_reward_zero_std"))
    trainer = RadrlGRPOTrainer(
        model=model,
        reward_funcs=functions,
        args=config,
        train_dataset=Dataset.from_dict({"index": range(len(examples))}).with_transform(rows),
        processing_class=processor,
        callbacks=[audit, Watch(recipe.guards, "grpo"), clock, progress],
        peft_config=lora_config(recipe),
        share=recipe.model.shared_prefix,
    )
    trainer.audit, audit.trainer = audit, trainer
    if recipe.samples_every:
        trainer.samples = Samples(stage.folder, style, recipe.samples_every, checkpoint)
    return finish(trainer, processor, stage, clock, checkpoint)


def _check_saves(config: Any, recipe: Recipe) -> None:
    if config.save_strategy != "steps":
        return
    # a rollout and an optimiser step end together every so many steps; in between, no checkpoint resumes exactly
    accumulated = config.gradient_accumulation_steps
    together = math.lcm(config.num_iterations * config.steps_per_generation, accumulated) // accumulated
    if "save_steps" not in recipe.grpo:
        config.save_steps = math.ceil(LEAST_BETWEEN_SAVES / together) * together
    at = f"{recipe.file}: key 'grpo.save_steps' is {config.save_steps:g}"
    if config.save_steps < 1:
        raise UserError(f"{at}, a share of the run; give a number of steps, a multiple of {together}")
    if config.save_steps % together:
        raise UserError(f"{at}, but a rollout ends only every {together} steps; make it a multiple of {together}")

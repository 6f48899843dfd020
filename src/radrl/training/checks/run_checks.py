"""What can be wrong with a run, looked for before a weight is read: by ``radrl check-run``, and by every training
command before it loads its model.

A check is a function of a `Run`. It returns what it has seen, in a few words, or raises a UserError of one line. What
checks share (Examples, processor, the model without its weights) is read once, when it is first asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel, ProcessorMixin

from radrl.errors import UserError, one_line
from radrl.example import TASKS
from radrl.images.sizes import LONGEST
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.from_recipe import load_examples
from radrl.models import loading
from radrl.models.inputs import Row, check_chat, prompt_inputs, sft_inputs
from radrl.models.tiny import tiny_model, tiny_processor, tokenizer_texts
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe, StageKind
from radrl.training.callbacks.guards import refuse_small
from radrl.training.checks import loggers, packages_needed, pixel_boxes
from radrl.training.checks.rehearsal import Plan, rehearse
from radrl.training.held_out.evaluating import HeldOut, read_held_out

Kind = Literal["sft", "coldstart", "grpo", "evaluate"]
COUNTED = 64  # Examples of each task whose tokens are counted
LOOKED_AT = 5_000  # different images whose shapes are read; 'radrl data check' reads all
REHEARSED = 50_000  # Examples that training builds its first trainer on: enough for every check


@dataclass
class Run:
    """A stage of a recipe that has not begun. ``given`` are its Examples where they have been read already."""

    recipe: Recipe
    kind: Kind
    folder: Path
    given: ExampleSet | None = None

    @property
    def training_kind(self) -> StageKind:
        """The training command that the run is of."""
        assert self.kind != "evaluate", "an evaluation trains nothing"
        return self.kind

    @cached_property
    def examples(self) -> ExampleSet:
        """The Examples that are trained on, or judged."""
        if self.given is not None:
            return self.given
        if self.kind == "evaluate":
            return load_examples(self.recipe, "test")
        examples = load_examples(self.recipe)
        if self.kind == "grpo":
            examples = examples.repeated(self.recipe.data.mix)
            if not len(examples):
                raise UserError(f"{self.recipe.file}: key 'data.mix' leaves no Example; give a task a number above 0")
        return examples

    @cached_property
    def dev(self) -> HeldOut | None:
        """What the stage is evaluated on while it trains."""
        if self.kind == "evaluate":
            return None
        return read_held_out(self.recipe, self.kind, self.examples, self.styles[-1])

    @cached_property
    def styles(self) -> list[PromptStyle]:
        """How the Examples are asked; thinking last."""
        if self.kind != "coldstart":
            return [self.recipe.style(thinking=False) if self.kind == "sft" else self.recipe.style()]
        share = self.recipe.coldstart.thinking_share
        awaited = self.recipe.coldstart.teacher is not None and not self.examples.traces  # the traces of a teacher
        direct = share < 1 or not (awaited or self.examples.thinking.all())
        return [self.recipe.style(thinking=thinking) for thinking in [False] * direct + [True] * (share > 0)]

    @cached_property
    def processor(self) -> ProcessorMixin:
        """The processor of the model to start from."""
        return start_processor(self.recipe, self.examples)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model to start from, without its weights."""
        start = self.recipe.model_start()
        if start != "tiny":
            return loading.skeleton(start)
        with torch.device("meta"):
            return tiny_model(self.processor, image_size=self.recipe.model.image_size or 192)

    @cached_property
    def plan(self) -> Plan:
        """What the stage's trainer would do."""
        examples = self.examples
        if self.given is not None and len(examples) > REHEARSED:
            examples = examples.take(range(REHEARSED))
        return rehearse(self.recipe, self.training_kind, self.model, self.processor, examples, self.dev)


def start_processor(recipe: Recipe, examples: ExampleSet) -> ProcessorMixin:
    """Returns the processor of the model a recipe starts from; for ``tiny`` one is made from the training texts."""
    settings, start = recipe.model, recipe.model_start()
    if start == "tiny":
        return tiny_processor(tokenizer_texts(examples), image_size=settings.image_size or 192)
    return loading.load_processor(start, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels)


# --- the checks -------------------------------------------------------------------------------------------------------


def check_packages(run: Run) -> str:
    """The packages that settings ask for are installed."""
    if run.kind == "evaluate":
        if run.recipe.evaluation.backend == "vllm":
            packages_needed.require("vllm", f"{run.recipe.file}: key 'evaluation.backend': 'vllm'", None)
    else:
        packages_needed.check(run.recipe.file, *run.recipe.trl_section(run.kind))
        loggers.check(run.recipe, run.kind)
    return "all that the settings ask for are installed"


def check_data(run: Run) -> str:
    """The manifests hold Examples of tasks that the stage knows what to do with."""
    codes, counts = np.unique(run.examples.task_codes, return_counts=True)
    tasks = {TASKS[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
    missing = sorted(tasks.keys() - set(run.recipe.rewards)) if run.kind == "grpo" else []
    if missing:
        raise UserError(
            f"{run.recipe.file}: no rewards for task '{missing[0]}' of the training data; "
            f"add 'rewards.{missing[0]}' or leave the task out with 'data.tasks'"
        )
    if run.kind == "coldstart":
        _check_thinking(run)
    if run.kind != "evaluate":
        pixel_boxes.check_model(run.recipe)
        pixel_boxes.check_examples(run.recipe, run.examples)
        _ = run.dev  # what it is read from is checked as it is read
    return f"{len(run.examples):,} Examples: {', '.join(f'{count:,} {task}' for task, count in tasks.items())}"


def _check_thinking(run: Run) -> None:
    """Raises UserError where no thinking can be taught, or it is asked for in the same words as none."""
    recipe = run.recipe
    if recipe.coldstart.teacher is None and not run.examples.thinking.any():
        raise UserError(f"{recipe.file}: no Example has a thinking trace; name a teacher under 'coldstart.teacher'")
    style, share = recipe.style(), recipe.coldstart.thinking_share
    if 0 < share < 1 and not (style.think_suffix or style.think_in_template):
        raise UserError(
            f"{recipe.file}: 'coldstart.thinking_share' is {share:g}, but with and without thinking the prompt is the "
            "same; give 'prompt.think_suffix', or a share of 1"
        )


def check_images(run: Run) -> str:
    """Every image has a shape that the model's processor takes."""
    qwen = hasattr(run.processor.image_processor, "merge_size")
    sizes = []
    for at, (width, height) in _image_sizes(run.examples):
        if qwen and max(width, height) > LONGEST * min(width, height):
            example = run.examples[at]
            shown = run.examples.sizes(at).index((width, height))
            raise UserError(
                one_line(
                    f"Example '{example.id}': picture {example.images[shown]} is {width} x {height}; Qwen-VL takes no "
                    f"side above {LONGEST} times the other; fix the picture or leave the Example out"
                )
            )
        sizes.append(width * height)
    if not sizes:
        return "none"
    return f"{len(sizes):,} of {min(sizes) ** 0.5:.0f} to {max(sizes) ** 0.5:.0f} pixels a side (root of their areas)"


def check_prompts(run: Run) -> str:
    """The chat template takes the questions, and the processor the pictures, of one Example of each task."""
    check_chat(run.processor, run.examples, run.styles)
    counts = list(_lengths(run, most=1))
    return f"{type(run.processor).__name__}; the first Examples have {min(counts)} to {max(counts)} tokens"


def check_scorers(run: Run) -> str:
    """The scorers of rewards and metrics have their packages and weights."""
    from radrl.scoring.reward_terms import read_columns, read_reward_terms

    recipe, tasks = run.recipe, run.examples.tasks
    used = []
    if run.kind in ("grpo", "evaluate"):
        used += [s for item in read_reward_terms(recipe) if item.task in tasks for s in (item.scorer, item.gate) if s]
    if run.kind == "evaluate":
        for column in read_columns(recipe, recipe.evaluation.metrics, "evaluation.metrics"):
            used += [scorer for task, scorer in column if task in tasks]
    for scorer in used:
        if problem := scorer.missing(**scorer.options):
            raise UserError(one_line(problem))
    return ", ".join(sorted({scorer.name for scorer in used})) or "none asked"


def check_batch(run: Run) -> str:
    """The Examples fill one batch."""
    config_of = {"sft": run.recipe.sft_config, "coldstart": run.recipe.coldstart_config, "grpo": run.recipe.grpo_config}
    config = config_of[run.training_kind](run.folder)
    refuse_small(config, run.examples, run.recipe.trl_section(run.training_kind)[0], run.recipe)
    return f"{config.per_device_train_batch_size} rows a process at a time"


def check_trainer(run: Run) -> str:
    """TRL, peft and transformers take the settings: trainer, LoRA, optimiser, schedule, sampling, one whole batch."""
    plan = run.plan
    return f"trainer, optimiser and schedule can be made; {plan.trained:,} weights are trained"


def check_folder(run: Run) -> str:
    """The run's folder can be written, and the disk has room for a model and one checkpoint."""
    place = run.folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise UserError(one_line(f"{run.folder}: cannot be written: {place} is no folder that you may write to"))
    free = shutil.disk_usage(place).free
    weights = sum(w.numel() for w in run.model.parameters()) * (4 if run.recipe.model.dtype == "float32" else 2)
    needed = 2 * weights + 8 * run.plan.trained  # the model, a checkpoint's weights, two numbers a weight of AdamW
    if free < needed:
        raise UserError(
            one_line(
                f"{run.folder}: {free / 1e9:.1f} GB are free, but a model and one checkpoint take about "
                f"{needed / 1e9:.1f} GB; free some or choose another 'out'"
            )
        )
    return f"{run.folder} can be written; {free / 1e9:.1f} GB free, {needed / 1e9:.2f} GB for a model and a checkpoint"


APART = (check_packages, check_data, check_scorers, check_images)
"""What is looked at whatever else is wrong."""
TRAINING: tuple[Callable[[Run], str], ...] = (*APART, check_prompts, check_batch, check_trainer, check_folder)
EVALUATION: tuple[Callable[[Run], str], ...] = (*APART, check_prompts)


def before_loading(run: Run) -> Run:
    """Makes all checks of a stage; returns ``run``, whose processor can be used.

    Raises:
        UserError: the first thing that is wrong.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1  # a second trainer would take hold of their common state
    for check in TRAINING[:-2] if several else TRAINING:
        check(run)
    return run


# --- what they share --------------------------------------------------------------------------------------------------


def _image_sizes(examples: ExampleSet) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yields, of the first 5,000 different sets of images, the index of its first Example and each picture's size."""
    _, first = np.unique(examples.image_hashes, return_index=True)
    first = np.sort(first)[:LOOKED_AT]
    with ThreadPoolExecutor(8) as pool:  # waiting for a disk is what takes time
        for at, sizes in zip(first.tolist(), pool.map(examples.sizes, first.tolist()), strict=True):
            yield from ((at, size) for size in sizes)


def tokens_of_a_row(run: Run) -> float:
    """Returns the mean number of tokens of up to 64 Examples of each task: question and pictures, and the answer where
    it is taught."""
    return float(np.mean(list(_lengths(run, most=COUNTED))))


def _lengths(run: Run, most: int) -> Iterator[int]:
    """Yields the number of tokens of up to ``most`` Examples of each task, as the stage puts them."""
    codes = run.examples.task_codes
    for code in np.unique(codes).tolist():
        for at in np.flatnonzero(codes == code)[:most].tolist():
            example, pictures = run.examples[at], run.examples.pictures(at)
            if run.kind in ("sft", "coldstart"):
                thinking = run.kind == "coldstart" and bool(example.thinking)
                row = Row(pictures, [(example, run.recipe.style(thinking=thinking))])
                yield sft_inputs(run.processor, [row])["input_ids"].shape[1]
            else:
                yield prompt_inputs(run.processor, [example], [pictures], run.recipe.style())["input_ids"].shape[1]

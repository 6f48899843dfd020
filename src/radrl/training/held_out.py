"""The held-out Examples (``data.dev``) that a GRPO run is watched with: decoded greedily now and then."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from trl.data_utils import prepare_multimodal_messages

from radrl import control_tokens
from radrl.answers import parse
from radrl.data import leaks
from radrl.data.examples import ExampleSet
from radrl.data.units import unit_of
from radrl.errors import UserError
from radrl.example import TASKS, Task
from radrl.prompt import PromptStyle, messages
from radrl.recipe import Recipe
from radrl.scoring.reward import completion_text
from radrl.training.audit_figures import clinical_metric

A_TASK = 64  # Examples of each task; thousands of rollouts are made between two looks
EVERY = 20  # steps between two looks, where the recipe's grpo.eval_steps does not say

# greedy is greedy: of how rollouts are sampled only their length and what cannot be said stay
GREEDY = {"do_sample": False, **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "repetition_penalty"))}
GREEDY_VLLM = {"temperature": 0.0, "repetition_penalty": 1.0}

Values = dict[str, list[float | None]]  # by task, in the order of the Examples


class Dev:
    """A fixed sample of the dev Examples: at most ``A_TASK`` of each task, drawn from the seed.

    Raises:
        UserError: a patient, study or image of dev is in the training data too, or ``grpo.eval_steps`` is no count.
    """

    def __init__(self, recipe: Recipe, dev: ExampleSet, train: ExampleSet, eval_steps: float | None) -> None:
        _check_held_out(recipe, dev, train)
        self.every = EVERY if eval_steps is None else eval_steps
        if self.every < 1 or self.every != int(self.every):
            raise UserError(f"{recipe.file}: key 'grpo.eval_steps' is {eval_steps:g}; give a whole number of steps")
        order = np.random.default_rng(recipe.seed).permutation(len(dev)).tolist()
        self.tasks: tuple[Task, ...] = tuple(t for t in TASKS if t in train.tasks & dev.tasks)
        if not self.tasks:
            raise UserError(f"{recipe.file}: key 'data.dev' holds no Example of a task that is trained")
        self.rows = {task: sorted([i for i in order if dev[i].task == task][:A_TASK]) for task in self.tasks}
        self.examples = dev

    def look(self, trainer: Any, style: PromptStyle, metric: Mapping[Task, str]) -> Values:
        """Returns the clinical metric of the model's greedy answer to each Example; None where it does not apply."""
        index = [i for task in self.tasks for i in self.rows[task]]
        control = control_tokens.of(trainer.processing_class.tokenizer)
        prompts = [self._prompt(i, style, control) for i in index]
        texts = greedy(trainer, prompts)
        values: Values = {task: [] for task in self.tasks}
        for i, text in zip(index, texts, strict=True):
            example = self.examples[i]
            values[example.task].append(clinical_metric(example, parse(text, example, style), metric[example.task]))
        return values

    def _prompt(self, i: int, style: PromptStyle, control: control_tokens.ControlTokens) -> list[dict[str, Any]]:
        prompt = messages(self.examples[i], style, control=control)
        pictures = self.examples.pictures(i)
        return prepare_multimodal_messages(prompt, images=pictures) if pictures else prompt

    def change(self, task: str, before: Values, after: Values) -> tuple[float, float, float]:
        """Returns a task's mean before, after, and the standard error of their paired difference, patients being what
        was drawn at random; NaN where no Example has a value."""
        units = [unit_of(self.examples[i]) for i in self.rows[task]]
        pairs = np.array([before[task], after[task]], dtype=float)
        known = np.isfinite(pairs).all(0)
        if not known.any():
            return float("nan"), float("nan"), float("nan")
        a, b = pairs[:, known]
        residual = (b - a) - (b - a).mean()
        _, unit = np.unique(np.array(units)[known], return_inverse=True)
        sums = np.bincount(unit, residual)
        m = len(sums)
        error = float(np.sqrt((sums**2).sum() * m / (m - 1)) / len(a)) if m > 1 else float("inf")
        return float(a.mean()), float(b.mean()), error


def task_means(values: Values) -> dict[str, float]:
    """Returns the mean of each task that has a value."""
    found = {task: [v for v in mine if v is not None] for task, mine in values.items()}
    return {task: float(np.mean(mine)) for task, mine in found.items() if mine}


def greedy(trainer: Any, prompts: list[Any]) -> list[str]:
    """Returns the greedy completion of each prompt, made by the trainer's own engine; every process makes its share
    and gets all. The random state and the trainer are left as they were."""
    world, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
    share = -(-len(prompts) // world)  # the last prompt fills up, so that all processes call as often
    mine = [prompts[min(k, len(prompts) - 1)] for k in range(rank * share, (rank + 1) * share)]
    size = trainer.args.per_device_train_batch_size
    texts: list[str] = []
    with torch.random.fork_rng(), _greedily(trainer):
        for start in range(0, share, size):
            texts += [completion_text(completion) for completion in trainer._generate(mine[start : start + size])[3]]
    return list(gather_object(texts))[: len(prompts)]


@contextmanager
def _greedily(trainer: Any) -> Iterator[None]:
    was_training, generations = trainer.model.training, trainer.num_generations_eval
    trainer.model.eval()
    trainer.num_generations_eval = 1
    if trainer.use_vllm:
        own = {name: getattr(trainer.vllm_generation, name) for name in GREEDY_VLLM}
        for name, value in GREEDY_VLLM.items():
            setattr(trainer.vllm_generation, name, value)
    else:
        config, trainer.generation_config = trainer.generation_config, copy.deepcopy(trainer.generation_config)
        trainer.generation_config.update(**GREEDY)
    try:
        yield
    finally:
        if trainer.use_vllm:
            for name, value in own.items():
                setattr(trainer.vllm_generation, name, value)
        else:
            trainer.generation_config = config
        trainer.num_generations_eval = generations
        trainer.model.train(was_training)
        trainer._metrics["eval"].clear()  # what _generate noted there is of no rollout


def _check_held_out(recipe: Recipe, dev: ExampleSet, train: ExampleSet) -> None:
    both = leaks.find(dev, train)
    if both.examples:
        raise UserError(
            f"{recipe.file}: key 'data.dev' shares {both.said} with 'data.train' (first: '{both.first}'); hold it out"
        )

"""The held-out Examples (``data.dev``) that a stage is evaluated on while it trains: a fixed sample, answered greedily.

What they are asked with, how they are decoded and how they are scored is what `radrl evaluate` does with the model that
is saved: `radrl.evaluation.answers` and `radrl.evaluation.metrics`. When that happens is in evaluating.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, is_peft_model
from transformers import GenerationConfig, ProcessorMixin, Trainer
from trl.models.utils import unwrap_model_for_generation

from radrl.answers.parsing import parse
from radrl.errors import UserError
from radrl.evaluation.answers import model_settings
from radrl.evaluation.answers.backend import Completion
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.transformers_backend import generate
from radrl.evaluation.metrics.records import Column, Metric
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.metrics.select_scorers import SelectedScorer
from radrl.example import TASKS, Answer, Task
from radrl.images.sizes import box_size, image_resizing
from radrl.manifest import leaks
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.independence import unit_of
from radrl.prompt.messages import PromptStyle
from radrl.recipe.apply_protocol import with_protocol
from radrl.recipe.schema import Recipe
from radrl.training.audit.figures import clinical_metric

A_TASK = 64  # Examples of each task that are answered

Values = dict[str, list[float | None]]  # by task, in the order of the Examples


class Dev:
    """A fixed sample of the held-out Examples: at most ``A_TASK`` of each task, drawn from the seed.

    ``all`` are all of them, ``examples`` the sample by task, ``tasks`` those it has, and ``style`` how they are asked.

    Raises:
        UserError: a patient, study or image is in the training data too, no task is one that is trained, or the recipe
            decodes in a way that cannot be.
    """

    def __init__(self, recipe: Recipe, dev: ExampleSet, train: ExampleSet, style: PromptStyle) -> None:
        _check_held_out(recipe, dev, train)
        if not train.tasks & dev.tasks:
            raise UserError(f"{recipe.file}: key 'data.dev' holds no Example of a task that is trained")
        order = np.random.default_rng(recipe.seed).permutation(len(dev)).tolist()
        self.tasks: tuple[Task, ...] = tuple(task for task in TASKS if task in dev.tasks)
        codes = dev.task_codes
        rows = [sorted([i for i in order if TASKS[codes[i]] == task][:A_TASK]) for task in self.tasks]
        self.all, self.examples = dev, dev.take([i for of_task in rows for i in of_task])
        self.recipe, self.style = with_protocol(recipe), style
        self.scorers: list[SelectedScorer] = []  # beside the usual ones
        self.decoding(None)

    def decoding(self, own: GenerationConfig | None) -> Decoding:
        """Returns how the model is decoded: greedily, else as ``evaluation`` says, from ``own`` settings of the model
        where that says so."""
        taken = own if self.recipe.evaluation.generation_config == "model" else None
        decoding, _ = model_settings.decoding_settings(self.recipe, self.style.thinking, taken, str(self.recipe.file))
        return decoding._replace(temperature=0.0, samples=1)

    def answers(self, trainer: Trainer) -> list[Answer]:
        """Returns the model's greedy answer to each Example; every process makes its share and gets all."""
        processor = cast(ProcessorMixin, trainer.processing_class)
        world, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
        share = -(-len(self.examples) // world)  # the last one fills up, so that all processes call as often
        mine = [min(k, len(self.examples) - 1) for k in range(rank * share, (rank + 1) * share)]
        said: dict[int, str] = {}

        def done(batch: Sequence[Completion]) -> None:
            said.update((one.index, one.text) for one in batch)

        with (
            unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                gradient_checkpointing_kwargs=cast(Any, trainer.args.gradient_checkpointing_kwargs),
            ) as whole,
            _inner(whole) as model,
        ):
            generate(
                model,
                processor,
                self.examples,
                self.style,
                self.decoding(model.generation_config),
                [(k, 0) for k in mine],
                done,
                all_ranks_together=trainer.is_fsdp_enabled,
            )
        texts = gather_object([said[k] for k in mine])[: len(self.examples)]
        images = image_resizing(processor.image_processor)
        return [
            parse(text, self.examples[k], self.style, size=box_size(self.examples, k, self.style, images))
            for k, text in enumerate(texts)
        ]

    def columns(self, answers: Sequence[Answer]) -> dict[str, Column]:
        """Returns the metrics of these answers, by name."""
        return score_cases(list(self.examples), [answers], self.scorers).columns

    def figures(self, answers: Sequence[Answer], chosen: Metric | None) -> dict[str, float]:
        """Returns the headline metrics and the ``chosen`` one, as `radrl evaluate` computes them of these answers, by
        log key. What is not defined is left out. The first process scores for all."""
        by_key: dict[str, float] = {}
        if PartialState().is_main_process:
            once = np.ones((1, len(self.examples)))
            for name, column in self.columns(answers).items():
                value = float(np.mean([statistic.at(once)[0] for statistic in column.statistics]))
                if np.isfinite(value) and (column.metric.headline or (chosen and name == chosen.name)):
                    by_key[f"eval_{log_key(name)}"] = value
        return broadcast_object_list([by_key])[0]

    def values(self, answers: Sequence[Answer], metric: Mapping[Task, str]) -> Values:
        """Returns each task's clinical metric of each answer; None where it does not apply."""
        values: Values = {task: [] for task in self.tasks}
        for example, answer in zip(self.examples, answers, strict=True):
            values[example.task].append(clinical_metric(example, answer, metric[example.task]))
        return values

    def change(self, task: str, before: Values, after: Values) -> tuple[float, float, float]:
        """Returns a task's mean before, after, and the standard error of their paired difference, patients being what
        was drawn at random; NaN where no Example has a value."""
        units = [unit_of(example) for example in self.examples if example.task == task]
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


@contextmanager
def _inner(whole: Any) -> Iterator[Any]:
    """Gives the transformers model within ``whole``, which is called whenever that is.

    peft's ``generate`` changes the model's generation settings for good and calls the inner model alone, past what
    FSDP2 does where the whole is called.
    """
    if not is_peft_model(whole):
        yield whole
        return
    model, within = whole.get_base_model(), False
    own, forward = vars(model).get("forward"), model.forward

    @wraps(forward)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal within
        if within:
            return forward(*args, **kwargs)
        within = True
        try:
            return whole(*args, **kwargs)
        finally:
            within = False

    model.forward = call
    try:
        yield model
    finally:
        del model.forward
        if own is not None:
            model.forward = own


def log_key(name: str) -> str:
    """Returns a metric's name as it stands in logs, after ``eval_``: without blanks."""
    return name.replace(" ", "_")


def task_means(values: Values) -> dict[str, float]:
    """Returns the mean of each task that has a value."""
    known = {task: [v for v in mine if v is not None] for task, mine in values.items()}
    return {task: float(np.mean(mine)) for task, mine in known.items() if mine}


def _check_held_out(recipe: Recipe, dev: ExampleSet, train: ExampleSet) -> None:
    leak = leaks.find_leaks(dev, train)
    if leak.examples:
        raise UserError(
            f"{recipe.file}: key 'data.dev' shares {leak.in_words} with 'data.train' (first: '{leak.first}'); "
            "hold it out"
        )

"""Evaluation while a stage trains (``eval_strategy``), on held-out Examples: the loss of SFT, and clinical metrics of
greedy answers. The keys are transformers' own, which calls `HeldOutEvaluation.evaluate` and keeps the best metric.

The weights that come out are the same with and without it: no random state is left changed, and the clock of the stage
stands still meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainingArguments

from radrl.errors import UserError
from radrl.evaluation.metrics.records import Metric
from radrl.example import Answer
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.from_recipe import load_examples
from radrl.models.library_internals import TrainerSteps
from radrl.prompt.messages import PromptStyle
from radrl.recipe import libraries
from radrl.recipe.schema import Recipe, StageKind
from radrl.training.checks import pixel_boxes
from radrl.training.held_out import best_model
from radrl.training.held_out.dev import Dev, log_key
from radrl.training.random_state import random_state_kept
from radrl.training.stage import Clock, checkpoint_at


class HeldOut:
    """The held-out Examples of one stage, and the metric that chooses among its checkpoints, if one does."""

    def __init__(self, dev: Dev, chosen: Metric | None) -> None:
        self.dev, self.chosen = dev, chosen

    def write_into(self, config: TrainingArguments) -> None:
        """Writes into TRL's config what the metric says."""
        if self.chosen is not None:
            config.metric_for_best_model = log_key(self.chosen.name)
            config.greater_is_better = self.chosen.better == "higher"


def read_held_out(recipe: Recipe, kind: StageKind, train: ExampleSet, style: PromptStyle) -> HeldOut | None:
    """Returns what a stage is evaluated on while it trains; None where it is not.

    Raises:
        UserError: evaluation is asked for, or needed, without ``data.dev``; dev is not held out; there is no such
            metric.
    """
    name, section = recipe.trl_section(kind)
    ours = libraries.evaluation_defaults(section, name, bool(recipe.data.dev))
    strategy = section.get("eval_strategy", ours.get("eval_strategy"))
    if strategy in (None, False, "no"):
        if best_model.needs_metric(section) or section.get("eval_on_start"):
            keys = ("load_best_model_at_end", "save_strategy", "lr_scheduler_type", "eval_on_start")
            key = next(key for key in keys if best_model.needs_metric({key: section.get(key)}) or key == keys[-1])
            raise UserError(
                f"{recipe.file}: key '{name}.{key}' is {section[key]!r}, but nothing is evaluated; set "
                f"'{name}.eval_strategy' to steps or epoch, and name held-out manifests in 'data.dev'"
            )
        return None
    if not recipe.data.dev:
        raise UserError(
            f"{recipe.file}: key '{name}.eval_strategy' is {strategy!r}, but there is nothing to evaluate on; name "
            "held-out manifests in 'data.dev'"
        )
    examples = load_examples(recipe, "dev")
    pixel_boxes.check_examples(recipe, examples)
    dev = Dev(recipe, examples, train, style)
    return HeldOut(dev, best_model.choosing_metric(recipe, name, section, dev))


class HeldOutEvaluation(TrainerSteps):
    """What a trainer is besides, to be evaluated as its config's ``eval_strategy`` says."""

    held_out: HeldOut | None = None
    clock: Clock

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Logs and returns the figures of the held-out Examples, by log key."""
        begun, was_training = time.monotonic(), self.model.training
        held_out = self.held_out
        assert held_out is not None  # else transformers is told to evaluate nothing
        device = self.accelerator.device
        gpus = [device] if device.type == "cuda" else []
        with self.clock.stopped(), random_state_kept(gpus), torch.no_grad():
            self.model.eval()
            answers = held_out.dev.answers(self)
            figures = {**self.held_out_figures(answers), **held_out.dev.figures(answers, held_out.chosen)}
            self.model.train(was_training)
        self.figures_to_log["eval"].clear()  # TRL's, of what it saw of batches
        Trainer.log(self, {**figures, "eval_runtime": round(time.monotonic() - begun, 1)})  # TRL's would add its own
        if held_out.chosen is not None:
            key = f"eval_{log_key(held_out.chosen.name)}"
            figures.setdefault(key, float("nan"))  # which is never the best
            if self.state.global_step and self._keeps(figures[key]):
                self.control.should_save = True  # else the best could be between two checkpoints
                if self.is_world_process_zero():
                    # transformers asks each process whether it is there before the parts of a sharded model are saved
                    checkpoint_at(self.args, self.state).mkdir(parents=True, exist_ok=True)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures

    def _keeps(self, value: float) -> bool:
        """Returns whether the value is the best so far, and its model is to be kept."""
        if not self.args.load_best_model_at_end and self.args.save_strategy != "best":
            return False
        best = self.state.best_metric
        return np.isfinite(value) and (best is None or (value > best if self.args.greater_is_better else value < best))

    def held_out_figures(self, answers: Sequence[Answer]) -> Mapping[str, float]:
        """Returns further figures, by log key."""
        raise NotImplementedError

"""The rows that GRPO trains on, their order (a prompt with its pictures, as often as it has completions), and when a
rollout ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.utils import RepeatSampler

from radrl.images.sizes import box_size
from radrl.manifest.example_set import ExampleSet
from radrl.prompt.control_tokens import FAMILIES, ControlTokens
from radrl.prompt.messages import PromptStyle, messages
from radrl.training.callbacks.guards import loud


class GRPORows:
    """Turns row numbers into TRL's rows: prompt, pictures, and for the rewards the Example and, where boxes are in
    pixels, the size they are related to. ``images`` are `radrl.images.sizes.image_resizing` of the model."""

    def __init__(
        self, examples: ExampleSet, style: PromptStyle, images: Mapping[str, Any], control: ControlTokens = FAMILIES
    ) -> None:
        self.examples, self.style, self.images, self.control = examples, style, images, control

    @loud
    def __call__(self, rows: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = rows["index"]
        sizes = [box_size(self.examples, i, self.style, self.images) for i in chosen]
        made: dict[str, list[Any]] = {
            "prompt": [
                messages(self.examples[i], self.style, size, self.control)
                for i, size in zip(chosen, sizes, strict=True)
            ],
            "images": [self.examples.pictures(i) for i in chosen],
            "example": [self.examples[i] for i in chosen],
        }
        return made | ({"size": sizes} if self.style.box_format == "pixel" else {})


class EpochSampler(RepeatSampler):
    """TRL's sampler, shuffled from (seed, epoch). TRL's own keeps one generator for all epochs, so a run resumed in a
    later epoch would see the first epoch's order again."""

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            cast(torch.Generator, self.generator).manual_seed(cast(int, self.seed) + 1_000_003 * epoch)


def steps_of_rollout(config: GRPOConfig) -> int:
    """Returns after how many steps a rollout and an optimiser step end together; in between, no checkpoint resumes
    exactly."""
    accumulated = config.gradient_accumulation_steps
    a_rollout = config.num_iterations * cast(int, config.steps_per_generation)
    return math.lcm(a_rollout, accumulated) // accumulated

"""Does GRPO raise what it optimises? Mean sampled reward on fixed training prompts, before and after.

    python benchmarks/sampled_reward.py --recipe RECIPE --before MODEL --after MODEL [--prompts 200]

Draws the same prompts for both models (the first ``--prompts`` of a seeded shuffle of the recipe's training Examples),
4 samples each at temperature 1, scores each with its task's weighted rewards, and prints for every task the mean
before, the mean after and the paired difference with its 95% bootstrap interval over patients.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import transformers

from radrl.data.examples import ExampleSet
from radrl.evaluation.generate import generate
from radrl.evaluation.statistics import paired_difference
from radrl.example import patients
from radrl.prompt import PromptStyle
from radrl.recipe import Recipe, load
from radrl.scoring import load_rewards
from radrl.training import models
from radrl.training.stages import load_examples


def rewards(recipe: Recipe, start: str, prompts: ExampleSet, samples: int, max_new_tokens: int) -> np.ndarray:
    """Returns the weighted reward of each prompt, mean over its samples, (n,)."""
    model, processor = models.load(start)
    style = PromptStyle(recipe.prompt.box_format, recipe.prompt.thinking)
    completions = generate(
        model,
        processor,
        prompts,
        style,
        max_new_tokens=max_new_tokens,
        temperature=1.0,
        samples=samples,
        batch_size=32,
        seed=recipe.seed,
    )
    values = np.zeros(len(prompts))
    for reward in load_rewards(recipe, {example.task for example in prompts}):
        for i, (example, texts) in enumerate(zip(prompts, completions, strict=True)):
            given = [value for value in reward(texts, example=[example] * samples) if value is not None]
            values[i] += reward.weight * np.mean(given) if given else 0.0
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, type=Path, help="the recipe GRPO ran with (RUN/grpo/recipe.yaml)")
    parser.add_argument("--before", required=True)
    parser.add_argument("--after", required=True)
    parser.add_argument("--prompts", type=int, default=200, help="how many prompts of each task")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    recipe = load(options.recipe)
    everything = load_examples(recipe)
    order = np.random.default_rng(recipe.seed).permutation(len(everything)).tolist()
    print(f"{options.samples} samples at T = 1; {options.prompts} prompts a task")
    for task in sorted({example.task for example in everything}):
        prompts = everything.take([i for i in order if everything[i].task == task][: options.prompts])
        before, after = (
            rewards(recipe, start, prompts, options.samples, options.max_new_tokens)
            for start in (options.before, options.after)
        )
        found = paired_difference(after[:, None], before[:, None], patients(prompts), seed=recipe.seed)
        print(
            f"{task:<11} n {len(prompts):>4}  before {before.mean():.4f}  after {after.mean():.4f}  "
            f"difference {found.mean[0]:+.4f} [{found.low[0]:+.4f}, {found.high[0]:+.4f}]"
        )


if __name__ == "__main__":
    main()

"""Does GRPO raise what it optimises? Mean sampled reward on fixed training prompts, before and after.

    python benchmarks/sampled_reward.py --recipe RECIPE --before MODEL --after MODEL [--prompts 200]

Draws the same prompts for both models (the first ``--prompts`` of a seeded shuffle of the recipe's training Examples),
4 samples each at temperature 1, scores each with its task's weighted rewards, and prints for every task the mean
before, the mean after and the paired difference with its 95% bootstrap interval over patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers

from radrl.commands.load_recipe import load_recipe
from radrl.commands.train import load_examples
from radrl.evaluation.answers.backend import Completion
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.transformers_backend import generate
from radrl.evaluation.statistics.intervals import paired_difference
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.independence import unit_of
from radrl.models import loading
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe
from radrl.scoring import load_rewards


def sampled(start: str, prompts: ExampleSet, style: PromptStyle, decoding: Decoding) -> list[list[str]]:
    """Returns what the model in folder ``start`` says to each prompt, ``decoding.samples`` texts each."""
    model, processor = loading.load(start)
    texts = [[""] * decoding.samples for _ in prompts]

    def done(some: Sequence[Completion]) -> None:
        for one in some:
            texts[one.index][one.sample] = one.text

    todo = [(i, k) for i in range(len(prompts)) for k in range(decoding.samples)]
    generate(model, processor, prompts, style, decoding, todo, done)
    return texts


def rewards(recipe: Recipe, start: str, prompts: ExampleSet, decoding: Decoding) -> np.ndarray:
    """Returns the weighted reward of each prompt, mean over its samples, (n,)."""
    completions = sampled(start, prompts, PromptStyle(recipe.prompt.box_format, recipe.prompt.thinking), decoding)
    values = np.zeros(len(prompts))
    for reward in load_rewards(recipe, {example.task for example in prompts}):
        for i, (example, texts) in enumerate(zip(prompts, completions, strict=True)):
            given = [value for value in reward(texts, example=[example] * len(texts)) if value is not None]
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
    recipe = load_recipe(options.recipe)
    decoding = Decoding(1.0, options.max_new_tokens, options.samples, recipe.seed)
    everything = load_examples(recipe)
    order = np.random.default_rng(recipe.seed).permutation(len(everything)).tolist()
    print(f"{options.samples} samples at T = 1; {options.prompts} prompts a task")
    for task in sorted({example.task for example in everything}):
        prompts = everything.take([i for i in order if everything[i].task == task][: options.prompts])
        before, after = (rewards(recipe, start, prompts, decoding) for start in (options.before, options.after))
        found = paired_difference(
            after[:, None], before[:, None], [unit_of(example) for example in prompts], seed=recipe.seed
        )
        print(
            f"{task:<11} n {len(prompts):>4}  before {before.mean():.4f}  after {after.mean():.4f}  "
            f"difference {found.mean[0]:+.4f} [{found.low[0]:+.4f}, {found.high[0]:+.4f}]"
        )


if __name__ == "__main__":
    main()

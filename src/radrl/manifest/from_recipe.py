"""The Examples that a recipe's ``data`` section names and keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from radrl.errors import UserError
from radrl.manifest.example_set import ExampleSet, read_manifests
from radrl.manifest.index import start_reading
from radrl.recipe.schema import Recipe

Split = Literal["train", "dev", "test"]


def begin_reading(recipe: Recipe) -> None:
    """Starts reading the training manifests, if they are large, in other processes; `load_examples` waits for them.

    Raises:
        UserError: a manifest is missing.
    """
    start_reading(*_manifests(recipe, "train"))


def load_examples(recipe: Recipe, split: Split = "train", *, needed: bool = True) -> ExampleSet:
    """Returns the Examples of a split that the recipe's ``data`` section keeps.

    Raises:
        UserError: a manifest cannot be read, or nothing is left and some are ``needed``.
    """
    data = recipe.data
    sources = recipe.sources(split)
    examples = read_manifests(*_manifests(recipe, split))
    examples = examples.select(data.tasks, gold=data.quality == "gold")
    amounts = [(source.weight, source.count) for source in sources]
    if not needed:  # a count that has nothing to take from is no mistake then
        kept = set(examples.manifest_numbers.tolist())
        amounts = [amount if number in kept else (None, None) for number, amount in enumerate(amounts)]
    examples = examples.mixed(amounts, recipe.seed)
    if data.limit is not None:
        examples = examples.take(range(min(data.limit, len(examples))))
    if not len(examples) and needed:
        raise UserError(f"{recipe.file}: section 'data' keeps no Example of 'data.{split}'; loosen its filters")
    return examples


def _manifests(recipe: Recipe, split: Split) -> tuple[list[Path], dict[Path, Path]]:
    sources = recipe.sources(split)
    return [Path(one.manifest) for one in sources], {
        Path(one.manifest): Path(one.images) for one in sources if one.images
    }

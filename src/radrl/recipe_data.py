"""The Examples that a recipe's ``data`` section names and keeps."""

from __future__ import annotations

from pathlib import Path

from radrl.data.examples import ExampleSet, read_manifests
from radrl.errors import UserError
from radrl.recipe import Recipe


def load_examples(recipe: Recipe, split: str = "train") -> ExampleSet:
    """Returns the Examples of a split that the recipe's ``data`` section keeps.

    Raises:
        UserError: a manifest cannot be read, or nothing is left to train on.
    """
    data = recipe.data
    sources = recipe.sources(split)
    roots = {Path(source.manifest): Path(source.images) for source in sources if source.images}
    examples = read_manifests([Path(source.manifest) for source in sources], roots)
    examples = examples.select(data.tasks, gold=data.quality == "gold")
    examples = examples.mixed([(source.weight, source.count) for source in sources], recipe.seed)
    if data.limit is not None:
        examples = examples.take(range(min(data.limit, len(examples))))
    if not len(examples):
        raise UserError(f"{recipe.file}: section 'data' keeps no Example of 'data.{split}'; loosen its filters")
    return examples

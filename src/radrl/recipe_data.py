"""The Examples that a recipe's ``data`` section names and keeps."""

from __future__ import annotations

from radrl.data.examples import ExampleSet, read_manifests
from radrl.errors import UserError
from radrl.recipe import Recipe


def load_examples(recipe: Recipe, split: str = "train") -> ExampleSet:
    """Returns the Examples of a split that the recipe's ``data`` section keeps.

    Raises:
        UserError: a manifest cannot be read, or nothing is left to train on.
    """
    data = recipe.data
    examples = read_manifests(recipe.manifests(split))
    if data.tasks is not None:
        examples = examples.where(lambda e: e.task in data.tasks)
    if data.quality is not None:
        examples = examples.where(lambda e: e.meta.get("quality") == data.quality)
    if data.limit is not None:
        examples = examples.take(range(min(data.limit, len(examples))))
    if not len(examples):
        raise UserError(f"{recipe.file}: section 'data' keeps no Example of 'data.{split}'; loosen its filters")
    return examples

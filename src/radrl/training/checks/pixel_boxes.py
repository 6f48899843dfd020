"""Training with boxes in pixels (``prompt.box_format: pixel``): whether it is known of which image they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from radrl.errors import UserError
from radrl.images.sizes import image_resizing
from radrl.manifest.example_set import ExampleSet
from radrl.models import loading, tiny
from radrl.recipe.schema import Recipe


def image_processor(recipe: Recipe) -> Any:
    """Returns the image processor of the model a recipe starts from."""
    settings, start = recipe.model, recipe.model_start()
    if start == "tiny":
        return tiny.image_processor(settings.image_size or 192)
    processor = loading.load_processor(start, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels)
    return processor.image_processor


def check_model(recipe: Recipe) -> None:
    """Raises UserError where boxes are to be in pixels of an image whose size is not known."""
    if recipe.prompt.box_format != "pixel":
        return
    images = image_resizing(image_processor(recipe))
    if "factor" not in images:
        raise UserError(
            f"{recipe.file}: key 'prompt.box_format': boxes in pixels are of an image that Qwen-VL's processor "
            f"resizes; {recipe.model_start()} has {images['resized_by']}; train in 'unit' or 'thousand'"
        )


def check_examples(recipe: Recipe, examples: ExampleSet) -> None:
    """Raises UserError where boxes are to be in pixels and there is no image."""
    if recipe.prompt.box_format != "pixel":
        return
    asked = examples.select(["grounding"])
    bare = np.flatnonzero(~np.isin(asked.image_hashes, asked.manifest_index.file_of))
    if len(bare):
        raise UserError(
            f"{recipe.file}: key 'prompt.box_format': Example '{asked[int(bare[0])].id}' has no image whose pixels "
            "boxes could be in; leave it out, or train in 'unit' or 'thousand'"
        )

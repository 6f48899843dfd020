"""A model folder or hub id that is asked on this machine, by transformers or vLLM: all of it but the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from transformers import ProcessorMixin

from radrl.errors import UserError
from radrl.evaluation.answers import model_settings
from radrl.evaluation.answers.asked_examples import AskedExamples
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.digests import manifest_digest, model_digest
from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.model_settings import PixelBounds
from radrl.evaluation.answers.sources import Source
from radrl.images.sizes import box_size, image_resizing
from radrl.models import loading
from radrl.models.inputs import prompt_text
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe
from radrl.support.versions import installed_versions


@dataclass(frozen=True)
class ModelFolder:
    """How a model is asked and decoded, its processor, and the tokens that end its completions.

    ``bounds`` are min_pixels and max_pixels of its images, None where they are its processor's own; ``images`` says how
    that resizes them (`image_resizing`); ``taken`` are the settings that come from its own generation config.
    """

    style: PromptStyle
    decoding: Decoding
    taken: Mapping[str, Any]
    processor: ProcessorMixin
    bounds: PixelBounds
    images: Mapping[str, Any]
    end_tokens: list[int]

    def check_template(self, examples: AskedExamples, index: int) -> None:
        """Raises UserError where the chat template does not take one of the Examples: before weights are loaded."""
        prompt_text(self.processor, examples[index], self.style, box_size(examples, index, self.style, self.images))


def read_folder(recipe: Recipe, source: Source) -> ModelFolder:
    """Returns what a model's folder and the recipe say of how it is asked; no weights are loaded.

    Raises:
        UserError: its files cannot be read, it holds a setting that no backend here has, or boxes are wanted in pixels
            of images that are resized otherwise than Qwen-VL does.
    """
    style = model_settings.prompt_style(recipe, source.known_as, source.thinking)
    bounds = model_settings.pixel_bounds(recipe, source.known_as)
    processor = loading.load_processor(source.start, **bounds)
    own = loading.own_generation_config(source.start)
    obeyed = own if recipe.evaluation.generation_config == "model" else None
    decoding, taken = model_settings.decoding_settings(recipe, style.thinking, obeyed, source.option)
    images = image_resizing(processor.image_processor)
    if style.box_format == "pixel" and "factor" not in images:
        raise UserError(
            f"{source.option}: boxes in pixels are of an image that Qwen-VL's processor resizes; this "
            f"model has {images['resized_by']}; set another 'box_format', or judge a file of its predictions"
        )
    ends = loading.end_tokens(own, processor.tokenizer)
    return ModelFolder(style, decoding, taken, processor, bounds, images, ends)


def folder_header(
    recipe: Recipe, source: Source, examples: AskedExamples, folder: ModelFolder, backend: str, *packages: str
) -> Header:
    """Returns the Header of what a model's folder will answer; ``packages`` are those of the backend."""
    wanted = recipe.evaluation
    return Header(
        model=source.name,
        source=source.start,
        backend=backend,
        prompt=asdict(folder.style),
        decoding={
            **model_settings.decoding_facts(folder.decoding),
            "generation_config": wanted.generation_config,
            **({"taken": folder.taken} if wanted.generation_config == "model" else {}),
            "end_tokens": folder.end_tokens,
            "dtype": recipe.model.dtype,
        },
        images=dict(folder.images),
        versions=installed_versions(("radrl", "torch", "transformers", *packages)),
        hashes={"manifest": manifest_digest(examples), "model": model_digest(source.start)},
    )

"""Qwen3-VL's processor for images and text, with or without torchvision.

transformers' own processor also wants a video processor, which needs torchvision; the CPU build of torch has none.
X-rays are not videos, so this one is put together from the image processor and the tokenizer only. Saved folders keep
the standard files, so transformers and vLLM load them elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, BatchFeature, ProcessorMixin
from transformers.image_utils import make_flat_list_of_images

# the top-level name is a stub that asks for torchvision; the class itself falls back to PIL
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.models.qwen3_vl import processing_qwen3_vl

from radrl.errors import UserError
from radrl.images.sizes import LONGEST
from radrl.models.library_internals import ImageStep
from radrl.support.files import write_json


class Qwen3VLProcessor(ImageStep, processing_qwen3_vl.Qwen3VLProcessor):
    """transformers' Qwen3-VL processor without its video half. The name is kept: it is written into saved folders."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None) -> None:
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.vision_start_token, self.vision_end_token = "<|vision_start|>", "<|vision_end|>"
        for name in ("image_token", "video_token", "vision_start_token", "vision_end_token"):
            setattr(self, f"{name}_id", tokenizer.convert_tokens_to_ids(getattr(self, name)))

    def process_images(self, images: Any, **kwargs: Any) -> tuple[BatchFeature, list[str]]:
        """Resizes each picture once: the copies of a prompt in a GRPO group share one picture object."""
        flat: list[Any] = cast(list, make_flat_list_of_images(images))
        for image in flat:
            if isinstance(image, Image.Image) and max(image.size) > LONGEST * min(image.size):
                raise UserError(
                    f"a picture of {image.width} x {image.height} pixels: Qwen-VL takes no side above {LONGEST} times "
                    "the other; 'radrl data check' names it"
                )
        distinct = {id(image): image for image in flat}
        if len(distinct) == len(flat):
            return super().process_images(images, **kwargs)
        done, _ = super().process_images(list(distinct.values()), **kwargs)
        counts = [int(grid.prod()) for grid in done["image_grid_thw"]]  # patches of each distinct picture
        starts = np.cumsum([0, *counts])
        place = {key: k for k, key in enumerate(distinct)}
        order = [place[id(image)] for image in flat]
        rows = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in order])
        done["pixel_values"] = done["pixel_values"][rows]
        done["image_grid_thw"] = done["image_grid_thw"][np.array(order)]
        return done, [self.replace_image_token(cast(dict, done), image_idx=k) for k in range(len(flat))]

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Saves as transformers does, plus the settings of the video processor that others will look for."""
        saved = super().save_pretrained(save_directory, **kwargs)
        image = self.image_processor
        video = {
            "video_processor_type": "Qwen3VLVideoProcessor",
            "processor_class": "Qwen3VLProcessor",
            "patch_size": image.patch_size,
            "merge_size": image.merge_size,
            "temporal_patch_size": image.temporal_patch_size,
            "image_mean": list(image.image_mean),
            "image_std": list(image.image_std),
        }
        write_json(Path(save_directory, "video_preprocessor_config.json"), video)
        return saved

    @classmethod
    def from_folder(cls, folder: str, **kwargs: Any) -> Qwen3VLProcessor:
        """Puts the processor together from a folder's (or hub id's) image processor and tokenizer."""
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", **kwargs)
        image_processor = AutoImageProcessor.from_pretrained(folder, **kwargs)
        # transformers' order: processor_config.json, chat_template.json, chat_template.jinja; then the tokenizer's own
        template = cls.get_processor_dict(folder, **kwargs)[0].get("chat_template")
        return cls(image_processor, tokenizer, chat_template=template or tokenizer.chat_template)


def resized(image_processor: Any, picture: Image.Image) -> Image.Image:
    """Returns a picture of the size that an image processor of Qwen-VL brings it to, by that processor's own code.

    Resized once more by the same settings it stays as it is. Other image processors resize while they cut patches;
    for them the picture is returned as it was.
    """
    if not hasattr(image_processor, "merge_size"):
        return picture
    pixels: Any = np.ascontiguousarray(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
    plain = type(image_processor).__name__.endswith("Pil")
    done = image_processor.resize(
        pixels if plain else torch.from_numpy(pixels),
        size=image_processor.size,
        resample=image_processor.resample,
        factor=image_processor.patch_size * image_processor.merge_size,
    )
    return Image.fromarray(np.asarray(done).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))

"""How large an image is once a Qwen-VL model's image processor has resized it: what boxes in pixels are relative to.

Nothing is decoded and torch is not loaded: sizes come from the files' headers, the rule is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from radrl.boxes.notation import Size
from radrl.errors import UserError
from radrl.prompt.messages import PromptStyle

# Qwen2.5-VL's own, of its preprocessor_config.json: the model that answers in pixels
QWEN25_FACTOR, QWEN25_MIN_PIXELS, QWEN25_MAX_PIXELS = 28, 3_136, 12_845_056
LONGEST = 200  # times the shorter side; a longer image is refused, as Qwen's processor does


class Sized(Protocol):
    """Examples that know how large their pictures are: an ExampleSet or ``ChangedExamples``."""

    def sizes(self, index: int) -> list[Size]:
        """Returns width and height of the pictures of one Example."""
        ...


def resized_size(size: Size, factor: int, min_pixels: int, max_pixels: int) -> Size:
    """Returns the width and height that Qwen-VL's image processors bring an image to (``smart_resize``): both multiples
    of ``factor``, the area within the bounds where that goes, nearly the same shape.

    Raises:
        UserError: one side is more than 200 times the other.
    """
    width, height = size
    if max(size) > LONGEST * min(size):
        raise UserError(
            f"an image of {width} x {height} pixels is too narrow for Qwen-VL's image processor; leave it out"
        )

    def whole(side: float, rounding: Callable[[float], int] = round) -> int:
        return max(factor, rounding(side / factor) * factor)

    area = round(height / factor) * round(width / factor) * factor**2  # 0 where a side is less than half a patch
    if area > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        return whole(width / shrink, math.floor), whole(height / shrink, math.floor)
    if area < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        return whole(width * grow, math.ceil), whole(height * grow, math.ceil)
    return round(width / factor) * factor, round(height / factor) * factor


def seen_size(sizes: Sequence[Size], images: Mapping[str, Any]) -> Size | None:
    """Returns width and height of an Example's first image as the model saw it; None where it has no image.

    ``sizes`` are those of its images as they lie in their files, ``images`` is `image_resizing`: without a ``factor``
    the image was not resized by Qwen-VL's rule, and its own size counts. With several images boxes are on the first.
    """
    if not sizes:
        return None
    if not images.get("factor"):
        return sizes[0]
    return resized_size(sizes[0], images["factor"], images["min_pixels"], images["max_pixels"])


def box_size(examples: Sized, index: int, style: PromptStyle, images: Mapping[str, Any]) -> Size | None:
    """Returns the size that the boxes of an Example are related to in its prompt, target and completions; None where
    they are not in pixels (then no file is opened) or it has no image.

    Raises:
        UserError: an image's size cannot be read.
    """
    return seen_size(examples.sizes(index), images) if style.box_format == "pixel" else None


def image_resizing(image_processor: Any) -> dict[str, Any]:
    """Returns who resizes a model's images and how, for a Header: a Qwen-VL processor's bounds and factor, another's
    size as it says it."""
    resizing: dict[str, Any] = {"resized_by": type(image_processor).__name__}
    size = dict(image_processor.size)
    if "shortest_edge" not in size or "longest_edge" not in size or not hasattr(image_processor, "merge_size"):
        return resizing | {"size": {key: value for key, value in size.items() if value is not None}}
    return resizing | {
        "min_pixels": size["shortest_edge"],
        "max_pixels": size["longest_edge"],
        "factor": image_processor.patch_size * image_processor.merge_size,
    }

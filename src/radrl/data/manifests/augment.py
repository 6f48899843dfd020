"""Random changes to a training picture that keep its answer true; boxes move along."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from radrl.example import Box, Example
from radrl.recipe.augmentation import Augment

_SIDES = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_SIDE_WORD = re.compile(r"\b(left|right|Left|Right)\b")


def augment(
    example: Example, pictures: list[Image.Image], settings: Augment, rng: np.random.Generator
) -> tuple[Example, list[Image.Image]]:
    """Returns the Example and its pictures after random mirror, shift, scale, contrast and brightness.

    A mirror image swaps the words left and right everywhere in the Example's texts. Shift and scale are taken back
    when a reference box would lose more than a twentieth of its side. Examples with several pictures get the changes
    of grey values only.
    """
    if len(pictures) == 1 and settings.flip > 0 and rng.random() < settings.flip:
        example, pictures = mirror(example), [pictures[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    if len(pictures) == 1 and (settings.shift > 0 or settings.scale > 0):
        factor = 1 + settings.scale * rng.uniform(-1, 1)
        dx, dy = settings.shift * rng.uniform(-1, 1, 2)
        moved = _move_boxes(example.boxes, factor, dx, dy)
        if moved is not None:
            example = example.model_copy(update={"boxes": moved})
            pictures = [_move_picture(pictures[0], factor, dx, dy)]
    if settings.contrast > 0 or settings.brightness > 0:
        gain = 1 + settings.contrast * rng.uniform(-1, 1)
        offset = 255 * settings.brightness * rng.uniform(-1, 1)
        table = np.clip((np.arange(256) - 127.5) * gain + 127.5 + offset, 0, 255).round().astype(np.uint8).tolist()
        pictures = [picture.point(table * len(picture.getbands())) for picture in pictures]
    return example, pictures


def mirror(example: Example) -> Example:
    """Returns the Example of the left-right mirror image: boxes mirrored, the words left and right swapped."""
    boxes = tuple(
        Box(xyxy=(1 - b.xyxy[2], b.xyxy[1], 1 - b.xyxy[0], b.xyxy[3]), label=_swap(b.label)) for b in example.boxes
    )
    return example.model_copy(
        update={
            "boxes": boxes,
            "question": _swap(example.question),
            "reference": _swap(example.reference),
            "choices": tuple(map(_swap, example.choices)),
            "labels": tuple(map(_swap, example.labels)),
            "label_set": tuple(map(_swap, example.label_set)),
            "thinking": _swap(example.thinking) if example.thinking else example.thinking,
            "findings": (),  # their sides would be wrong; scorers read the reference text
        }
    )


def _swap(text: str) -> str:
    return _SIDE_WORD.sub(lambda match: _SIDES[match.group()], text)


def _move_boxes(boxes: tuple[Box, ...], factor: float, dx: float, dy: float) -> tuple[Box, ...] | None:
    moved = []
    for box in boxes:
        xyxy = np.array(box.xyxy)
        xyxy = (xyxy - 0.5) * factor + 0.5 + np.array([dx, dy, dx, dy])
        inside = np.clip(xyxy, 0, 1)
        side = np.array([xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]] * 2)
        if (np.abs(inside - xyxy) > side / 20).any():
            return None
        moved.append(Box(xyxy=tuple(inside.tolist()), label=box.label))
    return tuple(moved)


def _move_picture(picture: Image.Image, factor: float, dx: float, dy: float) -> Image.Image:
    width, height = picture.size
    # PIL wants the way back: from a pixel of the new picture to one of the old
    a = 1 / factor
    c = width * (0.5 - (0.5 + dx) / factor)
    f = height * (0.5 - (0.5 + dy) / factor)
    return picture.transform(picture.size, Image.Transform.AFFINE, (a, 0, c, 0, a, f), Image.Resampling.BILINEAR)

"""Copies of published images: read once, shrunk, written as PNG without anything but pixels."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from radrl.errors import UserError
from radrl.images import read_image


def copy_name(path: str) -> str:
    """Returns the path of an image's copy; different paths give different copies, but for ``x.dcm`` and ``x.dcm.png``,
    which no data set should name both (`copy` refuses)."""
    return f"images/{path}" if path.endswith(".png") else f"images/{path}.png"


def copy(root: Path, path: str, out: Path, max_pixels: int, max_side: int | None) -> tuple[int, int]:
    """Writes the copy of an image where there is none yet; returns width and height of the image as published.

    Raises:
        UserError: the image cannot be read, or two images would share a copy.
    """
    if path.endswith(".png") and (Path(root) / path.removesuffix(".png")).is_file():
        raise UserError(f"{Path(root) / path}: stands beside a file of this name without .png; keep one of the two")
    return copy_image(root, path, out, copy_name(path), max_pixels, max_side)[0]


def copy_image(
    root: Path, path: str, out: Path, path_out: str, max_pixels: int, max_side: int | None = None
) -> tuple[tuple[int, int], tuple[int, int]]:
    picture = read_image(root, path)
    old = picture.size
    pixels = np.asarray(picture)
    if (pixels[..., :1] == pixels).all():
        picture = picture.convert("L")
    if max_side is not None:
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    elif old[0] * old[1] > max_pixels:
        scale = math.sqrt(max_pixels / (old[0] * old[1]))
        new = tuple(max(1, math.floor(side * scale)) for side in old)
        picture = picture.resize(new, Image.Resampling.LANCZOS)
    target = Path(out) / path_out
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    picture.save(temporary, "PNG")
    temporary.replace(target)
    return old, picture.size

"""Resized copies of images, which data preparation writes.

Nothing but pixels is carried on: no DICOM tag, EXIF entry, comment or palette reaches a copy. Names and dates that are
burned into the pixels stay there.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

from PIL import Image, ImageChops

from radrl.errors import UserError
from radrl.images.files import image_size, read_grey_or_rgb
from radrl.support.files import write_bytes

RADVLM_PIXELS = 451_584  # 672 x 672, the most that RadVLM gives its model (arXiv 2502.03333)
_END_OF_FILE = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}


def fitted_size(size: tuple[int, int], max_pixels: int | None, max_side: int | None = None) -> tuple[int, int]:
    """Returns the largest width and height of nearly the same shape within ``max_side`` a side, or else ``max_pixels``.

    Never larger than ``size``. The area keeps to its limit; with ``max_side`` the shorter side is what keeps the shape
    best (as Pillow's thumbnail does).
    """
    width, height = size
    if max_side is not None:
        if max(size) <= max_side:
            return size
        shape, tall = width / height, height > width
        exact = max_side * shape if tall else max_side / shape
        sides = [max(1, side) for side in (math.floor(exact), math.ceil(exact))]
        shorter = min(sides, key=lambda side: abs(shape - (side / max_side if tall else max_side / side)))
        return (shorter, max_side) if tall else (max_side, shorter)
    if not max_pixels or width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def copy_image(
    root: str | Path,
    path: str,
    out: str | Path,
    path_out: str,
    max_pixels: int | None = RADVLM_PIXELS,
    max_side: int | None = None,
    notes: list[str] | None = None,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Writes ``root/path`` to ``out/path_out`` (PNG or JPEG by its ending), shrunk where it is larger than allowed.

    ``max_side`` is the longest side in pixels and replaces ``max_pixels``. Grey pictures are written as 8-bit
    grey, others as RGB. The file appears whole or not at all; one that is there, whole, of the right size and not older
    than its source, is kept. Boxes in 0-1 hold for the copy as they are. ``notes`` as of ``read_image``.

    Returns:
        Width and height of the source, upright, and of the copy.

    Raises:
        UserError: as ``read_image`` does; ``path_out`` leads out of ``out``; or the copy cannot be written.
    """
    target = Path(out).resolve() / path_out
    if not target.resolve().is_relative_to(Path(out).resolve()):
        raise UserError(f"{target}: leads out of the folder to write; keep images below it")
    ending = target.suffix.lower()
    if ending not in _END_OF_FILE:
        raise UserError(f"{target}: a copy is written as .png or .jpg; change its ending")
    old = image_size(root, path)
    new = fitted_size(old, max_pixels, max_side)
    if not _is_copy(target, new, Path(root) / path):
        picture = read_grey_or_rgb(root, path, notes)
        data = io.BytesIO()
        picture = _grey_if_it_is(picture)
        if picture.size != new:
            picture = picture.resize(new, Image.Resampling.LANCZOS, reducing_gap=2.0 if max_side else None)
        picture.save(data, "PNG" if ending == ".png" else "JPEG", **({} if ending == ".png" else {"quality": 95}))
        write_bytes(target, data.getvalue(), sync=False)  # half a file after a crash is seen by its missing end
    return old, new


def _is_copy(target: Path, size: tuple[int, int], source: Path) -> bool:
    try:
        if target.stat().st_mtime < source.stat().st_mtime:
            return False
        with target.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            if not file.read().endswith(_END_OF_FILE[target.suffix.lower()]):
                return False
        with Image.open(target, formats=("PNG", "JPEG")) as image:
            return image.size == size
    except Exception:  # whatever it is, it is not our copy
        return False


def _grey_if_it_is(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGB":
        return picture
    red, green, blue = picture.split()
    same = not (ImageChops.difference(red, green).getbbox() or ImageChops.difference(red, blue).getbbox())
    return red if same else picture

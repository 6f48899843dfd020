"""Pixels, whatever file they came from: their largest number, their range brought to 8 bit, their data URI."""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

import numpy as np
from PIL import Image

from radrl.errors import UserError
from radrl.images.in_memory import File

# A radiograph is at most about 60 megapixels; what claims more is broken or hostile.
MAX_PIXELS = 100_000_000
FLAT = 0.98  # share of pixels at one end of the range from which a picture can hardly show anything
PNG_PIXELS = 1_000_000  # larger images travel as JPEG: a film as PNG is several megabytes


def check_size(file: File, width: int, height: int) -> None:
    """Refuses a picture of more than MAX_PIXELS, before it is decoded."""
    if width * height > MAX_PIXELS:
        raise UserError(f"{file}: {width} x {height} pixels is more than {MAX_PIXELS}; resize it")


def to_8_bit(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels scaled from their range to 0-255, uint8; all 0 where they do not differ."""
    low, high = float(pixels.min()), float(pixels.max())
    scaled = np.zeros_like(pixels) if high <= low else (pixels - low) * (255.0 / (high - low))
    return scaled.round().astype(np.uint8)


def flat_note(picture: Image.Image) -> list[str]:
    """Returns the note that a picture is nearly all black or white, if it is."""
    counts = picture.convert("L").histogram()
    total = sum(counts)
    for name, own in (("black", counts[:3]), ("white", counts[253:])):
        if sum(own) > FLAT * total:
            return [f"{100 * sum(own) / total:.1f}% of its pixels are {name}; look at it"]
    return []


def data_uri(image: Image.Image, kind: Literal["png", "jpeg"] | None = None, **options: Any) -> str:
    """Returns the pixels of a grey or RGB picture, and nothing else of it, as a data URI.

    Without a ``kind`` it is PNG, or JPEG of quality 95 where the picture has more than PNG_PIXELS. With one,
    ``options`` are Pillow's for that format (``quality``, ``optimize``).
    """
    bare = Image.frombytes(image.mode, image.size, image.tobytes())  # leaves EXIF, text chunks and profiles behind
    if kind is None:
        kind, options = ("png", {}) if bare.width * bare.height <= PNG_PIXELS else ("jpeg", {"quality": 95})
    buffer = io.BytesIO()
    bare.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

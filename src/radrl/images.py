"""Image files to 8-bit pictures. Reads PNG and JPEG, 8 and 16 bit; nothing but pixels is carried on."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from radrl.errors import UserError

# A radiograph is at most about 60 megapixels; what claims more is broken or hostile.
MAX_PIXELS = 100_000_000
PNG_PIXELS = 1_000_000  # larger images travel as JPEG: a film as PNG is several megabytes
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(root: str | Path, path: str) -> Image.Image:
    """Returns the image at ``root/path`` as 8-bit RGB without metadata; 16-bit pixels are scaled from their range.

    Raises:
        UserError: missing file, not an image, broken data, or a path (or link) that leads out of ``root``.
    """
    root = Path(root).resolve()
    file = root / path
    if not file.resolve().is_relative_to(root):
        raise UserError(f"{file}: leads out of the manifest's folder; keep images below it")
    try:
        with warnings.catch_warnings():  # of pictures that are large, but not more than MAX_PIXELS
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(file, formats=("PNG", "JPEG"))  # the other readers are many, and EPS runs a program
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{file}: {image.width} x {image.height} pixels is more than {MAX_PIXELS}; resize it")
            image.load()
            # ImageOps.exif_transpose would also rewrite the other tags, and fails on broken ones
            turn = _TURNS.get(image.getexif().get(_ORIENTATION))
            image = image if turn is None else image.transpose(turn)
            if image.mode.startswith("I") or image.mode == "F":
                image = _to_8_bit(np.asarray(image, dtype=np.float32))
            # through an array: drops EXIF, comments and palettes with the container
            return Image.fromarray(np.asarray(image.convert("RGB")))
    except FileNotFoundError:
        raise UserError(f"{file}: no such image; mend the path in the manifest or put the file there") from None
    except UserError:
        raise
    except Exception as error:  # on broken data Pillow raises what it likes: OSError, SyntaxError, AssertionError, ...
        why = str(error) or type(error).__name__
        raise UserError(f"{file}: not a readable PNG or JPEG ({why}); replace the file or drop its line") from None


def _to_8_bit(pixels: np.ndarray) -> Image.Image:
    low, high = float(pixels.min()), float(pixels.max())
    scaled = np.zeros_like(pixels) if high <= low else (pixels - low) * (255.0 / (high - low))
    return Image.fromarray(scaled.round().astype(np.uint8))


def data_url(image: Image.Image) -> str:
    """Returns the pixels of a grey or RGB picture, and nothing else of it, as a data URL: PNG, or JPEG where large."""
    bare = Image.frombytes(image.mode, image.size, image.tobytes())  # leaves EXIF, text chunks and profiles behind
    kind = "png" if bare.width * bare.height <= PNG_PIXELS else "jpeg"
    buffer = io.BytesIO()
    bare.save(buffer, kind, **({"quality": 95} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

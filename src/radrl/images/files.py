"""Image files to 8-bit pictures. Reads DICOM, PNG, JPEG, WebP, TIFF and BMP, 8 to 16 bit.

Nothing but pixels is carried on: no DICOM tag, EXIF entry, comment or palette is in a picture. Names and dates that are
burned into the pixels stay there.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from radrl.errors import UserError, in_words
from radrl.images import dicom
from radrl.images.in_memory import File, InMemory
from radrl.images.pixels import check_size, flat_note, to_8_bit

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # the other readers are many, and EPS runs a program
# What is none of these is named, so that one knows what to convert: how a file of it begins.
_OTHERS = {
    b"GIF8": "GIF", b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"%PDF": "PDF", b"%!PS": "EPS",
    b"\x1f\x8b": "gzip (NIfTI?)", b"PK\x03\x04": "ZIP", b"NRRD": "NRRD", b"\xff\x0a": "JPEG XL", b"8BPS": "Photoshop",
    b"<svg": "SVG", b"\x89HDF": "HDF5", b"\x93NUMPY": "NumPy",
}  # fmt: skip
_ORIENTATION = 0x0112  # EXIF tag
_BITS, _PHOTOMETRIC = 258, 262  # TIFF tags
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACROSS = {_TURNS[k] for k in (5, 6, 7, 8)}  # width becomes height
_log = logging.getLogger(__name__)
_logged: set[str] = set()  # files whose notes were logged: a training run reads each again and again


def read_image(root: str | Path, path: str, notes: list[str] | None = None) -> Image.Image:
    """Returns the image at ``root/path`` as 8-bit RGB without metadata, air dark and bone bright.

    EXIF orientation is applied. Of DICOM, the modality LUT or rescale, the first VOI LUT or window and MONOCHROME1 are.
    Without a window, more than 8 bits are scaled from their range, as 16-bit PNG and TIFF are.

    What looks wrong though it can be read (nearly all black or white, bits beyond BitsStored) is added to ``notes``, or
    logged once a file as a warning.

    Raises:
        UserError: missing file, not an image, broken data, or a path (or link) that leads out of ``root``.
    """
    return read_grey_or_rgb(root, path, notes).convert("RGB")


def read_grey_or_rgb(root: str | Path, path: str, notes: list[str] | None = None) -> Image.Image:
    """Returns what `read_image` does, but of mode L where the file is grey; ``notes`` and errors as there."""
    file = _inside(root, path)
    picture, seen = _read_noting(file)
    if notes is not None:
        notes += seen
    else:
        log_notes(str(file), seen)
    return picture


def read_uploaded(file: InMemory) -> tuple[Image.Image, list[str]]:
    """Returns what `read_image` does of a file that is in memory only, and what looks wrong with it; nothing is logged.

    Raises:
        UserError: not an image, or broken data.
    """
    picture, notes = _read_noting(file)
    return picture.convert("RGB"), notes


def _read_noting(file: File) -> tuple[Image.Image, list[str]]:
    notes: list[str] = []
    with _reading(file):
        picture = Image.fromarray(dicom.read_pixels(file, notes)) if _is_dicom(file) else _read_file(file)
    return picture, notes + flat_note(picture)


def image_size(root: str | Path, path: str) -> tuple[int, int]:
    """Returns width and height of the picture ``read_image`` would return, from the file's header alone.

    Raises:
        UserError: as ``read_image`` does, but for broken pixels.
    """
    file = _inside(root, path)
    with _reading(file):
        if _is_dicom(file):
            return dicom.read_size(file)
        with _open_image(file) as image:
            across = _turn(image) in _ACROSS
            return (image.height, image.width) if across else image.size


def is_turned(root: str | Path, path: str) -> bool:
    """Returns whether the file's EXIF orientation asks to turn or mirror the picture. Raises UserError."""
    file = _inside(root, path)
    with _reading(file):
        if _is_dicom(file):
            return False
        with _open_image(file) as image:
            return image.getexif().get(_ORIENTATION, 1) in _TURNS


def is_dicom(root: str | Path, path: str) -> bool:
    """Returns whether ``root/path`` is a DICOM file. Raises UserError where it cannot be read."""
    file = _inside(root, path)
    with _reading(file):
        return _is_dicom(file)


def _inside(root: str | Path, path: str) -> Path:
    root = Path(root).resolve()
    file = root / path
    if not file.resolve().is_relative_to(root):
        raise UserError(f"{file}: leads out of the manifest's folder; keep images below it")
    return file


def _is_dicom(file: File) -> bool:
    with file.open("rb") as opened:
        head = opened.read(132)
    if head[128:] == b"DICM":
        return True
    # old files lack the preamble; then only the name tells
    return file.suffix.lower() in (".dcm", ".dicom") and not head.startswith((b"\x89PNG", b"\xff\xd8\xff"))


def log_notes(name: str, notes: Sequence[str]) -> None:
    """Logs what looks wrong with an image of that name, once."""
    if notes and name not in _logged:
        _logged.add(name)
        _log.warning("%s: %s", name, "; ".join(notes))


def _read_file(file: File) -> Image.Image:
    with _open_image(file) as image:
        deep = _deep_colour(file, image)  # before getexif, which loads the pixels
        turn = _turn(image)
        if deep is not None:
            pixels = to_8_bit(deep)
        elif image.mode.startswith("I") or image.mode == "F":
            pixels = to_8_bit(np.asarray(image, dtype=np.float32))
            pixels = 255 - pixels if _white_is_zero(image) else pixels
        elif image.mode == "LA":
            pixels = np.asarray(image.getchannel("L"))
        else:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    picture = Image.fromarray(pixels)  # through an array: drops EXIF, comments and palettes with the container
    return picture if turn is None else picture.transpose(turn)


def _turn(image: ImageFile.ImageFile) -> Image.Transpose | None:
    """Returns how a picture is to be turned to be upright. (ImageOps.exif_transpose would also rewrite the other tags,
    and fails on broken ones.)"""
    if image.format == "TIFF":  # Pillow gives the size of the upright picture, and turns it when it is loaded
        return None
    return _TURNS.get(image.getexif().get(_ORIENTATION, 1))


def _deep_colour(file: File, image: ImageFile.ImageFile) -> np.ndarray | None:
    """Returns the values of a PNG of several channels of 16 bits, float32 of shape (H, W) or (H, W, 3) without alpha;
    None where it is none. Pillow keeps the upper 8 bits of such, so that a film of 12 bits would be all but black.

    The same data are unpacked two times, once for each byte of a value.

    Raises:
        UserError: a TIFF of several channels of 16 bits.
    """
    if max(_tiff_tag(image, _BITS, (1,))) > 8 and len(image.getbands()) > 1:
        raise UserError(f"{file}: a colour TIFF of 16 bits is not read; convert it to a 16-bit PNG")
    tile = image.tile[0] if image.format == "PNG" and image.tile else None
    if tile is None or tile.args not in ("RGB;16B", "RGBA;16B", "LA;16B"):
        return None
    if tile.args == "LA;16B":  # four bytes a pixel, as RGBA has: grey high and low, alpha high and low
        image._mode, image.tile = "RGBA", [tile._replace(args="RGBA")]
        image.load()
        pixels = np.asarray(image).astype(np.float32)
        return pixels[..., 0] * 256 + pixels[..., 1]
    mode = tile.args.partition(";")[0]
    with file.open("rb") as opened, Image.open(opened, formats=("PNG",)) as again:  # a picture is unpacked once
        again._mode, again.tile = mode, [again.tile[0]._replace(args=f"{mode};16L")]
        again.load()
        low = np.asarray(again)[..., :3].astype(np.float32)
    image.load()
    return np.asarray(image)[..., :3].astype(np.float32) * 256 + low


def _white_is_zero(image: Image.Image) -> bool:
    """Returns whether a TIFF says that 0 is white; Pillow inverts such pictures up to 8 bits only."""
    return _tiff_tag(image, _PHOTOMETRIC, None) == 0


def _tiff_tag(image: Image.Image, tag: int, otherwise: Any) -> Any:
    """Returns a tag of a TIFF; ``otherwise`` where it is not there, or the image is no TIFF."""
    return getattr(image, "tag_v2", {}).get(tag, otherwise) if image.format == "TIFF" else otherwise


@contextmanager
def _open_image(file: File) -> Iterator[ImageFile.ImageFile]:
    # not by its name: Pillow maps a bare TIFF that says so into memory with width and height exchanged
    with file.open("rb") as opened, Image.open(opened, formats=FORMATS) as image:
        check_size(file, image.width, image.height)
        if (pages := getattr(image, "n_frames", 1)) != 1:
            raise UserError(f"{file}: {pages} pages or frames; give one image a file")
        yield image


@contextmanager
def _reading(file: File) -> Iterator[None]:
    """Turns whatever reading a file raises into one line that names it, and keeps quiet about what can be read."""
    try:
        with warnings.catch_warnings():  # of large pictures, and of tags that a device wrote against the standard
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        raise UserError(f"{file}: no such image; fix the path in the manifest or put the file there") from None
    except UserError:
        raise
    except (
        Exception
    ) as error:  # on broken data decoders raise what they like: OSError, SyntaxError, AssertionError, ...
        # Pillow names the object it was given, which is no name of a file
        why = "its format is not known" if isinstance(error, UnidentifiedImageError) else in_words(error)[:200]
        why = "".join(c for c in why if c.isprintable())
        drop = "" if isinstance(file, InMemory) else " or drop its line"  # of a manifest
        if other := _other_format(file):
            others = "DICOM, PNG, JPEG, WebP, TIFF and BMP are"
            raise UserError(f"{file}: {other} is not read ({others}); convert it to PNG{drop}") from None
        raise UserError(
            f"{file}: not a readable DICOM, PNG, JPEG, WebP, TIFF or BMP ({why}); replace the file{drop}"
        ) from None


def _other_format(file: File) -> str | None:
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        return "HEIC, AVIF or a film (ISO media)"
    return next((name for begins, name in _OTHERS.items() if head.startswith(begins)), None)

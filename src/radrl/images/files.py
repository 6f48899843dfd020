"""Image files to 8-bit pictures, and resized copies of them. Reads DICOM, PNG, JPEG, WebP, TIFF and BMP, 8 to 16 bit.

Nothing but pixels is carried on: no DICOM tag, EXIF entry, comment or palette reaches a copy. Names and dates that are
burned into the pixels stay there.
"""

from __future__ import annotations

import base64
import io
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from radrl.errors import UserError, in_words
from radrl.support.files import write_bytes

# A radiograph is at most about 60 megapixels; what claims more is broken or hostile.
MAX_PIXELS = 100_000_000
RADVLM_PIXELS = 451_584  # 672 x 672, the most that RadVLM gives its model (arXiv 2502.03333)
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # the other readers are many, and EPS runs a program
# What is none of these is named, so that one knows what to convert: how a file of it begins.
_OTHERS = {
    b"GIF8": "GIF", b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"%PDF": "PDF", b"%!PS": "EPS",
    b"\x1f\x8b": "gzip (NIfTI?)", b"PK\x03\x04": "ZIP", b"NRRD": "NRRD", b"\xff\x0a": "JPEG XL", b"8BPS": "Photoshop",
    b"<svg": "SVG", b"\x89HDF": "HDF5", b"\x93NUMPY": "NumPy",
}  # fmt: skip
FLAT = 0.98  # share of pixels at one end of the range from which a picture can hardly show anything
PNG_PIXELS = 1_000_000  # larger images travel as JPEG: a film as PNG is several megabytes
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
_log = logging.getLogger(__name__)
_told_of: set[str] = set()  # files whose notes were logged: a training run reads each again and again
_END_OF_FILE = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}


def read_image(root: str | Path, path: str, notes: list[str] | None = None) -> Image.Image:
    """Returns the image at ``root/path`` as 8-bit RGB without metadata, air dark and bone bright.

    EXIF orientation is applied. Of DICOM, the modality LUT or rescale, the first VOI LUT or window and MONOCHROME1 are.
    Without a window, more than 8 bits are scaled from their range, as 16-bit PNG and TIFF are.

    What looks wrong though it can be read (nearly all black or white, bits beyond BitsStored) is added to ``notes``, or
    logged once a file as a warning.

    Raises:
        UserError: missing file, not an image, broken data, or a path (or link) that leads out of ``root``.
    """
    return _read(_inside(root, path), notes).convert("RGB")


def image_size(root: str | Path, path: str) -> tuple[int, int]:
    """Returns width and height of the picture ``read_image`` would return, from the file's header alone.

    Raises:
        UserError: as ``read_image`` does, but for broken pixels.
    """
    file = _inside(root, path)
    with _told(file):
        if _is_dicom(file):
            from radrl.images.dicom import read_size

            return read_size(file)
        with _opened(file) as image:
            turned = image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else image.size


def turned(root: str | Path, path: str) -> bool:
    """Returns whether the file says in EXIF that the picture is to be turned or mirrored. Raises UserError."""
    file = _inside(root, path)
    with _told(file):
        if _is_dicom(file):
            return False
        with _opened(file) as image:
            return image.getexif().get(_ORIENTATION, 1) in _TURNS


def is_dicom(root: str | Path, path: str) -> bool:
    """Returns whether ``root/path`` is a DICOM file. Raises UserError where it cannot be read."""
    file = _inside(root, path)
    with _told(file):
        return _is_dicom(file)


def fit(size: tuple[int, int], max_pixels: int | None, max_side: int | None = None) -> tuple[int, int]:
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

    ``max_side`` is the longest side in pixels and stands instead of ``max_pixels``. Grey pictures are written as 8-bit
    grey, others as RGB. The file appears whole or not at all; one that is there, whole, of the right size and not older
    than its source, is kept. Boxes in 0-1 hold for the copy as they are. ``notes`` as of `read_image`.

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
    new = fit(old, max_pixels, max_side)
    if not _is_copy(target, new, Path(root) / path):
        picture = _read(_inside(root, path), notes)
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


def _inside(root: str | Path, path: str) -> Path:
    root = Path(root).resolve()
    file = root / path
    if not file.resolve().is_relative_to(root):
        raise UserError(f"{file}: leads out of the manifest's folder; keep images below it")
    return file


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(132)
    if head[128:] == b"DICM":
        return True
    # old files lack the preamble; then only the name tells
    return file.suffix.lower() in (".dcm", ".dicom") and not head.startswith((b"\x89PNG", b"\xff\xd8\xff"))


def _read(file: Path, notes: list[str] | None = None) -> Image.Image:
    """Returns an upright picture of mode L or RGB that holds nothing but pixels; notes as `read_image`."""
    found: list[str] = []
    with _told(file):
        if _is_dicom(file):
            from radrl.images.dicom import read_pixels

            picture = Image.fromarray(read_pixels(file, found))
        else:
            picture = _read_file(file)
    found += _flat(picture)
    if notes is not None:
        notes += found
    else:
        warn(str(file), found)
    return picture


def warn(name: str, notes: Sequence[str]) -> None:
    """Logs what looks wrong with an image of that name, once."""
    if notes and name not in _told_of:
        _told_of.add(name)
        _log.warning("%s: %s", name, "; ".join(notes))


def _read_file(file: Path) -> Image.Image:
    with _opened(file) as image:
        deep = _deep_colour(image)  # before getexif, which loads the pixels
        # ImageOps.exif_transpose would also rewrite the other tags, and fails on broken ones
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
        if deep is not None:
            picture = Image.fromarray(to_8_bit(deep))
            return picture if turn is None else picture.transpose(turn)
        image.load()
        image = image if turn is None else image.transpose(turn)
        if image.mode.startswith("I") or image.mode == "F":
            pixels = to_8_bit(np.asarray(image, dtype=np.float32))
            return Image.fromarray(255 - pixels if _white_is_zero(image) else pixels)
        if image.mode == "LA":
            image = image.getchannel("L")
        # through an array: drops EXIF, comments and palettes with the container
        return Image.fromarray(np.asarray(image if image.mode == "L" else image.convert("RGB")))


def _deep_colour(image: Image.Image) -> np.ndarray | None:
    """Returns the values of a PNG of several channels of 16 bits, float32 of shape (H, W) or (H, W, 3) without alpha;
    None where it is none. Pillow keeps the upper 8 bits of such, so that a film of 12 bits would be all but black.

    The same data are unpacked twice, once for each byte of a value.

    Raises:
        UserError: a TIFF of several channels of 16 bits.
    """
    if image.format == "TIFF" and max(image.tag_v2.get(_BITS, (1,))) > 8 and len(image.getbands()) > 1:
        raise UserError(f"{image.filename}: a colour TIFF of 16 bits is not read; convert it to a 16-bit PNG")
    tile = image.tile[0] if image.format == "PNG" and image.tile else None
    if tile is None or tile.args not in ("RGB;16B", "RGBA;16B", "LA;16B"):
        return None
    if tile.args == "LA;16B":  # four bytes a pixel, as RGBA has: grey high and low, alpha high and low
        image._mode, image.tile = "RGBA", [tile._replace(args="RGBA")]
        image.load()
        pixels = np.asarray(image).astype(np.float32)
        return pixels[..., 0] * 256 + pixels[..., 1]
    mode = tile.args.partition(";")[0]
    with Image.open(image.filename, formats=("PNG",)) as again:  # a picture is unpacked once
        again._mode, again.tile = mode, [again.tile[0]._replace(args=f"{mode};16L")]
        again.load()
        low = np.asarray(again)[..., :3].astype(np.float32)
    image.load()
    return np.asarray(image)[..., :3].astype(np.float32) * 256 + low


def _white_is_zero(image: Image.Image) -> bool:
    """Returns whether a TIFF says that 0 is white; Pillow turns such round up to 8 bits only."""
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0


def _flat(picture: Image.Image) -> list[str]:
    """Returns the note that a picture is nearly all black or white, if it is."""
    counts = picture.convert("L").histogram()
    total = sum(counts)
    for name, own in (("black", counts[:3]), ("white", counts[253:])):
        if sum(own) > FLAT * total:
            return [f"{100 * sum(own) / total:.1f}% of its pixels are {name}; look at it"]
    return []


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    with Image.open(file, formats=FORMATS) as image:
        check_size(file, image.width, image.height)
        if (pages := getattr(image, "n_frames", 1)) != 1:
            raise UserError(f"{file}: {pages} pages or frames; give one image a file")
        yield image


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turns whatever reading a file raises into one line that names it, and keeps quiet about what can be read."""
    try:
        with warnings.catch_warnings():  # of large pictures, and of tags that a device wrote against the standard
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        raise UserError(f"{file}: no such image; mend the path in the manifest or put the file there") from None
    except UserError:
        raise
    except (
        Exception
    ) as error:  # on broken data decoders raise what they like: OSError, SyntaxError, AssertionError, ...
        why = in_words(error)[:200]
        why = "".join(c for c in why if c.isprintable())
        if other := _other_format(file):
            others = "DICOM, PNG, JPEG, WebP, TIFF and BMP are"
            raise UserError(f"{file}: {other} is not read ({others}); convert it to PNG or drop its line") from None
        raise UserError(
            f"{file}: not a readable DICOM, PNG, JPEG, WebP, TIFF or BMP ({why}); replace the file or drop its line"
        ) from None


def _other_format(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        return "HEIC, AVIF or a film (ISO media)"
    return next((name for begins, name in _OTHERS.items() if head.startswith(begins)), None)


def check_size(file: Path, width: int, height: int) -> None:
    """Refuses a picture of more than MAX_PIXELS, before it is decoded."""
    if width * height > MAX_PIXELS:
        raise UserError(f"{file}: {width} x {height} pixels is more than {MAX_PIXELS}; resize it")


def to_8_bit(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels scaled from their range to 0-255, uint8; all 0 where they do not differ."""
    low, high = float(pixels.min()), float(pixels.max())
    scaled = np.zeros_like(pixels) if high <= low else (pixels - low) * (255.0 / (high - low))
    return scaled.round().astype(np.uint8)


def data_url(image: Image.Image) -> str:
    """Returns the pixels of a grey or RGB picture, and nothing else of it, as a data URL: PNG, or JPEG where large."""
    bare = Image.frombytes(image.mode, image.size, image.tobytes())  # leaves EXIF, text chunks and profiles behind
    kind = "png" if bare.width * bare.height <= PNG_PIXELS else "jpeg"
    buffer = io.BytesIO()
    bare.save(buffer, kind, **({"quality": 95} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

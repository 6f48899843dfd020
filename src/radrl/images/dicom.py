"""DICOM radiographs to 8-bit pixels as a viewer shows them (DICOM PS3.3 C.7.6.3, C.11.1, C.11.2; PS3.4 N.2).

The order is the standard's: stored values, modality LUT or rescale, VOI LUT or window, and MONOCHROME1 (or the
presentation LUT shape INVERSE, which goes with it) inverted.
Of several windows the first is taken; a VOI LUT goes before a window. pydicom parses the file; which decoder unpacks
which transfer syntax is fixed in DECODERS, so that a picture does not depend on what else is installed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from radrl.errors import UserError
from radrl.images.in_memory import File
from radrl.images.pixels import check_size, to_8_bit

if TYPE_CHECKING:  # pydicom is loaded when a DICOM file is read
    from pydicom.dataset import Dataset, FileDataset

MAX_BYTES = 1_000_000_000  # MAX_PIXELS at 16 bit are a fifth of it
_DEFLATED = "1.2.840.10008.1.2.1.99"
_EXTENDED = "1.2.840.10008.1.2.4.51"  # JPEG of 8 or 12 bits
# transfer syntax -> (pydicom's name of the decoder, the package that brings it); None: not packed
DECODERS: dict[str, tuple[str, str] | None] = {
    "1.2.840.10008.1.2": None,
    "1.2.840.10008.1.2.1": None,
    "1.2.840.10008.1.2.2": None,
    "1.2.840.10008.1.2.5": ("pydicom", "pydicom"),  # RLE
    "1.2.840.10008.1.2.4.50": ("pillow", "pillow"),  # JPEG baseline
    _EXTENDED: ("gdcm", "python-gdcm"),
    "1.2.840.10008.1.2.4.57": ("gdcm", "python-gdcm"),  # JPEG lossless
    "1.2.840.10008.1.2.4.70": ("gdcm", "python-gdcm"),  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": ("pyjpegls", "pyjpegls"),  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": ("pyjpegls", "pyjpegls"),
    "1.2.840.10008.1.2.4.90": ("pylibjpeg", "pylibjpeg-openjpeg"),  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": ("pylibjpeg", "pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.201": ("pylibjpeg", "pylibjpeg-openjpeg"),  # High-Throughput JPEG 2000 lossless
    "1.2.840.10008.1.2.4.202": ("pylibjpeg", "pylibjpeg-openjpeg"),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg", "pylibjpeg-openjpeg"),
}
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")


def read_size(file: File) -> tuple[int, int]:
    """Returns width and height of a DICOM image from its header.

    Raises:
        UserError: pydicom is missing, or it is no image of one frame and at most MAX_PIXELS.
        Exception: what pydicom raises on broken data.
    """
    return _check(file, _parse(file, pixels=False))


def read_pixels(file: File, notes: list[str] | None = None) -> np.ndarray:
    """Returns the pixels of a DICOM image, uint8 of shape (H, W), or (H, W, 3) in colour; air is dark. What contradicts
    itself in the file and can be read all the same is added to ``notes``.

    Raises:
        UserError: a package is missing, several frames, too large, or a kind of pixels that no radiograph has.
        Exception: what pydicom and the decoders raise on broken data.
    """
    data = _parse(file, pixels=True)
    _check(file, data)
    pixels = _decode(file, data, [] if notes is None else notes)
    kind = str(data.PhotometricInterpretation)
    if kind in _COLOURS:
        return _colour(file, data, pixels, kind)
    shown = _windowed(file, data, _rescaled(data, pixels), pixels)
    inverse = str(data.get("PresentationLUTShape") or "IDENTITY").upper() == "INVERSE"
    return 255 - shown if kind == "MONOCHROME1" or inverse else shown


def _parse(file: File, pixels: bool) -> FileDataset:
    try:
        import pydicom
    except ImportError:
        raise UserError(f"{file}: to read DICOM: pip install 'radrl[dicom]'") from None
    with file.open("rb") as opened:
        if opened.seek(0, 2) > MAX_BYTES:
            raise UserError(f"{file}: more than {MAX_BYTES} bytes; no radiograph has as many, give one image a file")
        opened.seek(0)
        if opened.read(132)[128:] == b"DICM" and _transfer_syntax(opened) == _DEFLATED:  # it may unpack to any size
            raise UserError(f"{file}: a deflated DICOM file is not read; unpack it with dcmconv or gdcmconv")
        opened.seek(0)
        # a file without preamble needs force
        return pydicom.dcmread(opened, force=True, stop_before_pixels=not pixels)


def _transfer_syntax(opened: BinaryIO) -> str:
    """Returns what the file meta elements behind the preamble say; empty where they say nothing. They are written with
    explicit VR, by some devices without (pydicom's ``read_file_meta_info`` does the same, of files with a path)."""
    from pydicom.filereader import read_dataset

    for implicit in (False, True):
        opened.seek(132)
        meta = read_dataset(opened, implicit, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        try:
            next(iter(meta), None)
        except NotImplementedError:
            continue
        return str(meta.get("TransferSyntaxUID", ""))
    return ""


def _check(file: File, data: FileDataset) -> tuple[int, int]:
    """Returns width and height, if the tags are those of one radiograph."""
    for key in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation"):
        if data.get(key) in (None, ""):
            raise UserError(f"{file}: the DICOM tag {key} is missing; it is no image, drop its line")
    frames = int(data.get("NumberOfFrames") or 1)
    if frames != 1:
        raise UserError(f"{file}: {frames} frames; give one frame a file (gdcmimg or dcm2niix can split them)")
    allocated, stored = int(data.BitsAllocated), int(data.BitsStored)
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise UserError(f"{file}: {stored} of {allocated} bits a pixel; 8 and 16 bits are read, convert the file")
    kind = str(data.PhotometricInterpretation)
    if kind not in ("MONOCHROME1", "MONOCHROME2", *_COLOURS):
        raise UserError(f"{file}: photometric interpretation {kind!r} is not read; convert the file to MONOCHROME2")
    width, height = int(data.Columns), int(data.Rows)
    if width < 1 or height < 1:
        raise UserError(f"{file}: {width} x {height} pixels; replace the file or drop its line")
    check_size(file, width, height)
    return width, height


def _decode(file: File, data: FileDataset, notes: list[str]) -> np.ndarray:
    syntax = str(data.file_meta.get("TransferSyntaxUID", "")) if hasattr(data, "file_meta") else ""
    if not syntax:  # no meta header: by the way it was parsed
        syntax = "1.2.840.10008.1.2" if data.original_encoding[0] else "1.2.840.10008.1.2.1"
        from pydicom.uid import UID

        data.file_meta.TransferSyntaxUID = UID(syntax)
    if syntax not in DECODERS:
        raise UserError(f"{file}: transfer syntax {syntax!r} is not read; unpack it with gdcmconv --raw")
    decoder = DECODERS[syntax]
    if decoder is None:
        data.pixel_array_options(correct_unused_bits=False)  # done here, so that it can be noted
        return _without_unused_bits(data, notes)
    if syntax == _EXTENDED and int(data.BitsStored) > 8:
        raise UserError(f"{file}: JPEG of 12 bits is not read; unpack it with dcmdjpeg")
    from pydicom.pixels.decoders.base import get_decoder

    name, package = decoder
    if name not in get_decoder(syntax).available_plugins:
        raise UserError(f"{file}: to unpack this DICOM file: pip install {package}  (or 'radrl[dicom]')")
    packed = bytes(data.PixelData)
    claimed = _claimed_size(packed)
    wanted = (int(data.Columns), int(data.Rows))
    if claimed and claimed != wanted:  # a decoder believes the packed data, whatever size it says
        raise UserError(f"{file}: the packed image says {claimed}, the DICOM tags {wanted}; replace the file")
    data.pixel_array_options(decoding_plugin=name, correct_unused_bits=False)
    signed = _claimed_sign(packed)
    if signed is not None and signed != bool(data.get("PixelRepresentation")):
        signs = [("unsigned", "signed")[k] for k in (signed, not signed)]
        notes.append(f"its JPEG 2000 data are {signs[0]}, its tag says {signs[1]}; read as {signs[1]}, look at it")
    return _without_unused_bits(data, notes)


def _without_unused_bits(data: FileDataset, notes: list[str]) -> np.ndarray:
    """Returns the stored values; bits beyond BitsStored may hold an overlay."""
    pixels, unused = data.pixel_array, int(data.BitsAllocated) - int(data.BitsStored)
    if not unused or pixels.ndim != 2:
        return pixels
    kept = (pixels << unused) >> unused  # of signed pixels this carries the sign
    if beyond := int((kept != pixels).sum()):
        share = 100 * beyond / pixels.size
        notes.append(f"{share:.3g}% of its pixels have bits beyond BitsStored ({data.BitsStored}), which are left out")
    return kept


def _claimed_sign(packed: bytes) -> bool | None:
    """Returns whether JPEG 2000 data say that their values are signed; None where the data are something else."""
    start = packed.find(b"\xff\x4f\xff\x51")
    return bool(packed[start + 42] & 0x80) if start >= 0 and len(packed) > start + 42 else None


def _claimed_size(packed: bytes) -> tuple[int, int] | None:
    """Returns the width and height in the first header of JPEG, JPEG-LS or JPEG 2000 data; None where there is none."""
    start = packed.find(b"\xff\x4f\xff\x51")  # JPEG 2000: start of codestream, image and tile size
    if start >= 0 and len(packed) >= start + 24:
        right, low, left, top = struct.unpack(">4I", packed[start + 8 : start + 24])
        return right - left, low - top
    at = packed.find(b"\xff\xd8\xff")
    at = at + 2 if at >= 0 else len(packed)
    while at + 9 <= len(packed) and packed[at] == 0xFF:
        marker = packed[at + 1]
        (length,) = struct.unpack(">H", packed[at + 2 : at + 4])
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = struct.unpack(">2H", packed[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


def _rescaled(data: FileDataset, pixels: np.ndarray) -> np.ndarray:
    """Returns the values after modality LUT or rescale, float32."""
    tables = data.get("ModalityLUTSequence")
    if tables:
        return _looked_up(pixels, tables[0], data)[0]
    values = pixels.astype(np.float32)
    slope, intercept = _first(data.get("RescaleSlope")), _first(data.get("RescaleIntercept"))
    return values if slope is None or intercept is None else values * np.float32(slope) + np.float32(intercept)


def _windowed(file: File, data: FileDataset, values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Returns the values through VOI LUT or window, uint8."""
    tables = data.get("VOILUTSequence")
    if tables and tables[0].get("LUTDescriptor") is not None:
        shown, top = _looked_up(values.round().astype(np.int32), tables[0], data)
        return _clip(shown * (255.0 / top))
    centre, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    if centre is not None and width is not None:
        return window(file, values, centre, width, str(data.get("VOILUTFunction") or "LINEAR").upper())
    if int(data.BitsStored) == 8 and pixels.dtype == np.uint8 and values.min() >= 0 and values.max() <= 255:
        return _clip(values)  # made to be shown as it is
    padding = data.get("PixelPaddingValue")
    if padding is not None and (pixels != padding).any():  # the surround is no part of the range
        seen = values[pixels != padding]
        values = np.clip(values, seen.min(), seen.max())
    return to_8_bit(values)


def _looked_up(values: np.ndarray, table: Dataset, data: FileDataset) -> tuple[np.ndarray, float]:
    """Returns integers through a LUT (PS3.3 C.11.1.1), float32, and the largest value that its bits allow.

    Some devices (Agfa CR) write a LUT of 12 bits and say 16: where the entries need fewer bits than the descriptor has,
    their own largest value is the top. pydicom's own knows LUTs of 8 and 16 bits only.
    """
    entries, first, bits = (int(v) for v in table.LUTDescriptor)
    entries = entries or 1 << 16
    lut = table.LUTData
    if isinstance(lut, bytes):
        little = data.original_encoding[1] is not False
        size = 1 if len(lut) == entries else 2  # 8-bit entries may take one byte each
        lut = np.frombuffer(lut, ("<" if little else ">") + f"u{size}", count=entries)
    lut = np.atleast_1d(np.asarray(lut)).astype(np.float32)
    if len(lut) != entries or not 8 <= bits <= 16:
        raise ValueError(f"a lookup table of {len(lut)} entries of {bits} bits, not {entries} of 8 to 16")
    needed, top = float(lut.max()), float((1 << bits) - 1)
    top = needed if 0 < needed < (top + 1) / 2 else top
    return lut[np.clip(values.astype(np.int32) - first, 0, entries - 1)], top


def window(file: File, values: np.ndarray, centre: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Returns values through a window, uint8 (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Raises:
        UserError: a width that the function does not allow, or an unknown function.
    """
    if not np.isfinite([centre, width]).all() or width < (1 if function == "LINEAR" else 1e-9):
        raise UserError(f"{file}: window width {width:g} is not allowed with {function}; fix the tag or drop the file")
    if function == "LINEAR":
        share = (
            np.ones_like(values) * (values > centre - 0.5)
            if width == 1
            else (values - (centre - 0.5)) / (width - 1) + 0.5
        )
    elif function == "LINEAR_EXACT":
        share = (values - centre) / width + 0.5
    elif function == "SIGMOID":
        share = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -80, 80)))
    else:
        raise UserError(f"{file}: VOI LUT function {function!r} is unknown; fix the tag or drop the file")
    return _clip(share * 255.0)


def _clip(values: np.ndarray) -> np.ndarray:
    return np.clip(values.round(), 0, 255).astype(np.uint8)


def _first(value: Any) -> float | None:
    """Returns the first of one or several numbers; None where the tag is missing or empty."""
    if value is None or value == "":
        return None
    if isinstance(value, (str, int, float)):
        return float(value)
    return float(value[0]) if len(value) else None


def _colour(file: File, data: FileDataset, pixels: np.ndarray, kind: str) -> np.ndarray:
    """Returns colour pixels as RGB; pydicom has turned YBR into RGB already."""
    if kind == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        pixels = apply_color_lut(pixels, data)
        pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UserError(f"{file}: colour of {pixels.dtype} is not read; 8 bits a channel are, convert the file")
    return pixels

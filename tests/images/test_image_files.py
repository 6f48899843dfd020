"""Image files to 8-bit pictures: every kind of PNG and JPEG, and one line for whatever is broken."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from radrl.errors import UserError
from radrl.images.files import image_size, read_image

GREY = np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # orientation: a quarter turn clockwise is wanted
EXIF[0x010F] = "a camera named after the patient"
ORIENTED = {  # TIFF 6.0, tag 274: what is done to stored rows and columns for an upright picture
    1: lambda p: p, 2: np.fliplr, 3: lambda p: p[::-1, ::-1], 4: np.flipud,
    5: np.transpose, 6: lambda p: np.rot90(p, -1), 7: lambda p: p[::-1, ::-1].T, 8: np.rot90,
}  # fmt: skip


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(data: bytes) -> Image.Image:
        (tmp_path / "a").write_bytes(data)
        return read_image(tmp_path, "a")

    return read


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_8_bit_png_is_read_as_it_is(read, mode):
    picture = Image.fromarray(GREY).convert(mode)
    found = read(encoded(picture, "PNG"))
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(picture.convert("RGB")))


def test_jpeg(read):
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    for mode in ("L", "RGB", "CMYK"):
        found = np.asarray(read(encoded(Image.fromarray(smooth).convert(mode), "JPEG", quality=95)))
        assert found.shape == (64, 48, 3)
        assert np.abs(found.astype(int) - smooth[..., None]).max() <= 4


def test_16_bits_are_scaled_from_their_range(read):
    pixels = np.array([[1000, 1000 + 256], [1000 + 128, 1000 + 512]], dtype=np.uint16)
    found = np.asarray(read(encoded(Image.fromarray(pixels), "PNG")))
    assert found[..., 0].tolist() == [[0, 128], [64, 255]]
    flat = np.full((3, 3), 40_000, dtype=np.uint16)
    assert np.asarray(read(encoded(Image.fromarray(flat), "PNG"))).max() == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_exif_orientation_is_applied_and_all_metadata_dropped(read, kind):
    picture = Image.fromarray(np.repeat(np.arange(0, 250, 25, dtype=np.uint8)[:, None], 6, 1))  # dark above
    found = read(encoded(picture, kind, exif=EXIF))
    assert found.size == (10, 6)
    assert np.asarray(found)[3, 0, 0] > 200  # what was below is now on the left
    assert np.asarray(found)[3, -1, 0] < 30
    assert not found.info
    assert not found.getexif()


def test_what_cannot_be_read_is_said_in_one_line(tmp_path, refusal):
    inside = tmp_path / "set"
    inside.mkdir()
    whole = encoded(Image.fromarray(GREY), "PNG")
    (tmp_path / "outside.png").write_bytes(whole)
    (inside / "cut.png").write_bytes(whole[:60])
    (inside / "text.png").write_text("no image")
    (inside / "empty.png").touch()
    (inside / "image.gif").write_bytes(encoded(Image.fromarray(GREY), "GIF"))
    (inside / "film.nii.gz").write_bytes(b"\x1f\x8b\x08" + bytes(40))
    two = Image.fromarray(GREY)
    (inside / "two.tif").write_bytes(encoded(two, "TIFF", save_all=True, append_images=[two]))
    (inside / "huge.png").write_bytes(_chunks(whole, lambda name, body: struct.pack(">II", 20_000, 20_000) + body[8:]))
    (inside / "out.png").symlink_to(tmp_path / "outside.png")
    os.symlink("within.png", inside / "link.png")
    (inside / "within.png").write_bytes(whole)

    assert read_image(inside, "link.png").size == (7, 9)  # a link that stays inside is no harm
    for name, wanted in {
        "none.png": "no such image",
        "cut.png": "not a readable DICOM, PNG, JPEG, WebP, TIFF or BMP",
        "text.png": "not a readable DICOM",
        "empty.png": "not a readable DICOM",
        "image.gif": "GIF is not read (DICOM, PNG, JPEG, WebP, TIFF and BMP are)",
        "film.nii.gz": "gzip (NIfTI?) is not read",
        "two.tif": "2 pages or frames",
        "huge.png": "not a readable|is more than",
        ".": "not a readable",
        "out.png": "leads out",
        "../outside.png": "leads out",
    }.items():
        message = refusal(read_image, inside, name)
        assert name in message or name == "."
        assert any(part in message for part in wanted.split("|"))


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {"lossless": True}), ("TIFF", {}), ("BMP", {})])
def test_other_formats_are_read_as_they_are(read, kind, options):
    for mode in ("L", "RGB"):
        picture = Image.fromarray(GREY).convert(mode)
        assert np.array_equal(np.asarray(read(encoded(picture, kind, **options))), np.asarray(picture.convert("RGB")))


def test_a_16_bit_tiff_whose_zero_is_white_is_turned_round(read):
    pixels = np.array([[0, 4095], [1024, 2048]], dtype=np.uint16)
    dark, white = (encoded(Image.fromarray(pixels), "TIFF", tiffinfo={262: kind}) for kind in (1, 0))
    assert np.asarray(read(dark))[..., 0].tolist() == [[0, 255], [64, 128]]
    assert np.asarray(read(white))[..., 0].tolist() == [[255, 0], [191, 127]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize(("kind", "white_is_zero"), [("uint8", False), ("uint16", False), ("uint16", True)])
def test_a_tiff_is_upright_whatever_its_orientation(tmp_path, orientation, compression, kind, white_is_zero):
    """Pillow turns a TIFF itself when it is loaded, but not the size it was mapped into memory with."""
    pixels = np.array([[0, 51, 102], [153, 204, 255]], dtype=kind)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.tif", tiffinfo={274: orientation, 262: 0 if white_is_zero else 1}, compression=compression)
    shown = 255 - pixels if white_is_zero else pixels
    upright = np.asarray(ORIENTED[orientation](shown))
    assert np.array_equal(np.asarray(read_image(tmp_path, "a.tif"))[..., 0], upright)
    assert image_size(tmp_path, "a.tif") == upright.shape[::-1]


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_a_16_bit_png_of_several_channels_is_scaled_from_its_range(read, colour, channels):
    """Written here byte by byte: a film of 12 bits in 16, whose upper bytes alone would be all but black."""
    values = np.random.default_rng(1).integers(100, 4096, (9, 7), dtype=np.uint16)
    pixels = np.full((9, 7, channels), 65_535, dtype=np.uint16)  # alpha
    pixels[..., : 1 if channels == 2 else 3] = values[..., None]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    made = b"\x89PNG\r\n\x1a\n"
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 7, 9, 16, colour, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""),
    ):  # fmt: skip
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    wanted = (values - float(values.min())) * 255 / (float(values.max()) - values.min())
    assert np.abs(np.asarray(read(made)).astype(float) - wanted[..., None]).max() <= 0.501


def test_a_picture_that_shows_nothing_is_told_of(tmp_path, caplog):
    black = np.zeros((40, 40), dtype=np.uint8)
    black[0, :5] = 200
    (tmp_path / "black.png").write_bytes(encoded(Image.fromarray(black), "PNG"))
    (tmp_path / "film.png").write_bytes(encoded(Image.fromarray(GREY), "PNG"))
    notes: list[str] = []
    read_image(tmp_path, "film.png", notes)
    assert notes == []
    read_image(tmp_path, "black.png", notes)
    assert notes == ["99.7% of its pixels are black; look at it"]
    for _ in range(3):  # without a list it is logged, once a file
        read_image(tmp_path, "black.png")
    assert [record.message for record in caplog.records] == [f"{tmp_path}/black.png: {notes[0]}"]


def test_a_large_picture_is_read_without_a_warning(read, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # Pillow's, beyond which it warns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(encoded(Image.fromarray(GREY), "PNG")).size == (7, 9)


def _chunks(png: bytes, change) -> bytes:
    """Returns a PNG with ``change(name, body)`` done to its header chunk, and every checksum right."""
    made, at = png[:8], 8
    while at + 8 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        body = change(name, body) if name == b"IHDR" else body
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        at += 12 + length
    return made


WHOLE = [
    encoded(Image.fromarray(GREY), "PNG", exif=EXIF),
    encoded(Image.fromarray(GREY).convert("P"), "PNG", transparency=3),
    encoded(Image.fromarray(GREY.astype(np.uint16) * 200), "PNG"),
    encoded(Image.fromarray(GREY), "JPEG", exif=EXIF),
    encoded(Image.fromarray(GREY), "WEBP"),
    encoded(Image.fromarray(GREY.astype(np.uint16) * 200), "TIFF"),
    encoded(Image.fromarray(GREY), "BMP"),
]
flips = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 7)), min_size=1, max_size=4)


@pytest.mark.filterwarnings("ignore")  # Pillow tells of broken EXIF and of very large pictures
@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.sampled_from(WHOLE), flips, st.booleans()).map(lambda parts: _flipped(*parts)),
    )
)
def test_broken_data_is_a_picture_or_one_line(read, data):
    try:
        shown = read(data).mode
    except UserError as error:
        shown = str(error)
    assert shown == "RGB" or (shown.isprintable() and shown.endswith(("drop its line", "resize it")))


def _flipped(whole: bytes, bits, mended: bool) -> bytes:
    data = bytearray(whole)
    for place, bit in bits:
        data[place % len(data)] ^= 1 << bit
    # with its checksums right, broken data gets further
    return _chunks(bytes(data), lambda name, body: body) if mended and data[:4] == b"\x89PNG" else bytes(data)


def test_a_file_that_is_no_picture_is_refused_by_its_name_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(UserError) as refused:
        read_image(tmp_path, "a.png")
    assert "its format is not known" in str(refused.value)
    assert "BufferedReader" not in str(refused.value)

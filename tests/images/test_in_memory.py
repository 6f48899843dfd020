"""A file in memory is read as the same file on disk is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from radrl.images.files import read_image, read_uploaded
from radrl.images.in_memory import InMemory


def test_a_png_of_16_bits_gives_the_pixels_of_the_file(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 999).save(tmp_path / "a.png")
    picture, notes = read_uploaded(InMemory("film", (tmp_path / "a.png").read_bytes()))
    assert np.array_equal(np.asarray(picture), np.asarray(read_image(tmp_path, "a.png")))
    assert notes == []


@pytest.mark.parametrize("name", ["rg1_monochrome1_j2k_15bit.dcm", "rsna_monochrome2.dcm"])
def test_a_dicom_file_too_with_its_notes(shared_data, name):
    pytest.importorskip("pydicom")
    seen: list[str] = []
    wanted = read_image(shared_data / "dicom", name, seen)
    data = (shared_data / "dicom" / name).read_bytes()
    picture, notes = read_uploaded(InMemory("film", data))
    assert np.array_equal(np.asarray(picture), np.asarray(wanted))
    assert notes == seen
    # without the preamble only the name tells
    assert np.array_equal(np.asarray(read_uploaded(InMemory("film.dcm", data[132:]))[0]), np.asarray(wanted))


def test_what_cannot_be_read_is_one_line_that_names_no_manifest(refusal):
    black = io.BytesIO()
    Image.new("L", (9, 9)).save(black, "PNG")
    assert read_uploaded(InMemory("film", black.getvalue()))[1] == ["100.0% of its pixels are black; look at it"]
    for data in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\0" * 128 + b"DICM"):
        line = refusal(read_uploaded, InMemory("film", data))
        assert line.startswith("film: ")
        assert "drop its line" not in line or "DICOM tag" in line

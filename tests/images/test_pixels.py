"""A data URI holds the pixels and nothing else of a picture."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, PngImagePlugin

from radrl.images.pixels import data_uri

FILM = np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)


def decoded(uri: str, kind: str) -> Image.Image:
    begin, data = uri.split(",")
    assert begin == f"data:image/{kind};base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_the_pixels_come_back_without_metadata(monkeypatch):
    told = PngImagePlugin.PngInfo()
    told.add_text("PatientName", "Doe")
    file = io.BytesIO()
    Image.fromarray(FILM).save(file, "PNG", pnginfo=told)
    opened = Image.open(file)
    assert opened.info
    for uri in (data_uri(opened), data_uri(opened, "png", optimize=True)):
        assert np.array_equal(np.asarray(decoded(uri, "png")), FILM)
        assert not decoded(uri, "png").info
    monkeypatch.setattr("radrl.images.pixels.PNG_PIXELS", 10)
    assert decoded(data_uri(opened), "jpeg").size == (7, 9)
    assert len(data_uri(opened, "jpeg", quality=80)) < len(data_uri(opened))

"""Images that hold words are counted and named, and what they say is told to nobody."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from radrl.data.manifests import burned_in
from radrl.data.manifests.check import check
from radrl.data.manifests.check_report import WORDS, report_text
from radrl.data.manifests.line_checks import Asked

needs_ocr = pytest.mark.skipif(burned_in.missing() is not None, reason="RapidOCR is not installed")
SAID = "DOE JANE 1950"


def film(text: str = "", size: int = 16, at: tuple[int, int] = (40, 60)) -> Image.Image:
    """A picture with the shades and the grain of a chest film, and text in it as devices burn it in."""
    y, x = np.mgrid[0:600, 0:640]
    shades = (
        80 + 90 * np.exp(-(((x - 320) / 110) ** 2)) - 40 * np.exp(-(((x - 180) / 90) ** 2 + ((y - 280) / 180) ** 2))
    )
    grey = shades + np.random.default_rng(0).normal(0, 8, shades.shape)
    picture = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(picture).text(at, text, fill=(255, 255, 255), font=ImageFont.load_default(size))
    return picture


@pytest.fixture
def manifest(tmp_path):
    pictures = {"clean": film(), "name": film(SAID), "date": film("01/02/1950", 14, (450, 560)), "mark": film("L", 40)}
    lines = []
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        example = {
            "id": name,
            "task": "report",
            "question": "?",
            "images": [f"{name}.png"],
            "reference": "Clear lungs.",
        }
        lines.append(json.dumps(example) + "\n")
    (tmp_path / "train.jsonl").write_text("".join(lines))
    return tmp_path / "train.jsonl"


def named(report) -> list[str]:
    return [problem.why.partition(".png")[0] for problem in report.problems if problem.kind == WORDS]


@needs_ocr
@pytest.mark.parametrize("workers", [1, 2])
def test_images_with_words_are_named_and_the_words_are_not(manifest, workers):
    report = check([manifest], Asked(("en",)), burned_in_text=True, workers=workers)
    assert named(report) == ["name", "date"]  # a side mark says nothing of a person
    said = report_text(report)
    assert f"{2:>10}  {WORDS}" in said
    assert not any(word in said for word in (*SAID.split(), "01/02"))


@needs_ocr
def test_no_network_is_asked(manifest):
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise RuntimeError('asked the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from radrl.commands.main import main\nmain()\n"
    )
    arguments = ("data", "check", str(manifest), "--burned-in-text", "--workers", "1")
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 1, done.stderr
    assert f"{2:>10}  {WORDS}" in done.stdout
    assert not any(word in done.stdout + done.stderr for word in SAID.split())


def test_every_image_is_asked_about_only_where_it_is_wanted(manifest, monkeypatch):
    """Without RapidOCR: every picture that is not the clean one is taken for one with words."""
    monkeypatch.setattr(burned_in, "missing", lambda: None)
    monkeypatch.setattr(burned_in, "holds_words", lambda picture: picture.tobytes() != film().tobytes())
    assert named(check([manifest], Asked(("en",)), burned_in_text=True)) == ["name", "date", "mark"]
    report = check([manifest], Asked(("en",)))
    assert named(report) == []
    assert f"{'not asked':>10}  {WORDS}" in report_text(report)


def test_a_missing_extra_is_said_before_anything_is_read(manifest, monkeypatch, refusal):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'radrl[burned-in]'" in refusal(check, [manifest], Asked(("en",)), burned_in_text=True)
    monkeypatch.undo()
    assert "leave --no-images out" in refusal(check, [manifest], Asked(("en",)), images=False, burned_in_text=True)

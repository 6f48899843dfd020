"""The contact sheet: a seeded draw, filters, boxes where they belong, nothing that runs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from radrl.output.page.sheet import write_sheet


@pytest.fixture
def manifests(tmp_path):
    pixels = np.zeros((50, 100), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    box = {"xyxy": [0.1, 0.2, 0.3, 0.6], "label": "<b>mass</b>"}
    rows = [
        {"id": f"g{k}", "task": "grounding", "question": "Where?", "images": ["a.png"], "boxes": [box], "source": "one"}
        for k in range(40)
    ]
    rows += [
        {"id": f"q{k}", "task": "vqa_open", "question": "What?", "reference": "x", "images": ["no.png"]}
        for k in range(40)
    ]
    for name, of in (("train", rows[::2]), ("test", rows[1::2])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in of))
    return [tmp_path / "train.jsonl", tmp_path / "test.jsonl"]


def test_a_seed_draws_the_same_and_every_example_may_come(tmp_path, manifests):
    page = tmp_path / "page.html"
    assert write_sheet(page, manifests, 10) == (10, 80)
    first = page.read_text()
    write_sheet(page, manifests, 10)
    assert page.read_text() == first
    write_sheet(page, manifests, 10, seed=1)
    assert page.read_text() != first
    shown = set()
    for seed in range(40):
        write_sheet(page, manifests, 10, seed=seed, tasks=["vqa_open"])
        shown |= set(re.findall(r"<span>(\w+\.jsonl:\d+)</span>", page.read_text()))
    assert len(shown) == 40


def test_boxes_labels_and_filters(tmp_path, manifests):
    page = tmp_path / "page.html"
    assert write_sheet(page, manifests, 500, sources=["one"]) == (40, 40)
    html = page.read_text()
    assert 'viewBox="0 0 1000 500"' in html
    assert 'x="100" y="100" width="200" height="200"' in html
    assert "&lt;b&gt;mass" in html
    assert "<b>mass" not in html
    assert "<script" not in html
    assert {'id="split-1"', 'id="split-2"'} <= set(re.findall(r'id="split-\d"', html))
    write_sheet(page, manifests, 500)
    html = page.read_text()
    assert "no such image" in html
    assert 'id="task-2"' in html


def test_what_cannot_be_shown_is_said(tmp_path, manifests, refusal):
    assert "did you mean 'grounding'" in refusal(write_sheet, tmp_path / "p.html", manifests, 5, tasks=["groundin"])
    assert "no Example other" in refusal(write_sheet, tmp_path / "p.html", manifests, 5, sources=["other"])

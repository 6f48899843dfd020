"""Lung boxes on real X-rays: which film is held out, where the boxes lie, what a wrong line says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radrl.data.covid_lungs import HELD_OUT, prepare
from radrl.data.examples import read_manifests


def film(number: int, **changes) -> dict:
    return {
        "image": f"films/{number:03d}.jpg",
        "size": [400, 500],
        "lung_boxes": [
            {"label": "Left lung", "xyxy": [220, 100, 380, 400]},
            {"label": "Right lung", "xyxy": [20, 100, 180, 500.4]},  # half a pixel over the edge
        ],
        **changes,
    }


@pytest.fixture
def published(tmp_path):
    """A folder as published, of 43 films."""
    (tmp_path / "in/films").mkdir(parents=True)
    rows = [film(k) for k in range(HELD_OUT + 3)]
    for row in rows:
        Image.fromarray(np.full((500, 400), 90, np.uint8)).save(tmp_path / "in" / row["image"])
    write(tmp_path, rows[::-1])
    return tmp_path


def write(folder, rows):
    (folder / "in/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_films_are_split_by_name_and_shrunk_with_their_boxes(published):
    out = published / "out"
    assert prepare(published / "in", out, max_side=320) == {"train": 3, "test": HELD_OUT}
    train, test = (read_manifests([out / f"{split}.jsonl"]) for split in ("train", "test"))
    assert [e.meta["file"] for e in train] == ["films/000.jpg", "films/001.jpg", "films/002.jpg"]
    assert not {e.images for e in train} & {e.images for e in test}
    assert train.pictures(0)[0].size == (256, 320)
    right, left = train[0].boxes
    assert (right.label, left.label) == ("right lung", "left lung")
    assert right.xyxy == pytest.approx((0.05, 0.2, 0.45, 1))
    assert left.xyxy == pytest.approx((0.55, 0.2, 0.95, 0.8))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("{", ":1: not a film"),
        ("{}", ":1: not a film"),
        ("[]", ":1: not a film"),
        (json.dumps(film(0, lung_boxes=[])), "one left and one right"),
        (json.dumps(film(0, size=[0, 0])), ":1: not a film"),
        (json.dumps(film(0, lung_boxes=[{"label": "left lung", "xyxy": [9, 0, 3, 9]}])), ":1: not a film"),
        (json.dumps(film(0, lung_boxes=[{"label": 3, "xyxy": [0, 0, 9, 9]}])), ":1: not a film"),
        (json.dumps(film(0)), "1 films, but 40"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_written(tmp_path, refusal, line, wanted):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/metadata.jsonl").write_text(line + "\n")
    message = refusal(prepare, tmp_path / "in", tmp_path / "out")
    assert "metadata.jsonl" in message
    assert wanted in message
    assert not (tmp_path / "out").exists()


def test_a_missing_film_leaves_the_older_data_set(published, refusal):
    prepare(published / "in", published / "out")
    before = (published / "out/train.jsonl").read_bytes()
    (published / "in/films/020.jpg").unlink()
    assert "020.jpg" in refusal(prepare, published / "in", published / "out")
    assert (published / "out/train.jsonl").read_bytes() == before
    assert sorted(p.name for p in published.iterdir()) == ["in", "out"]  # no half of a new one beside it


def test_no_other_files_are_overwritten(published, refusal, monkeypatch):
    monkeypatch.chdir(published / "in")
    for out in (".", "..", "metadata.jsonl"):
        assert "holds other files" in refusal(prepare, published / "in", Path(out))
    assert len(list((published / "in/films").iterdir())) == HELD_OUT + 3


def test_the_published_films(shared_data, tmp_path):
    root = shared_data / "covid_lungs"
    if not (root / "metadata.jsonl").is_file():
        pytest.skip(f"no lung boxes at {root}")
    counts = prepare(root, tmp_path / "out", max_side=64)
    assert counts["test"] == HELD_OUT
    assert counts["train"] > HELD_OUT
    examples = read_manifests([tmp_path / "out/train.jsonl", tmp_path / "out/test.jsonl"])
    right_is_on_the_left = [e.boxes[0].xyxy[0] < e.boxes[1].xyxy[0] for e in examples]
    assert all(right_is_on_the_left)

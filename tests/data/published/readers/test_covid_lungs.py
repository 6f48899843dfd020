"""Lung boxes on real X-rays: which film is held out, where the boxes lie, what a wrong line says."""

from __future__ import annotations

import hashlib
import json

import PIL
import pytest
import sets

from radrl.data.published.readers.covid_lungs import DOUBLES, HELD_OUT, READER
from radrl.manifest.example_set import read_manifests

film = sets.module("covid_lungs").film


def test_films_are_split_by_name_and_shrunk_with_their_boxes(tmp_path, prepared):
    root, out = sets.write("covid_lungs", tmp_path / "in"), tmp_path / "out"
    assert prepared("covid_lungs", root, out, ("detect",), max_side=320).examples == {"train": 3, "test": HELD_OUT}
    train, test = (read_manifests([out / f"{split}.jsonl"]) for split in ("train", "test"))
    assert [e.id for e in train] == [f"covid_lungs/films/00{k}.jpg" for k in range(3)]
    assert not {e.images for e in train} & {e.images for e in test}
    assert train.pictures(0)[0].size == (256, 320)
    assert train[0].question == "Locate the right lung and the left lung."
    assert train[0].reference == "right lung, left lung"
    right, left = train[0].boxes
    assert (right.label, left.label) == ("right lung", "left lung")
    assert right.xyxy == pytest.approx((0.05, 0.2, 0.45, 1))
    assert left.xyxy == pytest.approx((0.55, 0.2, 0.95, 0.8))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{}",
        "[]",
        json.dumps(film(0, lung_boxes=[])),
        json.dumps(film(0, size=[0, 0])),
        json.dumps(film(0, lung_boxes=[{"label": "left lung", "xyxy": [9, 0, 3, 9]}])),
        json.dumps(film(0, lung_boxes=[{"label": 3, "xyxy": [0, 0, 9, 9]}])),
    ],
)
def test_a_wrong_line_is_named(tmp_path, refusal, prepared, line):
    root = sets.write("covid_lungs", tmp_path / "in")
    with (root / "metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    message = refusal(prepared, "covid_lungs", root, tmp_path / "out", ("detect",))
    assert "metadata.jsonl:44" in message
    assert ("not JSON" if line == "{" else "not a film with lung boxes") in message


def test_a_part_of_the_films_is_refused(tmp_path, refusal):
    (tmp_path / "metadata.jsonl").write_text(json.dumps(film(0)) + "\n")
    assert "1 films, but 40" in refusal(list, READER.read(tmp_path, {}))


def test_the_published_films(shared_data, tmp_path, prepared):
    root = shared_data / "covid_lungs"
    if not (root / "metadata.jsonl").is_file():
        pytest.skip(f"no lung boxes at {root}")
    counts = prepared("covid_lungs", root, tmp_path / "out", ("detect",), max_side=192).examples
    examples = read_manifests([tmp_path / "out/train.jsonl", tmp_path / "out/test.jsonl"])
    assert counts == {"train": 196, "test": HELD_OUT}  # four of 240 stand twice
    assert not {e.meta["file"] for e in examples} & DOUBLES
    assert all(e.boxes[0].xyxy[0] < e.boxes[1].xyxy[0] for e in examples)  # the right lung is on the left
    # pixels and boxes that the figures of recipes/lungs.yaml were made with
    assert digest(examples) == LUNGS[PIL.__version__.partition(".")[0]]


def digest(examples) -> str:
    sha = hashlib.sha256()
    for index, example in enumerate(examples):
        sha.update(
            example.model_copy(update={"images": ()})
            .model_dump_json(exclude={"history", "labels", "label_set"})
            .encode()
        )
        sha.update(examples.pictures(index)[0].convert("L").tobytes())
    return sha.hexdigest()[:16]


# Pillow 12 and 13 decode 42 of the JPEGs differently, by up to 17 grey values in a pixel
LUNGS = {"12": "47bc82827fe16a97", "13": "2a5bb8cf491eba1e"}

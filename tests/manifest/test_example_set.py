"""Several manifests as one set, each with its own image folder."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest

from radrl.manifest.example_set import read_manifests


@pytest.fixture
def two(tmp_path, phantom_set):
    """Two manifests in different folders, each with the same relative image path."""
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(phantom_set / "images/train/00000.png", tmp_path / name / "film.png")
        rows = [{"id": f"{name}{k}", "task": "report", "question": "q", "images": ["film.png"]} for k in range(2)]
        made.append(tmp_path / name / "m.jsonl")
        made[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_each_example_keeps_its_folder_and_order(two):
    examples = read_manifests(two)
    assert [e.id for e in examples] == ["a0", "a1", "b0", "b1"]
    assert [root.name for root in examples.take([3, 0]).roots] == ["b", "a"]
    assert [e.id for e in examples.where(lambda e: e.id.endswith("1"))] == ["a1", "b1"]


def test_equal_paths_share_one_picture(two):
    examples = read_manifests(two)
    pictures = [examples.pictures(i)[0] for i in range(4)]
    assert pictures[0] is pictures[1]
    assert pictures[2] is pictures[3]
    assert pictures[0] is not pictures[2]  # the same name in another folder is another file


def test_a_missing_image_and_a_second_id_are_named(two, refusal):
    (two[1].parent / "film.png").unlink()
    message = refusal(read_manifests, two)
    assert all(part in message for part in (str(two[1]), "'film.png'", "'b0'", "is missing"))
    shutil.copy(two[0].parent / "film.png", two[1].parent / "film.png")
    two[1].write_text(two[1].read_text().replace("b1", "a1"))
    message = refusal(read_manifests, two)
    assert all(part in message for part in (str(two[1]), str(two[0]), "'a1'"))


def test_a_set_survives_pickling(examples):
    again = pickle.loads(pickle.dumps(examples))
    assert list(again) == list(examples)
    assert again.roots == examples.roots
    assert again.pictures(0)[0].tobytes() == examples.pictures(0)[0].tobytes()

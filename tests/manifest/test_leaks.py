"""What test data share with training data is found whatever it is called there, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from radrl.manifest import leaks
from radrl.manifest.example_set import read_manifests


@pytest.fixture
def sets(tmp_path):
    """``sets(train, test)`` writes two manifests in folders of their own; an Example is a mapping of its fields, with
    ``film`` for the number of the film that it shows. Returns the sets as (test, train)."""

    def make(train, test):
        made = []
        for split, rows in (("train", train), ("test", test)):
            folder = tmp_path / split
            folder.mkdir(exist_ok=True)
            lines = []
            for k, row in enumerate(rows):
                fields = {"id": f"{split}{k}", "task": "vqa_open", "question": "Is it?", "reference": "yes"} | row
                film = fields.pop("film", None)
                if film is not None:
                    pixels = np.random.default_rng(film).integers(0, 255, (40, 40)).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / f"{k}.bmp")  # files of one size, whatever they show
                    fields["images"] = [f"{k}.bmp"]
                lines.append(json.dumps(fields))
            (folder / f"{split}.jsonl").write_text("\n".join(lines))
            made.append(read_manifests([folder / f"{split}.jsonl"]))
        return made[1], made[0]

    make.folder = tmp_path
    return make


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ({"patient": "1"}, {"patient": "1"}, "1 patient"),
        ({"patient": "1", "source": "mimic_cxr"}, {"patient": "1", "source": "ms_cxr"}, "1 patient"),
        ({"patient": "1", "source": "mimic_cxr"}, {"patient": "1", "source": "padchest"}, ""),
        ({"study": "PMC1", "film": 1}, {"study": "PMC1", "film": 2}, "1 study"),  # two figures of an article
        ({"study": "s1", "patient": "1"}, {"study": "s1"}, "1 study"),
        ({"study": "s1", "patient": "1"}, {"study": "s1", "patient": "2"}, ""),  # studies counted within patients
        ({"film": 1}, {"film": 1}, "1 image"),  # the same bytes under another path
        ({"film": 1, "patient": "1"}, {"film": 1, "patient": "2"}, "1 image"),
        ({"film": 1}, {"film": 2}, ""),  # 0.bmp in both folders
        ({"id": "7"}, {"id": "7"}, "1 Example"),
        ({"id": "7"}, {"id": "7", "question": "Where?"}, ""),
        ({"id": "7", "film": 1}, {"id": "7", "film": 2}, ""),
    ],
)
def test_each_kind_of_leak_is_found_and_no_other(sets, train, test, said):
    bystander = {"patient": "99", "study": "s99", "film": 99}
    found = leaks.find_leaks(*sets([bystander, train], [{"patient": "98", "film": 98}, test]))
    assert (found.in_words if found.examples else "") == said
    assert (found.examples, found.first) == ((1, test.get("id", "test1")) if said else (0, ""))
    assert found.compared == found.files


def test_counts_are_of_examples_and_of_what_they_share(sets):
    train = [{"patient": "1", "film": 1}, {"patient": "2", "film": 2}, {"film": 3}]
    test = [{"patient": "1", "film": k} for k in (10, 11, 12)] + [{"film": 3}, {"film": 13}, {"patient": "2"}]
    found = leaks.find_leaks(*sets(train, test))
    assert found.in_words == "2 patients and 1 image"
    assert (found.examples, found.first) == (5, "test0")


def test_a_file_is_itself_whatever_link_leads_there(sets):
    test, train = sets([{"film": 1}], [{"film": 2}])
    assert not leaks.find_leaks(test, train).examples
    os.unlink(sets.folder / "test/0.bmp")
    (sets.folder / "test/0.bmp").symlink_to("../train/0.bmp")
    test = read_manifests([sets.folder / "test/test.jsonl"])
    assert leaks.find_leaks(test, train).in_words == "1 image"


def test_only_what_a_set_keeps_can_leak(sets):
    test, train = sets([{"film": 1}, {"patient": "1"}], [{"film": 1}, {"patient": "1"}])
    assert leaks.find_leaks(test, train.take([])).examples == 0
    assert leaks.find_leaks(test.take([1]), train).in_words == "1 patient"
    assert leaks.find_leaks(test, train.take([0])).in_words == "1 image"


def test_bytes_are_not_compared_where_too_many_files_are_as_large_and_that_is_counted(sets, monkeypatch):
    test, train = sets([{"film": k} for k in range(4)], [{"film": 0}, {"film": 9}])
    shutil.copy(sets.folder / "train/3.bmp", sets.folder / "test/1.bmp")
    with (sets.folder / "test/1.bmp").open("ab") as file:
        file.write(b"\0")
    test = read_manifests([sets.folder / "test/test.jsonl"])
    assert leaks.find_leaks(test, train)[:1] == (1,)
    monkeypatch.setattr(leaks, "MOST_READ", 3)
    found = leaks.find_leaks(test, train)
    assert (found.examples, found.files, found.compared) == (0, 2, 1)  # the longer file is like no other

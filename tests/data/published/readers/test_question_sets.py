"""Question-answer sets: splits, options, languages, accepted answers, and the published counts where they are here."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter

import pytest
import sets

from radrl.data.published.readers import reader
from radrl.data.published.record import Record, chosen_options
from radrl.example import Answer, Example
from radrl.manifest.example_set import read_manifests
from radrl.prompt.messages import PromptStyle, question, target
from radrl.scoring.vqa import is_right, token_f1

COUNTS = {
    ("vqa_rad", ()): {"train": 4, "test": 2},
    ("vqa_rad", ("duplicates=drop",)): {"train": 3, "test": 2},
    ("slake", ()): {"train": 2, "dev": 1, "test": 1},
    ("slake", ("language=en",)): {"train": 2},
    ("path_vqa", ()): {"train": 3, "dev": 1, "test": 1},
    ("path_vqa", ("duplicates=drop",)): {"train": 2, "dev": 1, "test": 1},
    ("pmc_vqa", ()): {"train": 1, "test": 1},
    ("pmc_vqa", ("version=2",)): {"train": 1, "test": 1},
    ("omni_med_vqa", ()): {"test": 2},
    ("omni_med_vqa", ("access=all",)): {"test": 3},
    ("vqa_med", ()): {"train": 2, "test": 3},
    ("vqa_med", ("year=2020",)): {"train": 1, "test": 2},
    ("vqa_med", ("year=2021",)): {"test": 1},
}


@pytest.mark.parametrize(("name", "options"), COUNTS, ids=str)
def test_made_up_copies_are_prepared(tmp_path, prepared, name, options):
    root, out = sets.write(name, tmp_path / "in"), tmp_path / "out"
    summary = prepared(name, root, out, ("qa",), options=dict(option.split("=") for option in options))
    assert summary.examples == COUNTS[name, options]
    examples = read_manifests(sorted(out.glob("t*.jsonl")))
    assert all(example.reference and example.meta["language"] in ("en", "zh") for example in examples)


def records(name, root, **options):
    return {r.id: r for r in reader(name).read(root, chosen_options(reader(name), options)) if isinstance(r, Record)}


def skipped(name, root, **options):
    found = reader(name).read(root, chosen_options(reader(name), options))
    return Counter(item.why for item in found if not isinstance(item, Record))


def test_closed_questions_have_their_options_and_others_none(tmp_path):
    found = records("vqa_rad", sets.write("vqa_rad", tmp_path))
    assert found["0"].questions[0].choices == ("Yes", "No")
    assert found["1"].questions[0][2:4] == ("left", ())
    assert found["1"].meta["answer_type"] == "CLOSED"
    assert found["2"].questions[0].answer == "2"
    assert found["3"].patient == "2-case"
    assert {r.split for r in records("vqa_rad", tmp_path, split="image").values()} == {None}


def test_options_lose_their_letters_and_the_letter_names_the_answer(tmp_path):
    root = sets.write("pmc_vqa", tmp_path)
    asked = records("pmc_vqa", root)["train/2"].questions[0]
    assert asked.choices == ("Diffuse uptake pattern", "Focal uptake pattern", "No uptake pattern", "Cannot determine")
    assert asked.answer == "Focal uptake pattern"
    assert records("pmc_vqa", root, version="2")["train_2/2"].questions[0].answer == "Cannot determine"
    assert skipped("pmc_vqa", root) == {"an option is empty": 1, "two options are the same": 1}


def test_options_of_omni_med_vqa_are_as_many_as_there_are(tmp_path):
    root = sets.write("omni_med_vqa", tmp_path)
    found = records("omni_med_vqa", root, access="all")
    assert [len(r.questions[0].choices) for r in found.values()] == [2, 4, 3]
    assert found["Chest CT Scan/ACRIMA_0002"].meta["modality"] == "CT(Computed Tomography)"
    assert skipped("omni_med_vqa", root) == {"the answer is none of the options": 1}


def test_any_accepted_answer_of_vqa_med_is_right(tmp_path, prepared):
    root, out = sets.write("vqa_med", tmp_path / "in"), tmp_path / "out"
    prepared("vqa_med", root, out, ("qa",))
    organ, lesion, contrast = read_manifests([out / "test.jsonl"])
    assert organ.reference == "face, sinuses, and neck"
    assert contrast.choices == ("yes", "no")
    right = [(organ, ("Skull and contents", "face, sinuses and neck")), (lesion, ("Septic cerebral emboli",))]
    for example, texts in right:
        assert all(is_right(example, Answer(text)) for text in (*texts, example.reference))
        assert token_f1([example], [Answer(texts[0])])[0].value == 1
    assert lesion.reference == "angioinvasive aspergillosis with septic cerebral emboli"
    assert not is_right(organ, Answer("skull"))
    assert skipped("vqa_med", root, year="2021") == {"no answer": 1}


@pytest.mark.parametrize(
    "content",
    [pickle.dumps([print]), pickle.dumps([1.5]), pickle.dumps({"a": "b"}), b"\x80\x04]", b"", b"cos\nsystem\n."],
)
def test_a_pickle_that_would_run_something_is_refused(tmp_path, refusal, content):
    root = sets.write("path_vqa", tmp_path)
    (root / "qas/train/train_qa.pkl").write_bytes(content)
    message = refusal(list, reader("path_vqa").read(root, {"duplicates": "keep"}))
    assert "not a pickled list of plain data" in message


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vqa_rad", "VQA_RAD Dataset Public.json"),
        ("slake", "test.json"),
        ("path_vqa", "qas/val/val_qa.pkl"),
        ("omni_med_vqa", "QA_information/Open-access/ACRIMA.json"),
    ],
)
def test_a_file_that_is_cut_off_is_named(tmp_path, refusal, name, file):
    root = sets.write(name, tmp_path)
    whole = (root / file).read_bytes()
    (root / file).write_bytes(whole[: len(whole) // 2])
    found = reader(name)
    assert file.rpartition("/")[2] in refusal(list, found.read(root, chosen_options(found, {})))


@pytest.mark.parametrize("row", [{}, [], 3, {"qid": []}, {"phrase_type": "x"}, {"answer": None}, {"image_name": True}])
def test_a_broken_record_is_bad_and_the_next_one_read(tmp_path, row):
    root = sets.write("vqa_rad", tmp_path)
    file = root / "VQA_RAD Dataset Public.json"
    rows = json.loads(file.read_text())
    rows[0] = {**rows[0], **row} if isinstance(row, dict) and row else row
    file.write_text(json.dumps(rows))
    first, second, *_ = reader("vqa_rad").read(root, {"split": "official", "duplicates": "drop"})
    assert first.bad
    assert "item 1" in first.where
    assert second.id == "1"


def test_paths_that_lead_out_are_bad_records(tmp_path, prepared):
    root, out = sets.write("slake", tmp_path / "in"), tmp_path / "out"
    rows = json.loads((root / "test.json").read_text())
    (root / "test.json").write_text(json.dumps([{**rows[0], "img_name": "../../secret.jpg"}]))
    assert prepared("slake", root, out, ("qa",), skip_bad=True).bad == {"not usable": 1}


def test_the_published_vqa_rad(shared_data):
    root = shared_data / "vqa_rad_text"
    found = records("vqa_rad", root)
    assert Counter(r.split for r in found.values()) == {"train": 1797, "test": 451}
    assert len({r.images for r in found.values()}) == 314
    types = Counter((r.split, r.meta["answer_type"]) for r in found.values())
    assert (types["test", "CLOSED"], types["test", "OPEN"]) == (272, 179)
    assert skipped("vqa_rad", root, duplicates="drop") == {"stands twice": 4}


def test_the_published_images_of_vqa_rad(shared_data, tmp_path, prepared):
    subset = [json.loads(line) for line in (shared_data / "vqa_rad_subset/vqa_rad_subset.jsonl").open()]
    names = {row["image"].rpartition("/")[2] for row in subset}
    rows = json.load((shared_data / "vqa_rad_text/vqa_rad_dataset_public.json").open())
    root = tmp_path / "in"
    shutil.copytree(shared_data / "vqa_rad_subset/images", root / "VQA_RAD Image Folder")
    (root / "VQA_RAD Dataset Public.json").write_text(json.dumps([r for r in rows if r["image_name"] in names]))
    counts = prepared("vqa_rad", root, tmp_path / "out", ("qa",), max_side=64).examples
    assert counts == {"train": 162, "test": 39}
    examples = read_manifests([tmp_path / "out/train.jsonl", tmp_path / "out/test.jsonl"])
    assert len({e.images for e in examples}) == 28
    assert Counter(e.question for e in examples) == Counter(row["question"] for row in subset)
    asked = next(e for e in examples if e.task == "vqa_closed")
    assert question(asked, PromptStyle()) == asked.question
    assert target(asked, PromptStyle()).lower() in ("yes", "no")


def test_the_published_slake(shared_data):
    root = shared_data / "slake_text"
    found = records("slake", root)
    counts = {"train": (4918, 4916), "dev": (1053, 1046), "test": (1061, 1033)}
    by = Counter((r.split, r.meta["language"]) for r in found.values())
    assert {split: (by[split, "en"], by[split, "zh"]) for split in counts} == counts
    assert skipped("slake", root) == {"no answer": 1}  # 4,919 English questions train, one has no answer
    assert Counter(r.split for r in found.values() if r.questions[0].choices)["test"] == 355


def test_no_answers_besides_the_reference_change_nothing():
    example = Example(id="a", task="vqa_open", question="q", reference="left", meta={"answers": "right"})
    assert not is_right(example, Answer("right"))
    assert is_right(example, Answer("left"))

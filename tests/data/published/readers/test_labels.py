"""Labels: present, absent, doubtful and blank stay apart, from the cell to the answer."""

from __future__ import annotations

import json

import pytest
import sets
from test_reports import read

from radrl.data.published.readers._common import CHEXPERT14
from radrl.data.published.readers.vindr_labels import NEEDED


def asked(out):
    return {e["id"]: e for file in sorted(out.glob("*.jsonl")) for e in map(json.loads, file.open()) if "task" in e}


def test_chexpert_cells(tmp_path):
    root = sets.write("chexpert", tmp_path)
    first, doubtful, lateral, silent, valid = read("chexpert", root)
    assert first.labels == {"pneumothorax": "absent", "support devices": "present"}
    assert doubtful.labels == {
        "cardiomegaly": "uncertain", "lung opacity": "present", "edema": "uncertain", "consolidation": "uncertain",
        "atelectasis": "uncertain", "pleural effusion": "uncertain", "fracture": "present",
    }  # fmt: skip
    assert lateral.why == "a lateral view"
    assert (silent.labels, silent.lacks) == (None, "no label is set, not even No Finding")
    assert len(valid.labels) == 13
    assert (first.split, valid.split, doubtful.patient) == ("train", "dev", "patient00002")
    assert sum(hasattr(item, "labels") for item in read("chexpert", root, view="all")) == 5


def test_chexpert_paths_of_the_released_test_table_begin_with_the_split(tmp_path):
    root = sets.write("chexpert", tmp_path)
    table = root / "valid.csv"
    table.write_text(table.read_text().replace("CheXpert-v1.0/", "").replace("CheXpert-v1.0-small/", ""))
    assert read("chexpert", root)[-1].images[0].startswith("valid/")


@pytest.mark.parametrize(
    ("uncertain", "answer", "closed"),
    [
        ("mention", "Lung opacity, fracture, possible cardiomegaly, possible edema, possible consolidation, "
                    "possible atelectasis, possible pleural effusion.", 2),
        ("present", "Cardiomegaly, lung opacity, edema, consolidation, atelectasis, pleural effusion, fracture.", 7),
        ("absent", "Lung opacity, fracture.", 7),
        ("skip", None, 2),
    ],
)  # fmt: skip
def test_what_becomes_of_doubt(tmp_path, prepared, uncertain, answer, closed):
    root = sets.write("chexpert", tmp_path / "in")
    prepared("chexpert", root, tmp_path / "out", ("list", "yesno"), uncertain=uncertain)
    found = asked(tmp_path / "out")
    name = "chexpert/train/patient00002/study2/view1_frontal.jpg"
    assert found.get(f"{name}/list", {}).get("reference") == answer
    answers = {key: e["reference"] for key, e in found.items() if key.startswith(f"{name}/yesno/")}
    assert len(answers) == closed
    assert answers.get(f"{name}/yesno/edema") == {"present": "yes", "absent": "no"}.get(uncertain)
    assert answers[f"{name}/yesno/fracture"] == "yes"


def test_no_finding_is_said(tmp_path, prepared):
    root = sets.write("nih14", tmp_path / "in")
    prepared("nih14", root, tmp_path / "out", ("list", "yesno"))
    found = asked(tmp_path / "out")
    assert found["nih14/00000002_000.png/list"]["reference"] == "No finding."
    both = found["nih14/00000001_001.png/list"]
    assert (both["task"], both["reference"]) == ("classification", "Cardiomegaly, pleural thickening.")
    assert (both["labels"], len(both["label_set"])) == (["cardiomegaly", "pleural thickening"], 14)
    assert "labels" not in found["nih14/00000002_000.png/list"]
    assert sum(e["reference"] == "yes" for e in found.values() if e["task"] == "vqa_closed") == 3
    assert len(found) == 3 * 15


def test_mimic_labels_are_those_of_the_study(tmp_path, prepared):
    root = sets.write("mimic_cxr", tmp_path / "in")
    summary = prepared("mimic_cxr", root, tmp_path / "out", ("list",))
    found = asked(tmp_path / "out")
    assert found["mimic_cxr/s50414267/02aa804e-bde0afdd/list"]["reference"] == "No finding."
    doubtful = found["mimic_cxr/s53189527/2a2277a9-b0ded155/list"]
    assert doubtful["reference"] == "Edema, support devices, possible cardiomegaly."
    assert doubtful["labels"] == ["cardiomegaly", "edema", "support devices"]  # one in doubt counts as named
    assert doubtful["label_set"] == [label.lower() for label in CHEXPERT14 if label != "No Finding"]
    assert summary.examples == {"train": 2}


def test_vindr_votes(tmp_path):
    root = sets.write("vindr_labels", tmp_path)

    def present(**options):
        records = read("vindr_labels", root, **options)
        return [r.lacks or sorted(k for k, p in r.labels.items() if p == "present") for r in records]

    assert present() == [["cardiomegaly"], [], "the readers agree on no label", ["COPD", "other disease"]]
    assert present(vote="any")[:3] == [["cardiomegaly", "edema", "pneumonia"], ["ILD"], ["ILD", "edema"]]
    assert present(vote="all")[:2] == ["the readers agree on no label"] * 2
    assert {n: [NEEDED[rule](n) for rule in NEEDED] for n in (1, 2, 3, 4)} == {
        1: [1, 1, 1],
        2: [1, 2, 2],  # one of two is half, no majority
        3: [1, 2, 3],
        4: [1, 3, 4],
    }

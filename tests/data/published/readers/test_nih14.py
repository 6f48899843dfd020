"""ChestX-ray14: its labels, its split, and the films that are here."""

from __future__ import annotations

import json

import sets

from radrl.data.published.readers.nih14 import READER

LABELS = 14


def test_labels_patients_and_the_official_split(tmp_path):
    first, second, third = READER.read(sets.write("nih14", tmp_path), {})
    assert first.images == ("images_001/images/00000001_000.png",)
    assert (first.patient, first.split, third.split) == ("1", "train", "test")
    assert len(second.labels) == LABELS
    assert [label for label, p in second.labels.items() if p == "present"] == ["cardiomegaly", "pleural thickening"]
    assert set(third.labels.values()) == {"absent"}


def test_the_films_that_are_here(shared_data, tmp_path):
    rows = [json.loads(line) for line in (shared_data / "nih_cxr14/metadata.jsonl").open()]
    lines = [
        f"{r['nih_file']},{'|'.join(r['labels']) or 'No Finding'},0,{r['patient']},{r['age']},{r['sex']},{r['view']}"
        for r in rows
    ]
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    sets.csv(tmp_path / "Data_Entry_2017_v2020.csv", header, *lines)
    (tmp_path / "test_list.txt").write_text("")
    records = list(READER.read(tmp_path, {}))
    assert len(records) == 621
    for record, row in zip(records, rows, strict=True):
        present = {label for label, p in record.labels.items() if p == "present"}
        assert present == {label.replace("_", " ").lower() for label in row["labels"]} - {"no finding"}


def test_a_published_table_of_the_same_form(shared_data, tmp_path):
    """Google's labels of 4,376 of the films stand in a gzipped table with the same first columns."""
    table = shared_data / "cxr_annotations/google2019_nih-chest-xray-labels.csv.gz"
    (tmp_path / "Data_Entry_2017_v2020.csv.gz").write_bytes(table.read_bytes())
    (tmp_path / "test_list.txt").write_text("")
    assert sum(1 for record in READER.read(tmp_path, {}) if hasattr(record, "labels")) == 4376

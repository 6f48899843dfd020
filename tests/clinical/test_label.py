"""Reports to labels: the CheXpert labeler's samples, the file formats, and any bytes as input."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_folder import SHARED

from radrl.clinical.label import labels, schemas, write_labels
from radrl.errors import UserError

DATA = SHARED / "chexpert_labeler"
# docs/clinical.md argues each: (sample, column): (labeler, ours)
DIFFERENCES: dict[tuple[int, str], tuple[str, str]] = {}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no CheXpert labeler samples at {DATA}")
def test_samples_of_the_chexpert_labeler():
    with (DATA / "labeled_reports.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for number, row in enumerate(rows, 1):
        for column, ours in labels(row["Reports"], "chexpert14").items():
            theirs = row[column].removesuffix(".0")
            ours = "" if ours is None else str(ours)
            if ours != theirs:
                found[number, column] = (theirs, ours)
    assert len(rows) == 4
    assert found == DIFFERENCES


@pytest.mark.parametrize(
    ("text", "schema", "wanted"),
    [("Left effusion. No nodule. Possible pneumonia.", "nih14", {"Effusion": 1, "Nodule": 0, "Pneumonia": -1}),
     ("Likely pneumonia. Granuloma.", "nih14", {"Pneumonia": 1}),
     ("Likely pneumonia. Granuloma.", "chexpert14", {"Pneumonia": -1}),
     ("Hiatal hernia. Scarring. Vascular congestion.", "nih14", {}),
     ("Airspace disease. Infiltrate.", "nih14", {"Infiltration": 1}),
     ("Airspace disease, may be edema.", "chexpert14", {"Lung Opacity": 1, "Edema": -1}),
     ("Left effusion. No right effusion.", "nih14", {"Effusion": 1}),
     ("Left effusion. The effusion has resolved.", "nih14", {"Effusion": 0}),
     ("Small effusion. No large effusion.", "nih14", {"Effusion": 1}),
     ("Heart size is normal. Lungs are clear.", "nih14", {"Cardiomegaly": 0}),
     ("Widened mediastinum.", "chexpert14", {"Enlarged Cardiomediastinum": 1}),
     ("Right PICC line. No acute disease.", "chexpert14", {"Support Devices": 1, "No Finding": 1}),
     ("Scoliosis. No effusion.", "chexpert14", {"Pleural Effusion": 0}),
     ("", "chexpert14", {}),
     ("Infiltrate. Large hiatal hernia.", "all", {"infiltrate": 1, "hiatal hernia": 1})],
)  # fmt: skip
def test_labels(text, schema, wanted):
    found = labels(text, schema)
    assert list(found) == list(schemas()[schema]["labels"])
    assert {column: value for column, value in found.items() if value is not None} == wanted


def test_every_concept_of_a_schema_is_in_the_vocabulary():
    known = schemas()["all"]["labels"]
    for name, schema in schemas().items():
        used = [c for column in schema["labels"].values() for c in column]
        assert set(used) | set(schema["implied"]) | set(schema.get("beside", ())) <= set(known), name


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_csv(tmp_path):
    reports = write(
        tmp_path / "r.jsonl", {"id": "a,1", "text": "Left effusion.", "more": 1}, {"id": 2, "text": "Nodule?"}
    )
    assert write_labels(reports, "nih14", tmp_path / "new" / "labels.csv") == 2
    with (tmp_path / "new" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["a,1", "2"]
    assert list(rows[0]) == ["id", *labels("", "nih14")]
    assert {k: v for k, v in rows[0].items() if v} == {"id": "a,1", "Effusion": "1"}


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"{", ":2: not JSON"), (b"[]", ":2: not an object"), (b'{"id": "b"}', ":2: key 'text' is missing"),
     (b'{"id": null, "text": ""}', ":2: key 'id' is not text"), (b'{"id": "b\\r", "text": ""}', ":2: .*line break"),
     (b'{"id": true, "text": ""}', ":2: key 'id' is not text"),
     (b'{"id": "b", "text": 1}', ":2: key 'text' is not text"), (b"\xff", ":2: not UTF-8"),
     (b'{"id": "a", "text": ""}', ":2: id 'a' is already used in line 1"), (b"[" * 100_000, ":2: not JSON")],
)  # fmt: skip
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, line, message):
    reports = write(tmp_path / "r.jsonl", {"id": "a", "text": "Effusion."})
    with reports.open("ab") as file:
        file.write(line)
    (tmp_path / "labels.csv").write_text("old")
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        write_labels(reports, "nih14", tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text() == "old"


def test_missing_empty_and_unknown(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="no text; write"):
        write_labels(tmp_path / "empty.jsonl", "nih14", tmp_path / "o.csv")
    with pytest.raises(UserError, match="cannot read"):
        write_labels(tmp_path / "none.jsonl", "nih14", tmp_path / "o.csv")
    with pytest.raises(UserError, match=r"unknown label schema 'nih-14'.*nih14"):
        write_labels(tmp_path / "none.jsonl", "nih-14", tmp_path / "o.csv")


records = st.fixed_dictionaries({"id": st.text() | st.integers(), "text": st.text(max_size=60)})
lines = st.one_of(records.map(json.dumps).map(str.encode), st.binary(max_size=40), st.text(max_size=40).map(str.encode))


@settings(max_examples=150, deadline=None)
@given(st.lists(lines, max_size=5), st.sampled_from(["nih14", "chexpert14", "all"]))
def test_any_file_is_labelled_or_refused_in_one_line(tmp_path_factory, raw, schema):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "r.jsonl").write_bytes(b"\n".join(raw))
    try:
        count = write_labels(folder / "r.jsonl", schema, folder / "o.csv")
    except UserError:
        assert not (folder / "o.csv").exists()
    else:
        with (folder / "o.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert len(rows) == count + 1
        assert {cell for row in rows[1:] for cell in row[1:]} <= {"1", "0", "-1", ""}

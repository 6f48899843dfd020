"""PadChest-GR: 4,555 frontal films with a sentence a finding, in English and Spanish, boxed (arXiv 2411.05085).

Boxes are shares of the image. A sentence has the boxes of one radiologist (``boxes``) and, of a part of the films, of a
second one (``extra_boxes``). Some sentences compare with an earlier film ("progression"), which one image cannot show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.joins import Lookup
from radrl.data.published.readers._common import first_there
from radrl.data.published.record import Option, Phrase, Reader, Record, Skipped, Split, corners, each_item
from radrl.data.published.safe_files import read_json
from radrl.data.published.tables import table
from radrl.errors import UserError

FILE, TABLE = "grounded_reports_20240819.json", "master_table.csv"
FOLDERS = ("Padchest_GR_files/PadChest_GR", "PadChest_GR", "images_grounding", "images", "Padchest_GR_files")
SPLITS: dict[str, Split] = {"train": "train", "validation": "dev", "test": "test"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a study; with ``progression=drop`` sentences that compare are left out, each of them counted."""
    studies = read_json(root, [FILE])
    if not isinstance(studies, list):
        raise UserError(f"{root}/{FILE}: a list of studies is wanted; use the published file")
    rows = Lookup(table(root, [TABLE], ["ImageID", "PatientID", "split"]), lambda row: row["ImageID"])
    items = ((f"{FILE}[{number}]", study) for number, study in enumerate(studies))
    yield from each_item(items, lambda _, study: list(_study(root, study, rows, options)), "not a study with findings")


def _study(root: Path, study: dict[str, Any], rows: Lookup, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    name, image = str(study["StudyID"]), str(study["ImageID"])
    row = rows.get(image)
    if row is None or row["split"] not in SPLITS:
        raise ValueError(f"image {image} stands in no split of {TABLE}")
    sentences, phrases, notes, left_out = [], [], [], []
    for number, finding in enumerate(study["findings"]):
        text = " ".join(str(finding[f"sentence_{options['language']}"]).split())
        note = finding.get("progression")
        if note and options["progression"] == "drop":
            left_out.append(Skipped(f"{name}/{number}", "the sentence compares with an earlier film", detail=str(note)))
            continue
        sentences.append(text)
        boxes = [
            *(finding.get("boxes") or ()),
            *(finding.get("extra_boxes") or () if options["boxes"] == "both" else ()),
        ]
        if boxes:
            phrases.append(Phrase(text, tuple(corners(box) for box in boxes)))
            notes.append(str(note) if note else "")
    earlier = {"progression": notes} if any(notes) else {}
    yield from left_out
    yield Record(
        name,
        (first_there(root, [f"{folder}/{image}" for folder in FOLDERS]),),
        patient=row["PatientID"],
        study=name,
        split=SPLITS[row["split"]],
        phrases=tuple(phrases),
        report={"findings": " ".join(sentences)},
        meta={"image": image, "language": options["language"], **earlier},
    )


READER = Reader(
    name="padchest_gr",
    title="PadChest-GR: 4,555 films, a sentence and boxes a finding, English and Spanish",
    kinds=("phrase", "report"),
    layout="""\
grounded_reports_20240819.json   studies: StudyID, ImageID, findings [{sentence_en, sentence_es, abnormal, boxes \
[x1, y1, x2, y2] in 0-1, extra_boxes, labels, locations, progression}]
master_table.csv                 ImageID, PatientID, split (train, validation, test)
Padchest_GR_files/PadChest_GR/*.png, or in PadChest_GR, images_grounding or images (16 bit)""",
    access="https://bimcv.cipf.es/bimcv-projects/padchest-gr/; on request, research use",
    read=read,
    options={
        "language": Option(("en", "es"), "of the sentences"),
        "boxes": Option(("first", "both"), "of the first radiologist, or of both, unfused"),
        "progression": Option(("keep", "drop"), "sentences that compare with an earlier film"),
    },
)

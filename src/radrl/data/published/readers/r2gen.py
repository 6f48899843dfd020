"""annotation.json of R2Gen (arXiv 2010.16056): IU X-ray or MIMIC-CXR as most report generation work has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.readers._common import tidy
from radrl.data.published.record import Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import read_json
from radrl.errors import UserError, one_line

FILE = "annotation.json"
SPLITS: Mapping[str, Split] = {"train": "train", "val": "dev", "test": "test"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a report with its images; the report is what R2Gen keeps of it (findings)."""
    value = read_json(root, [FILE])
    if not isinstance(value, dict) or not set(value) & set(SPLITS):
        raise UserError(f"{root}/{FILE}: holds none of train, val and test; use R2Gen's file")
    for split, rows in value.items():
        if split not in SPLITS or not isinstance(rows, list):
            raise UserError(one_line(f"{root}/{FILE}: '{split[:40]}' is no split of reports; use R2Gen's file"))
        items = ((f"{FILE}:{split}[{number}]", row) for number, row in enumerate(rows))
        yield from each_item(items, lambda _, row, split=SPLITS[split]: _record(row, split))


def _record(row: Mapping[str, Any], split: Split) -> Record:
    name, images, text = row["id"], row["image_path"], row["report"]
    if not (isinstance(name, str) and name and isinstance(text, str)):
        raise ValueError("id or report is no text")
    if not (isinstance(images, list) and images and all(isinstance(image, str) for image in images)):
        raise ValueError("image_path is no list of paths")
    patient = str(row["subject_id"]) if "subject_id" in row else name.partition("_IM-")[0]
    report = tidy(text)
    return Record(
        name,
        tuple(f"images/{image}" for image in images),
        patient=patient,
        study=str(row.get("study_id", name)),
        split=split,
        report={"findings": report} if report else None,
        lacks="no report",
    )


READER = Reader(
    name="r2gen",
    title="annotation.json of R2Gen: IU X-ray (3,826 reports) or MIMIC-CXR",
    kinds=("report",),
    layout="""\
annotation.json    {"train": [...], "val": [...], "test": [...]} of id, report, image_path (list), for MIMIC-CXR also \
study_id, subject_id
images/            what image_path names""",
    access="https://github.com/zhjohnchan/R2Gen (links to the files); IU X-ray CC BY-NC-ND 4.0, MIMIC-CXR credentialed",
    read=read,
)

"""RSNA Pneumonia Detection Challenge 2018: lung opacities boxed on 26,684 films of ChestX-ray14 (Shih et al., 2019).

Boxes are ``x, y, width, height`` in 1024 x 1024 pixels. The table's patientId names a film, not a patient: what several
films of one patient are is in RSNA's mapping to the NIH names only, so splits by it may share patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.joins import Lookup
from radrl.data.published.readers._common import first_there
from radrl.data.published.record import Reader, Record, Region, Skipped, corner_and_size, each_group
from radrl.data.published.safe_files import has
from radrl.data.published.tables import Row, table

FILE, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
SIDE = 1024.0
LABEL = "lung opacity"


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film; one without pneumonia has no boxes."""
    classes = None
    if has(root, [CLASSES]):
        classes = Lookup(table(root, [CLASSES], ["patientId", "class"]), lambda row: row["patientId"])
    rows = table(root, [FILE, f"kaggle_{FILE}"], COLUMNS)
    return each_group(rows, "patientId", lambda film, own: _record(root, film, own, classes), "not a box of a film")


def _record(root: Path, film: str, rows: list[Row], classes: Lookup | None) -> Record:
    targets = {row["Target"] for row in rows}
    if targets not in ({"0"}, {"1"}):
        raise ValueError(f"Target is {' and '.join(sorted(targets))}, not 0 or 1")
    regions = []
    for row in rows if targets == {"1"} else ():
        regions.append(Region(LABEL, corner_and_size(row[key] for key in COLUMNS[1:5])))
    found = classes.get(film) if classes else None
    return Record(
        film,
        (first_there(root, [f"stage_2_train_images/{film}{ending}" for ending in (".dcm", ".png", ".jpg")]),),
        frame=(SIDE, SIDE),
        regions=tuple(regions),
        labels={LABEL: "present" if regions else "absent"},
        meta={"class": found["class"]} if found else {},
    )


READER = Reader(
    name="rsna",
    title="RSNA Pneumonia Detection Challenge: 9,555 boxes of lung opacity, 26,684 films",
    kinds=("detect", "locate", "yesno"),
    layout="""\
stage_2_train_labels.csv          patientId, x, y, width, height, Target (1: a box a row; 0: none)
stage_2_detailed_class_info.csv   patientId, class; optional, kept as meta.class
stage_2_train_images/*.dcm        (or .png, .jpg of 1024 x 1024)""",
    access="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge; with a Kaggle account, research use",
    read=read,
)

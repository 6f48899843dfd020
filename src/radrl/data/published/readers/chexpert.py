"""CheXpert: 223,648 films of 64,740 patients with 14 labels read from reports by rules (arXiv 1901.07031)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from radrl.data.published.readers._common import CHEXPERT14, CHEXPERT_FINDINGS, label_cells, says_nothing
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each
from radrl.data.published.safe_files import has
from radrl.data.published.tables import Row, table

TABLES: Mapping[str, Split] = {"train.csv": "train", "valid.csv": "dev", "test.csv": "test"}
# "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg": below the folder that the first part names
PATH = re.compile(r"(?:[^/]+/)?((?:train|valid|test)/(patient\d+)/(study\d+)/view\d+_(frontal|lateral)\.(?:jpg|png))")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image. A label left blank (not mentioned in the report) is left out, -1 is uncertain."""
    for name, split in TABLES.items():
        if name == "test.csv" and not has(root, [name]):
            continue  # published apart, later
        rows = table(root, [name], ("Path", *CHEXPERT14), optional=("Sex", "Age", "Frontal/Lateral", "AP/PA"))
        yield from each(rows, partial(_record, split=split, view=options["view"]))


def _record(row: Row, split: Split, view: str) -> Record | Skipped:
    match = PATH.fullmatch(row["Path"])
    if not match:
        raise ValueError(f"'{row['Path']}' is no path of CheXpert")
    path, patient, study, side = match.groups()
    if view == "frontal" and side != "frontal":
        return Skipped(path, "a lateral view")
    labels, no_finding = label_cells(row, CHEXPERT14)
    lacks = "no label is set, not even No Finding" if says_nothing(labels, no_finding) else ""
    return Record(
        path,
        (path,),
        patient=patient,
        study=f"{patient}/{study}",
        split=split,
        labels=None if lacks else labels,
        lacks=lacks,
        meta={"view": row.get("AP/PA") or side, "sex": row.get("Sex", ""), "age": row.get("Age", "")},
    )


READER = Reader(
    name="chexpert",
    title="CheXpert: 223,648 films, 14 labels with doubt",
    kinds=("list", "yesno"),
    labels=CHEXPERT_FINDINGS,
    layout="""\
train.csv, valid.csv (test.csv where you have it)   Path, Sex, Age, Frontal/Lateral, AP/PA, No Finding, Enlarged \
Cardiomediastinum, Cardiomegaly, ... Support Devices: 1.0, 0.0, -1.0 or blank
train/patient00001/study1/view1_frontal.jpg ...     the root is the folder CheXpert-v1.0 or CheXpert-v1.0-small""",
    access="https://stanfordaimi.azurewebsites.net; free after registration, Stanford research use agreement",
    read=read,
    options={"view": Option(("frontal", "all"), "leave lateral views out")},
)

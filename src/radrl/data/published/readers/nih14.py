"""NIH ChestX-ray14: 112,120 frontal films with 14 labels read from reports (arXiv 1705.02315)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.readers._common import spoken
from radrl.data.published.record import Reader, Record, Skipped, each
from radrl.data.published.safe_files import find, unpacked
from radrl.data.published.tables import Row, table

LABELS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position")
# the two releases name these differently
OPTIONAL = ("Patient Age", "Patient Gender", "Patient Sex")
NO_FINDING = "No Finding"
FOLDERS = 12  # the images are published in twelve archives


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image, with every label present or absent."""
    test = _listed(root, "test_list.txt")
    folders = _Folders(root)
    yield from each(table(root, TABLES, COLUMNS, optional=OPTIONAL), lambda row: _record(row, test, folders))


def _record(row: Row, test: frozenset[str], folders: _Folders) -> Record:
    found = row["Finding Labels"].split("|")
    unknown = set(found) - set(LABELS) - {NO_FINDING}
    if unknown or not found or (NO_FINDING in found and len(found) > 1):
        raise ValueError(f"Finding Labels '{row['Finding Labels']}' are not labels of ChestX-ray14")
    file = row["Image Index"]
    if not file.endswith(".png") or not row["Patient ID"].isdigit():
        raise ValueError(f"'{file}' of patient '{row['Patient ID']}' is no image of ChestX-ray14")
    sex = row.get("Patient Gender") or row.get("Patient Sex") or ""
    return Record(
        file,
        (folders.path(file),),
        patient=str(int(row["Patient ID"])),
        split="test" if file in test else "train",
        labels={spoken(label): "present" if label in found else "absent" for label in LABELS},
        meta={"view": row["View Position"], "sex": sex, "age": row.get("Patient Age", "")},
    )


def _listed(root: Path, name: str) -> frozenset[str]:
    with unpacked(find(root, [name])) as stream:
        return frozenset(stream.read(4 << 20).decode("utf-8", errors="replace").split())


class _Folders:
    """Where an image lies: in the twelve folders of the archives, or all in one."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        numbers = range(1, FOLDERS + 1)
        self.several = [f"images_{n:03d}/images" for n in numbers if (self.root / f"images_{n:03d}/images").is_dir()]

    def path(self, file: str) -> str:
        for folder in self.several:
            if os.path.isfile(f"{self.root}/{folder}/{file}"):
                return f"{folder}/{file}"
        return f"images/{file}"


READER = Reader(
    name="nih14",
    title="NIH ChestX-ray14: 112,120 frontal films, 14 labels",
    kinds=("list", "yesno"),
    layout="""\
Data_Entry_2017_v2020.csv (or Data_Entry_2017.csv)   Image Index, Finding Labels (joined by |), Patient ID, \
Patient Age, Patient Gender (Sex), View Position
test_list.txt                                        the official test images; the others train
images_001/images/*.png ... images_012/images/*.png, or images/*.png""",
    access="https://nihcc.app.box.com/v/ChestXray-NIHCC; free, to be cited (arXiv 1705.02315), no registration",
    read=read,
)

"""PadChest: more than 160,000 films of 67,000 patients with Spanish reports, and labels in English (arXiv 1901.07441).

The reports are as published: in lower case, without accents, stop words mostly gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.readers._common import first_there, tidy
from radrl.data.published.record import Option, Reader, Record, Skipped, each
from radrl.data.published.tables import Row, table

TABLES = ("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", "PADCHEST_chest_x_ray_images_labels_160K.csv")
COLUMNS = ("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report", "Labels")
OPTIONAL = ("PatientBirth", "PatientSex_DICOM", "MethodLabel", "ReportID")
FRONTAL = {"PA", "AP", "AP_horizontal"}
NOT_FINDINGS = {"normal", "exclude", "suboptimal study", "unchanged", ""}
ITEM = re.compile(r"'([^']{0,200})'|\"([^\"]{0,200})\"")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image, with its report as findings and its labels. Labels that are not named are blank."""
    rows = table(root, TABLES, COLUMNS, optional=OPTIONAL)
    yield from each(rows, lambda row: _record(root, row, options["view"]))


def _record(root: Path, row: Row, view: str) -> Record | Skipped:
    image = row["ImageID"]
    if not image or not row["PatientID"]:
        raise ValueError("no ImageID or no PatientID")
    if view == "frontal" and row["Projection"] not in FRONTAL:
        return Skipped(image, "a lateral or other view")
    folder = row["ImageDir"].removesuffix(".0")
    labels, normal = _labels(row["Labels"])
    report = tidy(row["Report"])
    return Record(
        image,
        (first_there(root, (f"{folder}/{image}", f"images/{image}", image)),),
        patient=row["PatientID"],
        study=row["StudyID"],
        report={"findings": report} if report and report != "nan" else None,
        labels=dict.fromkeys(labels, "present") if labels or normal else None,
        lacks="" if report else "no report",
        meta={
            "view": row["Projection"],
            "sex": row.get("PatientSex_DICOM", ""),
            "language": "es",
            "labels_by": row.get("MethodLabel", ""),
        },
    )


def _labels(cell: str) -> tuple[list[str], bool]:
    """Returns the findings of a cell such as ``['COPD signs', ' cardiomegaly', 'normal']``, and whether it says normal.

    Raises:
        ValueError: it is no list, or a film that the data set says to leave out ("exclude").
    """
    if cell in ("", "nan"):
        return [], False
    if not (cell.startswith("[") and cell.endswith("]")):
        raise ValueError(f"Labels '{cell[:60]}' is no list")
    names = [tidy(one or two) for one, two in ITEM.findall(cell)]
    return [name for name in dict.fromkeys(names) if name not in NOT_FINDINGS], "normal" in names


READER = Reader(
    name="padchest",
    title="PadChest: 160,000 films with Spanish reports, labels in English",
    kinds=("report", "list"),
    layout="""\
PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv (or .csv.gz)   ImageID, ImageDir, StudyID, PatientID, \
Projection, Report, Labels (a list in brackets), MethodLabel, PatientSex_DICOM
0/*.png ... 54/*.png                                                the unpacked archives; images/*.png is read too""",
    access="https://bimcv.cipf.es/bimcv-projects/padchest/; free after registration, PadChest research use agreement",
    read=read,
    options={"view": Option(("frontal", "all"), "keep the projections PA, AP and AP_horizontal only")},
)

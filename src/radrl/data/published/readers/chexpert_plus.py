"""CheXpert Plus: the reports of CheXpert's films, in sections (arXiv 2405.19538)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.readers._common import first_there, tidy
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each
from radrl.data.published.tables import Row, table

TABLE = "df_chexpert_plus_240401.csv"
COLUMNS = ("path_to_image", "frontal_lateral", "deid_patient_id", "section_findings", "section_impression", "split")
OPTIONAL = ("ap_pa", "age", "sex", "section_clinical_history", "section_history", "patient_report_date_order")
PATH = re.compile(r"((?:train|valid)/(patient\d+)/(study\d+)/view\d+_(?:frontal|lateral))\.(?:jpg|png)")
SPLITS: Mapping[str, Split] = {"train": "train", "valid": "dev"}  # as in reader chexpert: the same patients


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image, with the findings and the impression of its report where there are some."""
    yield from each(table(root, [TABLE], COLUMNS, optional=OPTIONAL), lambda row: _record(root, row, options["view"]))


def _record(root: Path, row: Row, view: str) -> Record | Skipped:
    match = PATH.fullmatch(row["path_to_image"])
    if not match or row["split"] not in SPLITS:
        raise ValueError(f"'{row['path_to_image']}' of split '{row['split']}' is no image of CheXpert Plus")
    stem, patient, study = match.groups()
    if row["deid_patient_id"] not in ("", patient):
        raise ValueError(f"'{row['path_to_image']}' is given to patient '{row['deid_patient_id']}'")
    if view == "frontal" and row["frontal_lateral"] != "Frontal":
        return Skipped(stem, "a lateral view")
    history = row.get("section_clinical_history") or row.get("section_history") or ""
    said = {"findings": row["section_findings"], "impression": row["section_impression"], "indication": history}
    report = {name: tidy(text) for name, text in said.items() if tidy(text)}
    paths = [f"{folder}{stem}{ending}" for ending in (".png", ".jpg") for folder in ("PNG/", "PNG/PNG/", "")]
    return Record(
        stem,
        (first_there(root, paths),),
        patient=patient,
        study=f"{patient}/{study}",
        split=SPLITS[row["split"]],
        report=report,
        lacks="the report lacks the section",
        meta={"view": row.get("ap_pa", ""), "sex": row.get("sex", ""), "age": row.get("age", "")},
    )


READER = Reader(
    name="chexpert_plus",
    title="CheXpert Plus: 223,462 films with reports in sections",
    kinds=("report",),
    layout="""\
df_chexpert_plus_240401.csv   path_to_image, frontal_lateral, ap_pa, deid_patient_id, section_findings, \
section_impression, section_clinical_history, section_history, age, sex, split
PNG/train/patient00001/study1/view1_frontal.png ...   (or without PNG/, or CheXpert's own .jpg files)""",
    access="https://stanfordaimi.azurewebsites.net (CheXpert Plus); free after registration, Stanford research use "
    "agreement",
    read=read,
    options={"view": Option(("frontal", "all"), "leave lateral views out")},
)

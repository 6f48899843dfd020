"""MIMIC-CXR: 377,110 films of 227,835 studies with reports, and labels read from them (arXiv 1901.07042)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.joins import Lookup
from radrl.data.published.readers._common import (
    CHEXPERT14,
    CHEXPERT_FINDINGS,
    first_there,
    label_cells,
    says_nothing,
    tidy,
)
from radrl.data.published.readers._mimic_sections import is_set_apart, sections
from radrl.data.published.readers._mimic_split import MIMIC_SPLITS
from radrl.data.published.record import Option, Reader, Record, Skipped, each_group
from radrl.data.published.safe_files import has, inside, read_text
from radrl.data.published.tables import Row, table
from radrl.errors import UserError
from radrl.example import Presence

PREFIX = "mimic-cxr-2.0.0-"
METADATA = ("dicom_id", "subject_id", "study_id", "ViewPosition")
FRONTAL = {"AP", "PA"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image, or one a study, with the sections of the study's report and its labels."""
    split = Lookup(table(root, [f"{PREFIX}split.csv"], ("dicom_id", "split")), lambda row: row["dicom_id"])
    labels = None
    if has(root, [f"{PREFIX}{options['labels']}.csv"]):
        columns = ("subject_id", "study_id", *CHEXPERT14)
        labels = Lookup(table(root, [f"{PREFIX}{options['labels']}.csv"], columns), lambda row: row["study_id"])
    for wrong in (*split.wrong, *(labels.wrong if labels else ())):
        yield Skipped(wrong.where, wrong.why, bad=True, where=wrong.where)
    rows = table(root, [f"{PREFIX}metadata.csv"], METADATA)
    yield from each_group(rows, "study_id", lambda study, own: _study(root, study, own, split, labels, options))


def _study(
    root: Path, study: str, rows: list[Row], splits: Lookup, labels: Lookup | None, options: Mapping[str, str]
) -> list[Record | Skipped]:
    subject = rows[0]["subject_id"]
    if not (subject.isdigit() and study.isdigit() and len(subject) == 8) or {r["subject_id"] for r in rows} != {
        subject
    }:
        raise ValueError(f"study '{study}' of subject '{subject}' is none of MIMIC-CXR")
    folder = f"files/p{subject[:2]}/p{subject}/s{study}"
    made: list[Record | Skipped] = []
    kept = []
    for row in rows:
        if options["view"] == "frontal" and row["ViewPosition"] not in FRONTAL:
            made.append(Skipped(f"s{study}/{row['dicom_id']}", "a lateral view, or a view that is not known"))
        else:
            kept.append(row)
    if not kept:
        return made
    report, lacks = _report(root, folder, study)
    said, no_label = _labels(labels, study)
    units = [kept] if options["unit"] == "study" else [[row] for row in kept]
    for unit in units:
        names = [row["dicom_id"] for row in unit]
        split = {(splits.get(name) or {}).get("split", "") for name in names}
        if len(split) != 1 or not split <= set(MIMIC_SPLITS):
            raise ValueError(f"images of s{study} stand in split {', '.join(map(repr, sorted(split)))}")
        made.append(
            Record(
                f"s{study}" if options["unit"] == "study" else f"s{study}/{names[0]}",
                tuple(first_there(root, (f"{folder}/{name}.jpg", f"{folder}/{name}.dcm")) for name in names),
                patient=subject,
                study=study,
                split=MIMIC_SPLITS[split.pop()],
                report=report,
                labels=said,
                lacks={"report": lacks, "list": no_label, "yesno": no_label},
                meta={"view": " ".join(row["ViewPosition"] for row in unit)},
            )
        )
    return made


def _report(root: Path, folder: str, study: str) -> tuple[dict[str, str] | None, str]:
    """Returns the sections of a study's report and, where findings or impression are missing, why."""
    if is_set_apart(study):
        return None, "a report that the official script sets apart"
    path = first_there(root, (f"{folder}.txt", f"mimic-cxr-reports/{folder}.txt"))
    if not inside(root, path).is_file():
        return None, "no report file"
    try:
        found = sections(read_text(root, path))
    except UserError as error:
        raise ValueError(str(error)) from None
    wanted = ("findings", "impression", "last_paragraph", "indication", "history")
    return {name: tidy(found[name]) for name in wanted if found.get(name)}, "the report lacks the section"


def _labels(labels: Lookup | None, study: str) -> tuple[dict[str, Presence] | None, str]:
    row = labels.get(study) if labels else None
    if row is None:
        return None, "no labels"
    said, no_finding = label_cells(row, CHEXPERT14)
    if says_nothing(said, no_finding):
        return None, "no label is set, not even No Finding"
    return said, ""


READER = Reader(
    name="mimic_cxr",
    title="MIMIC-CXR: 377,110 films with reports and labels (JPG or DICOM)",
    kinds=("report", "list", "yesno"),
    labels=CHEXPERT_FINDINGS,
    layout="""\
mimic-cxr-2.0.0-metadata.csv.gz   dicom_id, subject_id, study_id, ViewPosition        (from MIMIC-CXR-JPG)
mimic-cxr-2.0.0-split.csv.gz      dicom_id, split: train, validate, test              (from MIMIC-CXR-JPG)
mimic-cxr-2.0.0-chexpert.csv.gz, mimic-cxr-2.0.0-negbio.csv.gz   subject_id, study_id, 14 labels; for list and yesno
files/p10/p10000032/s50414267.txt                                the unpacked mimic-cxr-reports.zip (MIMIC-CXR)
files/p10/p10000032/s50414267/*.jpg (MIMIC-CXR-JPG) or *.dcm (MIMIC-CXR)""",
    access="https://physionet.org/content/mimic-cxr-jpg/ (images, tables) and https://physionet.org/content/mimic-cxr/ "
    "(reports, DICOM); PhysioNet credentialed health data licence 1.5.0 (training course, signed agreement)",
    read=read,
    options={
        "view": Option(("frontal", "all"), "frontal: ViewPosition AP or PA only"),
        "unit": Option(("image", "study"), "a record an image, or one a study with all its images"),
        "labels": Option(("chexpert", "negbio"), "which labeler's table"),
    },
)

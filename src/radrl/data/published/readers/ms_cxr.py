"""MS-CXR: phrases of MIMIC-CXR reports with their boxes, 1,162 pairs of film and phrase (arXiv 2204.09817).

A row is a box ``x, y, w, h`` in the pixels of the MIMIC-CXR-JPG file (``image_width`` x ``image_height``); a phrase of
several boxes has several rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.readers._common import first_there
from radrl.data.published.readers._mimic_split import SPLIT_OPTION, MimicSplit
from radrl.data.published.record import XYXY, Phrase, Reader, Record, Skipped, Split, corner_and_size, each_group
from radrl.data.published.tables import Row, table

FILES = ("MS_CXR_Local_Alignment_v1.1.0.csv", "MS_CXR_Local_Alignment_v1.0.0.csv")
COLUMNS = ("dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height")
OWN: dict[str, Split] = {"train": "train", "val": "dev", "test": "test"}
_PATH = re.compile(r"(?:.*/)?(files/p\d\d/p(\d+)/s(\d+)/[0-9a-f-]+)\.(?:jpg|dcm)")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film, with each of its phrases."""
    splits = MimicSplit(root) if options["split"] == "mimic" else None
    rows = table(root, FILES, COLUMNS, optional=["split"])
    return each_group(rows, "dicom_id", lambda film, own: _record(root, film, own, splits), "not a box of a phrase")


def _record(root: Path, film: str, rows: list[Row], splits: MimicSplit | None) -> Record:
    sizes = {(float(row["image_width"]), float(row["image_height"])) for row in rows}
    parts = _PATH.fullmatch(rows[0]["path"])
    if len(sizes) != 1 or parts is None:
        raise ValueError("several image sizes" if parts else f"path {rows[0]['path']!r} is none of MIMIC-CXR-JPG")
    phrases: dict[str, list[XYXY]] = {}
    for row in rows:
        text = " ".join(row["label_text"].split())
        if not text:
            raise ValueError("a box without a phrase")
        phrases.setdefault(text, []).append(corner_and_size(row[key] for key in ("x", "y", "w", "h")))
    if splits is None and rows[0].get("split") not in (None, *OWN):
        raise ValueError(f"split {rows[0]['split']!r} is none of {', '.join(OWN)}")
    base, patient, study = parts.groups()
    return Record(
        film,
        (first_there(root, [f"{base}.jpg", f"{base}.dcm"]),),
        patient=patient,
        study=study,
        split=splits.of(film) if splits else OWN.get(rows[0].get("split") or ""),
        frame=sizes.pop(),
        phrases=tuple(Phrase(text, tuple(boxes)) for text, boxes in phrases.items()),
        meta={"category": sorted({row["category_name"] for row in rows})},
    )


READER = Reader(
    name="ms_cxr",
    title="MS-CXR: phrases of MIMIC-CXR reports with boxes, 1,047 films",
    kinds=("phrase",),
    layout="""\
MS_CXR_Local_Alignment_v1.1.0.csv (or v1.0.0)   dicom_id, category_name, label_text, path, x, y, w, h, image_width, \
image_height, split
mimic-cxr-2.0.0-split.csv                       dicom_id, split; of MIMIC-CXR-JPG, for --option split=mimic
files/p1?/p*/s*/*.jpg                           MIMIC-CXR-JPG (or .dcm of MIMIC-CXR)""",
    access="https://physionet.org/content/ms-cxr/1.1.0/ and https://physionet.org/content/mimic-cxr-jpg/2.1.0/; "
    "PhysioNet credentialed, with a data use agreement",
    read=read,
    options={"split": SPLIT_OPTION},
)

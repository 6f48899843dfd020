"""SIIM-ACR Pneumothorax Segmentation 2019: masks of pneumothorax on films of ChestX-ray14, as boxes.

A row is a film and a mask as run lengths, starts relative to the run before, down the columns of 1024 x 1024 pixels;
-1 says that there is no pneumothorax. A film may have several rows. A box is drawn around each part of all the masks of
a film together that hangs together; crumbs of the drawing, of fewer than 64 pixels, are left out where there is a
larger part. The files name no patient.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from radrl.data.published.masks import boxes_of, relative_runs
from radrl.data.published.record import Reader, Record, Region, Skipped, each_group
from radrl.data.published.tables import Row, table

FILES = ("train-rle.csv", "stage_2_train.csv", "siim-pneumothorax-train-rle.csv")
SIDE = 1024
LABEL = "pneumothorax"
NONE = "-1"
CRUMB = 64  # pixels; of the parts of masks a tenth are smaller, most of them of one pixel
MOST_FILES = 200_000


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film."""
    rows, where = table(root, FILES, ["ImageId", "EncodedPixels"]), _images(root)
    return each_group(rows, "ImageId", lambda film, own: _record(film, own, where), "not a mask of a film")


def _record(film: str, rows: list[Row], where: Mapping[str, str]) -> Record:
    runs = [row["EncodedPixels"] for row in rows]
    if NONE in runs and set(runs) != {NONE}:
        raise ValueError("one row has a mask, another says that there is none")
    boxes = []
    if NONE not in runs:
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        for text in runs:
            mask |= relative_runs(text, SIDE, SIDE)
        boxes = boxes_of(mask, CRUMB)
    return Record(
        film,
        (where.get(film, f"dicom-images-train/{film}.dcm"),),
        frame=(float(SIDE), float(SIDE)),
        regions=tuple(Region(LABEL, box) for box in boxes),
        labels={LABEL: "absent" if NONE in runs else "present"},
        meta={"masks": 0 if NONE in runs else len(runs)},
    )


def _images(root: Path) -> dict[str, str]:
    """Returns where each film lies: they are published in a folder a study and one a series."""
    found: dict[str, str] = {}
    for folder, _, files in os.walk(root):
        for file in files:
            stem, ending = os.path.splitext(file)
            if ending in (".dcm", ".png", ".jpg") and len(found) < MOST_FILES:
                found[stem] = (Path(folder) / file).relative_to(root).as_posix()
    return found


READER = Reader(
    name="siim",
    title="SIIM-ACR Pneumothorax: 12,047 films, 3,576 masks as 3,524 boxes",
    kinds=("detect", "locate", "yesno"),
    layout="""\
train-rle.csv (or stage_2_train.csv)   ImageId, EncodedPixels (run lengths or -1)
dicom-images-train/STUDY/SERIES/ImageId.dcm, or ImageId.dcm, .png, .jpg anywhere below the root (1024 x 1024)""",
    access="https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation; with a Kaggle account, research use",
    read=read,
)

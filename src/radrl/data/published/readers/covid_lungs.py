"""Lung boxes on real frontal X-rays.

Images of ieee8023/covid-chestxray-dataset with the left and right lung boxed by radiologists (COCO file of
GeneralBlockchain/covid-19-chest-xray-lung-bounding-boxes-dataset).

Split, fixed by file name: of the films sorted by path the last 40 are held out, the others train. Four of the others
are held-out pictures under another name (found by ``radrl data check``) and are left out. Patients are not published,
so films of one patient may be on both sides. The right lung of the patient is on the left of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_lines
from radrl.data.published.record import Reader, Record, Region, Skipped, corners, each_item
from radrl.errors import UserError

FILE = "metadata.jsonl"
HELD_OUT = 40
DOUBLES = {f"ccbyncsa/16660_{k}_1.jpg" for k in (2, 3, 4, 5)}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film, sorted by path. Raises UserError where there are no more films than are held out."""
    films: list[Record] = []
    for made in each_item(json_lines(root, [FILE]), lambda _, row: _film(row), "not a film with lung boxes"):
        if isinstance(made, Record):
            films.append(made)
        else:
            yield made
    if len(films) <= HELD_OUT:
        raise UserError(f"{root}: {len(films)} films, but {HELD_OUT} alone are held out; use the whole data set")
    films.sort(key=lambda film: film.id)
    for number, film in enumerate(films):
        film.split = "train" if number < len(films) - HELD_OUT else "test"
        double = film.split == "train" and film.id in DOUBLES
        yield Skipped(film.id, "the same picture as a held-out film") if double else film


def _film(row: dict[str, Any]) -> Record:
    boxes = [Region(box["label"].lower(), corners(box["xyxy"])) for box in row["lung_boxes"]]
    if sorted(box.label for box in boxes) != ["left lung", "right lung"]:
        raise ValueError("one left and one right lung box are wanted")
    width, height = row["size"]
    if not (isinstance(row["image"], str) and width > 0 and height > 0):
        raise ValueError("image or size is wrong")
    return Record(
        row["image"],
        (row["image"],),
        frame=(float(width), float(height)),
        regions=tuple(sorted(boxes, key=lambda box: box.label, reverse=True)),  # right first, as the question says
        meta={"type": "anatomy", "file": row["image"], "view": row.get("view", ""), "sex": row.get("sex", "")},
    )


READER = Reader(
    name="covid_lungs",
    title="240 frontal X-rays with the left and the right lung boxed",
    kinds=("detect",),
    layout="""\
metadata.jsonl   one film a line: image (path), size [width, height], lung_boxes [{label, xyxy in pixels}], view, sex
the images it names""",
    access="github.com/GeneralBlockchain/covid-19-chest-xray-lung-bounding-boxes-dataset (boxes, CC BY 4.0) and "
    "github.com/ieee8023/covid-chestxray-dataset (images, each with its own licence)",
    read=read,
    templates={"detect": "lungs"},
)

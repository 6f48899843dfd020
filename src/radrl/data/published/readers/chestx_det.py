"""ChestX-Det: 13 findings boxed and outlined by three radiologists on 3,578 films of ChestX-ray14 (arXiv 2104.10326).

Boxes are pixels of the 1024 x 1024 files. The file numbers do not lead to NIH's names, so patients are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.readers._common import first_there, spoken
from radrl.data.published.record import Reader, Record, Region, Skipped, Split, corners, each_item
from radrl.data.published.safe_files import read_json
from radrl.errors import UserError

SIDE = 1024.0
SPLITS: tuple[Split, ...] = ("train", "test")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film, in the official split; a film without findings has no boxes."""
    for split in SPLITS:
        file = f"ChestX_Det_{split}.json"
        films = read_json(root, [file])
        if not isinstance(films, list):
            raise UserError(f"{root}/{file}: a list of films is wanted; use the published file")
        items = ((f"{file}[{number}]", film) for number, film in enumerate(films))
        yield from each_item(items, lambda _, film, split=split: _record(root, split, film), "not a film with boxes")


def _record(root: Path, split: Split, film: dict[str, Any]) -> Record:
    name, labels, boxes = film["file_name"], film["syms"], film["boxes"]
    if not isinstance(name, str):
        raise ValueError("file_name is no text")
    regions = []
    for label, box in zip(labels, boxes, strict=True):
        regions.append(Region(spoken(label), corners(box)))
    folders = (f"{split}_data", f"{split}_data/{split}", split)
    path = first_there(root, [f"{folder}/{name}" for folder in folders])
    return Record(f"{split}/{name}", (path,), split=split, frame=(SIDE, SIDE), regions=tuple(regions))


READER = Reader(
    name="chestx_det",
    title="ChestX-Det: 13 findings boxed on 3,578 films",
    kinds=("detect", "locate"),
    layout="""\
ChestX_Det_train.json, ChestX_Det_test.json   a list of {file_name, syms, boxes [x1, y1, x2, y2], polygons}
train_data/*.png, test_data/*.png             1024 x 1024, as train_data.zip and test_data.zip unpack""",
    access="https://github.com/Deepwise-AILab/ChestX-Det-Dataset; free (Apache-2.0), images of NIH ChestX-ray14",
    read=read,
)

"""cheXlocalize: ten findings outlined on films of CheXpert's validation and test sets (Saporta et al., 2022).

Masks are COCO run lengths in the pixels of the CheXpert JPEG files (not of the small version). A box is drawn around
each part of a mask that hangs together; an empty mask says that the finding is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from radrl.data.published.masks import boxes_of, coco_runs
from radrl.data.published.readers._common import first_there, spoken
from radrl.data.published.record import Reader, Record, Region, Skipped, Split, each_item
from radrl.data.published.safe_files import has, read_json
from radrl.errors import UserError
from radrl.example import Presence

PLACES = ("", "CheXlocalize/", "sample/")
SPLITS: tuple[tuple[str, Split], ...] = (("val", "dev"), ("test", "test"))
_NAME = re.compile(r"(patient\d+)_(study\d+)_(view\d+_(?:frontal|lateral))")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film."""
    files: list[tuple[str, str, Split]] = [
        (f"{place}gt_segmentations_{word}.json", word, split)
        for word, split in SPLITS
        for place in PLACES
        if has(root, [f"{place}gt_segmentations_{word}.json"])
    ]
    if not files:
        raise UserError(f"{root}: holds no gt_segmentations_val.json; 'radrl data list chexlocalize' shows the layout")
    for file, word, split in files:
        films = read_json(root, [file])
        if not isinstance(films, dict):
            raise UserError(f"{root}/{file}: films by name are wanted; use the published file")
        items = ((f"{file}:{name}", (name, masks)) for name, masks in films.items())
        make = partial(_record, root, word=word, split=split)
        yield from each_item(items, lambda _, film, make=make: make(*film), "not a film with masks")


def _record(root: Path, name: str, masks: dict[str, Any], word: str, split: Split) -> Record:
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise ValueError("the name of a film is patient..._study..._view..._frontal")
    sizes = {tuple(int(v) for v in mask["size"]) for mask in masks.values()}
    if len(sizes) != 1:
        raise ValueError(f"masks of {len(sizes)} sizes")
    ((height, width),) = sizes
    regions = []
    for label, mask in masks.items():
        regions += [Region(spoken(label), box) for box in boxes_of(coco_runs(mask["counts"], width, height))]
    labels: dict[str, Presence] = {spoken(label): "absent" for label in masks}
    labels.update((region.label, "present") for region in regions)
    patient, study, view = parts.groups()
    below = f"{patient}/{study}/{view}.jpg"
    official = {"val": "valid", "test": "test"}[word]
    folders = (f"CheXpert/{word}", f"CheXpert-v1.0/{official}", f"CheXpert/{official}", official)
    return Record(
        name,
        (first_there(root, [f"{folder}/{below}" for folder in folders]),),
        patient=patient,
        study=f"{patient}/{study}",
        split=split,
        frame=(float(width), float(height)),
        regions=tuple(regions),
        labels=labels,
        meta={"view": view.split("_")[1]},
    )


READER = Reader(
    name="chexlocalize",
    title="cheXlocalize: masks of 10 findings on CheXpert's validation and test films, as boxes",
    kinds=("detect", "locate", "list", "yesno"),
    layout="""\
gt_segmentations_val.json, gt_segmentations_test.json (or in CheXlocalize/)   film: {finding: {size [h, w], counts}}
CheXpert/val/patientN/studyN/viewN_frontal.jpg, CheXpert/test/..., or CheXpert-v1.0/valid/...""",
    access="https://stanfordaimi.azurewebsites.net (CheXlocalize); with registration, research use",
    read=read,
)

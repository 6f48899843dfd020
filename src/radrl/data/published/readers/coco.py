"""Any detection set in COCO's JSON: boxes of your own, or what an annotation tool exports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.coco import read_coco
from radrl.data.published.readers._common import first_there, spoken
from radrl.data.published.record import Reader, Record, Skipped, Split
from radrl.errors import UserError

PLACES = ("", "annotations/")
WORDS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "dev"), ("dev", "dev"), ("test", "test"))


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image of every JSON file; train, val or test in a file's name is its split."""
    files = [p + file.name for p in PLACES for file in sorted((Path(root) / p).glob("*.json")) if file.is_file()]
    if not files:
        raise UserError(f"{root}: holds no JSON file; put COCO's annotations there or in {root}/annotations")
    for file in files:
        name = Path(file).stem.lower()
        split: Split | None = next((split for word, split in WORDS if word in name), None)
        folders = ("images", name, "", "imgs")
        for record in read_coco(root, file, split, lambda image, folders=folders: _path(root, image, folders), spoken):
            if isinstance(record, Record) and len(files) > 1:
                record.id = f"{name}/{record.id}"
            yield record


def _path(root: Path, image: str, folders: tuple[str, ...]) -> str:
    return first_there(root, [f"{folder}/{image}".lstrip("/") for folder in folders])


READER = Reader(
    name="coco",
    title="any boxes in COCO's JSON",
    kinds=("detect", "locate"),
    layout="""\
*.json or annotations/*.json   images (id, file_name, width, height), categories, annotations (image_id, category_id, \
bbox x, y, w, h); train, val or test in the name of a file is its split
images/FILE_NAME, or FILE_NAME below the root""",
    access="your own files",
    read=read,
)

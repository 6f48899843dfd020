"""LLaVA-style JSON: RadVLM's instruction data, or what `radrl data export --format llava` writes.

Image paths may be those of another machine, as in RadVLM's own files: what of their end lies below the root is taken.
Patients and studies are read from the paths of MIMIC-CXR and CheXpert.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.listed import json_items
from radrl.data.llava import named, read_item
from radrl.data.published import is_plain
from radrl.data.readers._vqa import each_item
from radrl.data.reading import Option, Reader, Record, Skipped, Split
from radrl.errors import UserError

SPLIT = re.compile(r"(?:^|[-_./])(train|valid|val|dev|test)(?:ation|ate|ing)?\d{0,3}(?=$|[-_.])")
SPLITS: Mapping[str, Split] = {"train": "train", "valid": "dev", "val": "dev", "dev": "dev", "test": "test"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a conversation, file by file in the order of their names."""
    files = sorted(
        file.name for ending in ("json", "jsonl", "json.gz", "jsonl.gz") for file in Path(root).glob(f"*.{ending}")
    )
    if not files:
        raise UserError(f"{root}: holds no .json or .jsonl file with conversations")
    images = _Images(root)
    for path in files:
        split = _split(path.partition(".")[0])

        def record(where: str, item: dict[str, Any], path: str = path, split: Split | None = split) -> Record | Skipped:
            name = f"{path.partition('.')[0]}/{where.rpartition(' ')[2]}"
            examples = read_item(item, name, images.path)
            first = examples[0]
            return Record(
                named(item, name),
                first.images,
                patient=first.patient,
                study=first.study,
                split=(split or _split(first.id)) if options["split"] == "named" else None,
                examples=tuple(examples),
            )

        yield from each_item(json_items(root, [path]), record)


def _split(name: str) -> Split | None:
    match = SPLIT.search(name)
    return SPLITS[match.group(1)] if match else None


class _Images:
    """Where an image lies that a file names by a path of another machine."""

    def __init__(self, root: Path) -> None:
        self.root, self.cut = str(root), 0  # how many first parts are not ours

    def path(self, image: str) -> str:
        """Returns the path below the root. Raises ValueError where the image is not there and cannot be."""
        parts = image.split("/")
        for cut in dict.fromkeys((self.cut, *range(len(parts)))):
            path = "/".join(parts[cut:])
            if path and is_plain(path) and Path(self.root, path).is_file():
                self.cut = cut
                return path
        if not is_plain(image):
            raise ValueError(f"no end of the path {image[:200]!r} is a file below the root")
        return image


READER = Reader(
    name="llava",
    title="LLaVA-style JSON: RadVLM's instruction data, or your own",
    kinds=("qa",),
    layout="""\
*.json   a list of {id, image (path or list of paths), conversations [{from: human or gpt, value}]}; also one a line, \
.jsonl, and .gz
images   below the root; what lies before their part of the path is left out""",
    access="RadVLM's: https://physionet.org/content/radvlm-instruction-dataset/1.0.0 (credentialed), and the images of "
    "its sources, each with its own access; or made by https://github.com/uzh-dqbm-cmi/RadVLM (all_train.json)",
    read=read,
    options={"split": Option(("named", "drawn"), "as named in file or id (train, valid, test), or drawn by patient")},
)

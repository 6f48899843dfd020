"""LLaVA-style JSON: RadVLM's instruction data, or what `radrl data export --format llava` writes.

Image paths may be those of another machine, as in RadVLM's own files: the longest end that is a file below the root is
taken, folder and name at least.
Patients and studies are read from the paths of MIMIC-CXR and CheXpert.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from os.path import isfile
from pathlib import Path
from typing import Any

from radrl.data.formats.llava import id_of, images_of, patient_study_source, read_item
from radrl.data.published.json_lists import json_items
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import is_plain
from radrl.errors import UserError

SPLIT = re.compile(r"(?:^|[-_./])(train|valid|val|dev|test)(?:ation|ate|ing)?\d{0,3}(?=$|[-_.])")
LONGEST_PATH = 2000
SPLITS: Mapping[str, Split] = {"train": "train", "valid": "dev", "val": "dev", "dev": "dev", "test": "test"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a conversation, file by file in the order of their names."""
    files = sorted(
        file.name for ending in ("json", "jsonl", "json.gz", "jsonl.gz") for file in Path(root).glob(f"*.{ending}")
    )
    if not files:
        raise UserError(f"{root}: holds no .json or .jsonl file with conversations")
    seen: set[int] = set()  # hashes of the ids
    for path in files:
        split = _split(path.partition(".")[0])

        def record(where: str, item: dict[str, Any], path: str = path, split: Split | None = split) -> Record:
            given = id_of(item, f"{path.partition('.')[0]}/{where.rpartition(' ')[2]}")
            name = _unique(given, seen)
            found, known = tuple(_below(root, image) for image in images_of(item)), patient_study_source(item)
            return Record(
                name,
                found,
                patient=known.get("patient"),
                study=known.get("study"),
                split=(split or _split(name)) if options["split"] == "named" else None,
                examples=partial(read_item, {**item, "id": name}, name, found),
                renamed=name != given,
                lacks="no answer",
            )

        yield from each_item(json_items(root, [path]), record)


def _unique(name: str, seen: set[int]) -> str:
    """Returns the id, as ``name#2``, ``name#3`` ... where it was there before."""
    unique, k = name, 1
    while hash(unique) in seen:
        k += 1
        unique = f"{name}#{k}"
    seen.add(hash(unique))
    return unique


def _split(name: str) -> Split | None:
    match = SPLIT.search(name)
    return SPLITS[match.group(1)] if match else None


def _below(root: Path, image: str) -> str:
    """Returns the path of an image below the root: the longest end of the path that is a file there, of its last folder
    and name at least, for names alone may be those of other images.

    Raises:
        ValueError: there is none, and the path itself is absolute, holds ``..`` or is overlong.
    """
    parts = image.split("/")
    if ".." not in parts and len(image) < LONGEST_PATH:
        for cut in (0, *range(1, len(parts) - 1)):
            path = "/".join(parts[cut:])
            if is_plain(path) and isfile(f"{root}/{path}"):
                return path
        if is_plain(image):
            return image  # prepare says that it is missing
    raise ValueError(f"no end of the path {image[:200]!r} is a file below the root")


READER = Reader(
    name="llava",
    title="LLaVA-style JSON: RadVLM's instruction data, or your own",
    kinds=("qa",),
    layout="""\
*.json   a list of {id, image (path or list of paths), conversations [{from: human or gpt, value}]}; also one a line, \
.jsonl, and .gz; also images and messages [{role: user or assistant, content}]
images   below the root; what stands before their part of the path is left out""",
    access="RadVLM's: https://physionet.org/content/radvlm-instruction-dataset/1.0.0 (credentialed), and the images of "
    "its sources, each with its own access; or made by https://github.com/uzh-dqbm-cmi/RadVLM (all_train.json)",
    read=read,
    options={"split": Option(("named", "drawn"), "as named in file or id (train, valid, test), or drawn by patient")},
)

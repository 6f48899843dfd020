"""What the readers of ReXVQA and ReXGradient-160K share: the same films, named alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.data.published.readers._common import first_there
from radrl.data.published.record import Split
from radrl.data.published.safe_files import has, is_plain
from radrl.errors import UserError

SPLITS: Mapping[str, Split] = {"train": "train", "valid": "dev", "test": "test"}
FOLDERS = ("deid_png", "images/deid_png", "images")  # the unpacked deid_png.part00 ...


def files(root: Path, names: Sequence[str]) -> list[tuple[Split, str]]:
    """Returns split and path of the published files that are there; ``{}`` in a name is the part.

    Raises:
        UserError: there is none.
    """
    found = []
    for part, split in SPLITS.items():
        for folder in ("metadata/", ""):
            for name in names:
                if has(root, [f"{folder}{name.format(part)}"]) and split not in [one for one, _ in found]:
                    found.append((split, f"{folder}{name.format(part)}"))
    if not found:
        raise UserError(f"{root}: holds no metadata/{names[0].format('test')} (or train, valid)")
    return found


def images(root: Path, item: Mapping[str, Any]) -> list[str]:
    """Returns the paths of a study's films below the root; they are published as ``../deid_png/...``.

    Raises:
        ValueError: it names none, or one that is no such path.
    """
    paths = item["ImagePath"]
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise ValueError("'ImagePath' is no list of paths")
    found = []
    for path in paths:
        within = path.rpartition("deid_png/")[2].removeprefix("../")
        if not is_plain(within):
            raise ValueError(f"'{path[:200]}' leads out of deid_png")
        found.append(first_there(root, [f"{folder}/{within}" for folder in FOLDERS]))
    return found

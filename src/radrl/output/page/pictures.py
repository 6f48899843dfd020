"""The pictures of a page: small copies, inside it where they are few, else in a folder beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageChops

from radrl.errors import UserError
from radrl.example import Example
from radrl.images.files import read_image
from radrl.images.pixels import data_uri
from radrl.support.files import replacing

SIDE = 512  # pixels of the longer side of a copy
EMBEDDED = 60  # so many pictures at most stand in the page itself


class Picture(NamedTuple):
    """Where a picture is (a data URI, or a path beside the page; None where there is none), a note, and its height
    where its width is 1000."""

    source: str | None
    note: str
    height: float


def make_pictures(page: Path, examples: Sequence[Example], roots: Sequence[str | os.PathLike[str]]) -> list[Picture]:
    """Returns the first picture of each case, each file copied once.

    A picture that cannot be read is said to be so on the page; it is no reason to lose the page.

    Raises:
        UserError: the folder beside the page cannot be written.
    """
    asked = [(str(root), e.images[0]) if e.images else None for e, root in zip(examples, roots, strict=True)]
    wanted = {key: number for number, key in enumerate(dict.fromkeys(key for key in asked if key))}
    folder = page.with_name(f"{page.stem}-images") if len(wanted) > EMBEDDED else None
    made = {key: _copy(*key, folder, number) for key, number in wanted.items()}
    shown = []
    for example, key in zip(examples, asked, strict=True):
        one = made[key] if key else Picture(None, "no image", 1000.0)
        several = f"first of {len(example.images)} images" if len(example.images) > 1 and one.source else one.note
        shown.append(one._replace(note=several))
    return shown


def _copy(root: str, name: str, folder: Path | None, number: int) -> Picture:
    try:
        picture = read_image(Path(root), name)
    except UserError:
        return Picture(None, f"image {name} cannot be read", 1000.0)
    picture.thumbnail((SIDE, SIDE))
    grey = picture.convert("L")
    if not ImageChops.difference(picture, grey.convert("RGB")).getbbox():
        picture = grey  # a film: a third of the bytes
    height = 1000.0 * picture.height / picture.width
    if folder is None:
        return Picture(data_uri(picture, "png", optimize=True), "", height)
    file = f"{number:05}.jpg"
    _save(picture, folder / file)
    return Picture(f"{folder.name}/{file}", "", height)


def _save(picture: Image.Image, path: Path) -> None:
    with replacing(path, sync=False) as file:
        picture.save(file, "JPEG", quality=88)

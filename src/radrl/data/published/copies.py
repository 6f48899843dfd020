"""Where the copy of a published image goes, and its making: from a file, or from within a Parquet file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from radrl.data.published.parquet import embedded
from radrl.errors import UserError
from radrl.images.copies import copy_image
from radrl.images.files import log_notes


def copy_name(path: str) -> str:
    """Returns the path of an image's copy; different paths give different copies, but for ``x.dcm`` and ``x.dcm.png``,
    which no data set should name both (`copy` refuses)."""
    return f"images/{path}" if path.endswith(".png") else f"images/{path}.png"


def copy(root: Path, path: str, out: Path, max_pixels: int, max_side: int | None) -> tuple[int, int]:
    """Writes the copy of an image where there is none yet; returns width and height of the image as published.

    Raises:
        UserError: the image cannot be read, or two images would share a copy.
    """
    if path.endswith(".png") and (Path(root) / path.removesuffix(".png")).is_file():
        raise UserError(f"{Path(root) / path}: stands beside a file of this name without .png; keep one of the two")
    found = embedded(root, path)
    if found is None:
        return copy_image(root, path, out, copy_name(path), max_pixels, max_side)[0]
    file, content = found
    name = str(Path(root) / path)
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder).resolve() / "image"
        alone.write_bytes(content)
        changed = file.stat().st_mtime
        os.utime(alone, (changed, changed))  # a copy that is not older is kept
        try:
            size = copy_image(alone.parent, alone.name, out, copy_name(path), max_pixels, max_side, notes)[0]
        except UserError as error:
            raise UserError(str(error).replace(str(alone), name)) from None
    log_notes(name, notes)
    return size

"""The columns of the index of manifests: what is kept of each line, and how it is read in a hurry.

Of a manifest of millions only the first lines are checked in full; of the others it is looked at what the columns need.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic_core import from_json

from radrl.errors import UserError
from radrl.example import TASKS
from radrl.manifest.independence import data_set_family
from radrl.manifest.jsonl import ManifestLine

_CODES = {task: code for code, task in enumerate(TASKS)}
_TEXT_OR_NONE = (str, type(None))


class Columns:
    """The columns of a `radrl.manifest.index.ManifestIndex` while they grow, an entry an Example (the last three: an
    entry an image file)."""

    def __init__(self) -> None:
        self.manifest, self.start, self.length = array("H"), array("q"), array("i")
        self.task, self.thinking, self.gold = array("b"), array("b"), array("b")
        self.images, self.patients, self.studies, self.ids = array("q"), array("q"), array("q"), array("q")
        self.file_of, self.file, self.file_size = array("q"), array("q"), array("q")
        self.there: set[int] = set()  # hashes of images whose files are there

    def __len__(self) -> int:
        return len(self.ids)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the columns by name."""
        names = ("manifest", "start", "length", "task", "thinking", "gold", "images", "patients", "studies", "ids")
        return {name: np.array(getattr(self, name)) for name in (*names, "file_of", "file", "file_size")}

    def extend(self, other: dict[str, np.ndarray]) -> None:
        """Adds the `arrays` of another part."""
        for name, column in other.items():
            getattr(self, name).frombytes(column.tobytes())

    def add_lines(self, number: int, root: str, lines: Iterable[ManifestLine], full: int = 0) -> None:
        """Adds lines of manifest ``number``, of which the first ``full`` are checked in full.

        Raises:
            UserError: a line is not an Example, as far as the index needs it, or an image file is missing.
        """
        before, there = len(self), self.there
        # looked up once: this loop is what a large run waits for
        start, length, task = self.start.append, self.length.append, self.task.append
        thinking, gold, pictures = self.thinking.append, self.gold.append, self.images.append
        patients, studies, ids = self.patients.append, self.studies.append, self.ids.append
        for count, line in enumerate(lines):
            raw, at = line.raw, line.start
            fields = None if count < full else _fields(raw)
            if fields is None:
                example = line.example()
                fields = {**dict(example), "images": list(example.images)}
            images = fields.get("images")
            if images:
                key = hash((root, *images))
                if key not in there:
                    for image in images:
                        if not self._add_file(key, f"{root}/{image}"):
                            name = fields["id"]
                            raise UserError(
                                f"{line.path}: image '{image}' of '{name}' is missing; put it at {root}/{image}"
                            )
                    there.add(key)
            else:
                key = hash((number, at))
            start(at)
            length(len(raw))
            task(_CODES[fields["task"]])
            thinking(bool(fields.get("thinking")))
            meta = fields.get("meta")
            gold(meta is not None and meta.get("quality") == "gold")
            pictures(key)
            patient, study = fields.get("patient"), fields.get("study")
            of = data_set_family(fields.get("source", "")) if patient or study else ""
            patients(hash((of, patient)) if patient else 0)
            studies(hash((of, study)) if study else 0)
            ids(hash(fields["id"]))
        self.manifest.extend([number] * (len(self.ids) - before))

    def _add_file(self, images: int, path: str) -> bool:
        """Adds an image file; False where there is none."""
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            return False
        self.file_of.append(images)
        self.file.append(hash((state.st_dev, state.st_ino)))  # whatever path or link leads there
        self.file_size.append(state.st_size)
        return stat.S_ISREG(state.st_mode)


def _fields(raw: bytes) -> dict[str, Any] | None:
    """Returns a line's fields; None where one that the index needs is not as it should be."""
    try:
        fields = from_json(raw)
        get = fields.get
        if not (fields["task"] in _CODES and type(fields["id"]) is str and type(fields["question"]) is str):
            return None
        images = get("images", [])
        if type(images) is not list or type(get("meta", {})) is not dict or type(get("source", "")) is not str:
            return None
        if type(get("patient")) not in _TEXT_OR_NONE or type(get("study")) not in _TEXT_OR_NONE:
            return None
        for image in images:
            if type(image) is not str or not image or image[0] == "/" or ".." in image or "\\" in image:
                return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return fields

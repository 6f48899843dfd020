"""A file that is in memory only, and has of a path what reading an image needs."""

from __future__ import annotations

import io
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple


class InMemory(NamedTuple):
    """The bytes of a file that lies nowhere, and what it is called in error lines."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name

    @property
    def suffix(self) -> str:
        """The end of its name, with the dot."""
        return PurePath(self.name).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """Returns the bytes as an open file."""
        return io.BytesIO(self.data)


File = Path | InMemory

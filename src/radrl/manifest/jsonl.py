"""Manifests: JSONL files of Examples, one a line, checked line by line; for large ones see example_set.py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from pydantic import ValidationError

from radrl.errors import UserError, in_words
from radrl.example import Example
from radrl.support.files import write_text


class NotAnExample(ValueError):
    """Why a line is no Example, without its place: the key, what is wrong, and the fix."""


class ManifestLine(NamedTuple):
    """A line of a manifest that is not blank.

    ``number`` counts all lines, from 1, beginning at byte ``counted_from`` of the file. ``start`` is the byte where the
    line begins, ``raw`` all its bytes with the end of line.
    """

    path: Path
    number: int
    start: int
    raw: bytes
    counted_from: int = 0

    @property
    def place(self) -> str:
        """``FILE:LINE``, the line counted from the beginning of the file."""
        return f"{self.path}:{self.number + count_line_ends(self.path, 0, self.counted_from)}"

    def parse(self) -> Example:
        """Returns the line's Example. Raises NotAnExample."""
        try:
            # editors on Windows begin a file with a byte order mark
            return Example.model_validate_json(self.raw.decode("utf-8" if self.start else "utf-8-sig"))
        except UnicodeDecodeError as error:
            raise NotAnExample(
                f"not UTF-8 text ({error.reason} at byte {error.start} of the line); save it as UTF-8"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            hint = "; remove it or put it under 'meta'" if first["type"] == "extra_forbidden" else ""
            message = first["msg"].removeprefix("Value error, ")
            raise NotAnExample(f"{f'key {key!r} ' if key else ''}{message}{hint}") from None

    def example(self) -> Example:
        """Returns the line's Example. Raises UserError, which names file, line and key, where it is none."""
        try:
            return self.parse()
        except NotAnExample as error:
            raise UserError(f"{self.place}: {error}") from None


def manifest_lines(path: str | os.PathLike[str], start: int = 0, end: int | None = None) -> Iterator[ManifestLine]:
    """Yields the lines of a manifest that are not blank: those that begin from byte ``start`` on, where a line must
    begin, and before byte ``end``.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    path = Path(path)
    with open_manifest(path) as file:
        file.seek(start)
        at = start
        for number, raw in enumerate(file, 1):
            if not raw.isspace():
                yield ManifestLine(path, number, at, raw, start)
            at += len(raw)
            if end is not None and at >= end:
                return


def stretches(path: Path, size: int) -> list[tuple[int, int]]:
    """Returns the (start, end) of stretches of whole lines, of about ``size`` bytes each, that make up a manifest.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    parts, start = [], 0
    with open_manifest(path) as file:
        total = file.seek(0, os.SEEK_END)
        while start < total:
            file.seek(min(start + size, total))
            file.readline()
            parts.append((start, file.tell()))
            start = file.tell()
    return parts


def count_line_ends(path: Path, start: int, end: int) -> int:
    """Returns how many lines end between two bytes of a file. Raises UserError where it cannot be read."""
    if start >= end:
        return 0
    with open_manifest(path) as file:
        file.seek(start)
        return file.read(end - start).count(b"\n")


@contextmanager
def open_manifest(path: Path) -> Iterator[IO[bytes]]:
    """Opens a manifest for reading. Raises UserError where it is missing or cannot be read."""
    if not path.is_file():
        raise UserError(f"{path}: no such manifest; name a file that 'radrl data prepare' or 'radrl phantom' wrote")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path}: cannot read the manifest: {in_words(error)}") from None


def stream_manifest(path: str | os.PathLike[str], *, needed: bool = True) -> Iterator[Example]:
    """Yields the Examples of a manifest, every line checked; ids may be equal.

    Raises:
        UserError: the file is missing, a line is not an Example (file, line and key are named), or the file is empty
            though Examples are ``needed``.
    """
    line = None
    for line in manifest_lines(path):
        yield line.example()
    if needed and line is None:
        raise empty_manifest(path)


def read_manifest(path: str | os.PathLike[str], limit: int | None = None) -> list[Example]:
    """Reads a JSONL manifest into memory, every line checked, or its first ``limit`` Examples; for large ones see
    example_set.py.

    Raises:
        UserError: the file is missing or empty, a line is not an Example, or an id is used twice.
    """
    examples: list[Example] = []
    places: dict[str, int] = {}
    for line in islice(manifest_lines(path), limit):
        example = line.example()
        if example.id in places:
            raise UserError(
                f"{line.place}: id {example.id!r} is already used in line {places[example.id]}; "
                "give each Example its own id"
            )
        places[example.id] = line.number
        examples.append(example)
    if not examples:
        raise empty_manifest(path)
    return examples


def empty_manifest(path: str | os.PathLike[str]) -> UserError:
    """Returns the error of a manifest without Examples."""
    return UserError(f"{path}: the data set is empty; a manifest holds one Example in JSON a line")


def write_manifest(path: str | os.PathLike[str], examples: Iterable[Example]) -> int:
    """Writes Examples as JSONL, first to a temporary name and then renamed; returns how many.

    Raises:
        UserError: an Example holds what JSON cannot, or the file cannot be written.
    """
    lines = []
    for number, example in enumerate(examples, 1):
        try:
            lines.append(example.model_dump_json(exclude_defaults=True))
        except ValueError:  # pydantic's serialization error; its text may quote the Example
            raise UserError(
                f"{path}: Example {number}, id {example.id!r}, holds text or meta that JSON cannot (half a surrogate "
                "pair, an object); remove it"
            ) from None
    write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)

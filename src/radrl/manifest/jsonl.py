"""Manifests: JSONL files of Examples, one a line, checked line by line; for large ones see example_set.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from radrl.errors import UserError
from radrl.example import Example
from radrl.support.files import write_text


def read_manifest(path: str | os.PathLike[str], limit: int | None = None) -> list[Example]:
    """Reads a JSONL manifest into memory, every line checked; for large ones see example_set.py.

    Raises:
        UserError: the file is missing or empty, or a line is not an Example (file, line and key are named).
    """
    path = Path(path)
    examples: list[Example] = []
    seen: dict[str, int] = {}
    with open_manifest(path) as lines:
        for number, raw in enumerate(lines, 1):
            if limit is not None and len(examples) >= limit:
                break
            if not raw.strip():
                continue
            example = parse_line(path, number, raw, first=number == 1)
            if example.id in seen:
                raise UserError(
                    f"{path}:{number}: id {example.id!r} stands already in line {seen[example.id]}; "
                    "give each Example its own id"
                )
            seen[example.id] = number
            examples.append(example)
    if not examples:
        raise UserError(f"{path}: the data set is empty; a manifest holds one Example in JSON a line")
    return examples


def stream_manifest(path: str | os.PathLike[str]) -> Iterator[Example]:
    """Yields the Examples of a manifest; ids may be equal. Raises UserError as read_manifest."""
    path = Path(path)
    number = 0
    with open_manifest(path) as lines:
        for number, raw in enumerate(lines, 1):
            if raw.strip():
                yield parse_line(path, number, raw, first=number == 1)
    if not number:
        raise UserError(f"{path}: the data set is empty; a manifest holds one Example in JSON a line")


@contextmanager
def open_manifest(path: Path) -> Iterator[IO[bytes]]:
    """Opens a manifest for reading its lines. Raises UserError where it is missing or cannot be read."""
    if not path.is_file():
        raise UserError(f"{path}: no such manifest; name a file that 'radrl data prepare' or 'radrl phantom' wrote")
    try:
        with path.open("rb") as lines:
            yield lines
    except OSError as error:
        raise manifest_error(path, error) from None


def manifest_error(path: Path, error: OSError) -> UserError:
    """Returns the error of a manifest that the system will not let us read."""
    return UserError(f"{path}: cannot read the manifest: {error.strerror}")


def parse_line(path: Path, number: int | Callable[[], int], raw: bytes, *, first: bool = False) -> Example:
    """Returns the Example of a manifest's line; ``number`` is asked for only to name the line in an error.

    Raises:
        UserError: the line is not an Example.
    """
    try:
        # editors on Windows begin a file with a byte order mark
        return Example.model_validate_json(raw.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError as error:
        line = number() if callable(number) else number
        raise UserError(
            f"{path}:{line}: not UTF-8 text ({error.reason} at byte {error.start} of the line); save it as UTF-8"
        ) from None
    except ValidationError as error:
        line = number() if callable(number) else number
        first_error = error.errors()[0]
        key = ".".join(str(part) for part in first_error["loc"])
        at = f" key {key!r}" if key else ""
        hint = "; remove it or put it under 'meta'" if first_error["type"] == "extra_forbidden" else ""
        message = first_error["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}:{line}:{at} {message}{hint}") from None


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

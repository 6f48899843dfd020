"""Files of other people, opened safely: whatever they hold, reading ends, keeps little in memory and stays below the
root. A file that is wrong as a whole is a UserError.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from radrl.errors import UserError, in_words, one_line

LONGEST_LINE = 8 << 20  # bytes of one line of a table
LARGEST_JSON = 1 << 30
LARGEST_TEXT = 4 << 20  # bytes of a report or an XML file
# A table shrinks by ten to a hundred times; what unpacks to more is a bomb.
UNPACKED_AT_LEAST, UNPACKED_TIMES = 128 << 20, 100
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError,
          RuntimeError, ValueError)  # fmt: skip  # what archives raise when they are damaged or ask for a password
# what a record raises that holds other things than its set: text for a number, a list for a mapping, 1e400 for a size
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def find(root: Path, names: Sequence[str]) -> Path:
    """Returns the first of the files ``names`` below ``root`` that is there, as it is or with .gz or .zip at its end.

    Raises:
        UserError: none is there, or it is a link that leads out of the root.
    """
    for name in names:
        for ending in ("", ".gz", ".zip"):
            file = Path(root) / f"{name}{ending}"
            if file.is_file():
                return inside(root, f"{name}{ending}")
    others = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
    raise UserError(f"{root}: holds no {names[0]}{others}; 'radrl data list' shows the layout that is read")


def has(root: Path, names: Sequence[str]) -> bool:
    """Returns whether `find` would find one of the files."""
    return any((Path(root) / f"{name}{ending}").is_file() for name in names for ending in ("", ".gz", ".zip"))


def inside(root: Path, path: str) -> Path:
    """Returns ``root/path``.

    Raises:
        UserError: the path is absolute, holds ``..``, or leads out of the root by a link.
    """
    if not is_plain(path):
        raise UserError(one_line(f"{root}: path {path!r} should be relative and stay below this folder"))
    file = Path(root) / path
    try:
        leads_out = not os.path.realpath(file).startswith(os.path.join(os.path.realpath(root), ""))
    except (OSError, ValueError):
        leads_out = True
    if leads_out:
        raise UserError(one_line(f"{file}: a link that leads out of {root}; put the file itself there"))
    return file


def is_plain(path: str) -> bool:
    """Returns whether a path is relative, without ``..``, backslashes and control characters, and not overlong."""
    parts = path.split("/")
    longest = 255 if path.isascii() else 63  # signs of a name: 255 bytes, at most four a sign
    return (
        bool(path) and path.isprintable() and "\\" not in path and ".." not in parts and bool(parts[0])
        and len(path) < 2000 and len(max(parts, key=len)) <= longest
    )  # fmt: skip


class Stream(Protocol):
    """What is read of a file, packed or not."""

    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self, size: int = ..., /) -> bytes: ...


class _Metered:
    """A stream that ends with an error when more comes out of it than a table of this size can hold."""

    def __init__(self, file: Path, stream: Stream, packed: int) -> None:
        self.file, self.stream = file, stream
        self.left = max(UNPACKED_AT_LEAST, packed * UNPACKED_TIMES)

    def _count(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left < 0:
            raise UserError(f"{self.file}: unpacks to far more than a data set holds; use the published file")
        return data

    def readline(self, size: int = -1) -> bytes:
        return self._count(self.stream.readline(size))

    def read(self, size: int = -1) -> bytes:
        # never all at once: a bomb would be in memory before it is counted
        return self._count(self.stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20))


@contextmanager
def unpacked(file: Path) -> Iterator[Stream]:
    """Opens a file for reading bytes, through gzip or out of a ZIP of one file where its name ends so.

    Raises:
        UserError: the file cannot be read, or unpacks to far more than its size.
    """
    try:
        with file.open("rb") as raw:
            if file.suffix == ".gz":
                with gzip.open(raw) as stream:
                    yield _Metered(file, stream, os.fstat(raw.fileno()).st_size)
            elif file.suffix == ".zip":
                with zipfile.ZipFile(raw) as archive, archive.open(_only_member(file, archive)) as stream:
                    yield _Metered(file, stream, os.fstat(raw.fileno()).st_size)
            else:
                yield raw
    except BROKEN as error:
        raise damaged(file, error) from None


def _only_member(file: Path, archive: zipfile.ZipFile) -> str:
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    same = [n for n in names if PurePosixPath(n).name == file.stem]
    if len(names) != 1 and len(same) != 1:
        raise UserError(f"{file}: holds {len(names)} files; unpack it and leave {file.stem} beside it")
    return (same or names)[0]


def damaged(where: object, error: BaseException) -> UserError:
    """Returns the error of a file that its reader gave up on."""
    return UserError(one_line(f"{where}: damaged or cut off ({in_words(error)}); download it again"))


def read_bytes(root: Path, path: str, most: int = LARGEST_TEXT) -> bytes:
    """Returns the bytes of a file below the root.

    Raises:
        UserError: it is not there, not below the root, or larger than ``most``.
    """
    file = inside(root, path)
    if not file.is_file():
        raise UserError(one_line(f"{file}: no such file"))
    with unpacked(file) as stream:
        parts, size = [], 0
        while size <= most and (part := stream.read(min(1 << 20, most + 1 - size))):
            parts.append(part)
            size += len(part)
    if size > most:
        raise UserError(f"{file}: larger than {most >> 20} MiB; use the published file")
    return b"".join(parts)


def read_text(root: Path, path: str, most: int = LARGEST_TEXT) -> str:
    """Returns a text file below the root, read as UTF-8. Raises UserError as `read_bytes`, or where it is not UTF-8."""
    try:
        return read_bytes(root, path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{Path(root) / path}: not UTF-8 text (byte {error.start})") from None


def read_json(root: Path, names: Sequence[str]) -> Any:
    """Returns the value of a JSON file (also .gz, .zip); NaN and infinity are refused.

    Raises:
        UserError: no such file, or it is not JSON.
    """
    file = find(root, names)
    try:
        return json.loads(read_bytes(root, str(file.relative_to(root)), LARGEST_JSON), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(one_line(f"{file}: not JSON ({error}); use the published file")) from None


def refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")

"""Safe reading of published files: tables, JSON, text; archives and XML are in archives.py.

Whatever the files hold, reading ends, keeps little in memory and stays below the root. What a whole file is wrong in
is a UserError; what one row is wrong in is a `Wrong` that a reader passes on.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from radrl.errors import UserError, in_words, one_line

LONGEST_LINE = 8 << 20  # bytes of one line of a table
LONGEST_CELL = 4 << 20  # characters
LARGEST_JSON = 1 << 30
LARGEST_TEXT = 4 << 20  # bytes of a report or an XML file
# A table shrinks by ten to a hundred times; what unpacks to more is a bomb.
UNPACKED_AT_LEAST, UNPACKED_TIMES = 128 << 20, 100
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError,
          RuntimeError, ValueError)  # fmt: skip  # what archives raise when they are damaged or ask for a password
# what a record raises that holds other things than its set: text for a number, a list for a mapping, 1e400 for a size
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
MOST_WRONG = 10_000  # rows of a side table; beyond it is another file

csv.field_size_limit(LONGEST_CELL)


class Row(dict[str, str]):
    """A row of a table by column, cells stripped; ``where`` is file and line."""

    __slots__ = ("file", "line")
    file: Path
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


class Wrong(NamedTuple):
    """A row that cannot be read: file and line, and why."""

    where: str
    why: str


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


def table(
    root: Path, names: Sequence[str], columns: Sequence[str], *, optional: Sequence[str] = (), delimiter: str = ","
) -> Iterator[Row | Wrong]:
    """Yields the rows of a CSV file (also .gz, .zip) in which all ``columns`` are wanted, ``optional`` ones kept.

    Columns that are not named are not kept. Names and cells are stripped. Rows of the wrong number of cells or that
    are not UTF-8 are Wrong; empty columns at the end do not count.

    Raises:
        UserError: no such file, no such column, or a file that is damaged from some line on.
    """
    file = find(root, names)
    with unpacked(file) as stream:
        escaped: list[int] = []
        rows = csv.reader(_lines(file, stream, escaped), delimiter=delimiter)
        header = [name.strip() for name in _next(file, rows) or []]
        while header and not header[-1]:
            header.pop()
        for name in columns:
            if header.count(name) != 1:
                has = ", ".join(header[:20]) or "nothing"
                raise UserError(one_line(f"{file}: wants one column '{name}', has {has}; use the published file"))
        kept = [(i, name) for i, name in enumerate(header) if name in columns or name in optional]
        width = len(header)
        while (cells := _next(file, rows)) is not None:
            if len(cells) != width:
                while len(cells) > width and not cells[-1].strip():
                    cells.pop()
                if not any(cells):
                    continue
            if len(cells) != width:
                yield Wrong(f"{file}:{rows.line_num}", f"{len(cells)} cells, not {width}")
            elif escaped:
                yield Wrong(f"{file}:{escaped[0]}", "not UTF-8 text")
            else:
                row = Row([(name, cells[i].strip()) for i, name in kept])
                row.file, row.line = file, rows.line_num
                yield row
            escaped.clear()


def _next(file: Path, rows: Any) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        raise UserError(f"{file}:{rows.line_num}: not a table from here on ({error}); use the published file") from None
    except BROKEN as error:
        raise damaged(f"{file}:{rows.line_num}", error) from None


def _lines(file: Path, stream: Stream, escaped: list[int]) -> Iterator[str]:
    number = 0
    while raw := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise UserError(f"{file}:{number}: a line of more than {LONGEST_LINE >> 20} MiB; use the published file")
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            escaped.append(number)
            yield raw.decode("utf-8", errors="replace")


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
        return json.loads(read_bytes(root, str(file.relative_to(root)), LARGEST_JSON), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(one_line(f"{file}: not JSON ({error}); use the published file")) from None


def json_lines(root: Path, names: Sequence[str]) -> Iterator[tuple[str, Any] | Wrong]:
    """Yields ``(file:line, value)`` of every line of a JSONL file; a line that is not JSON is Wrong."""
    file = find(root, names)
    with unpacked(file) as stream:
        for number, line in enumerate(_lines(file, stream, []), 1):
            if line.strip():
                try:
                    yield f"{file}:{number}", json.loads(line, parse_constant=_refuse)
                except (ValueError, RecursionError):
                    yield Wrong(f"{file}:{number}", "not JSON")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


class Lookup:
    """A table by key, on disk: joins of any size in little memory. Of several rows of one key the first one counts.

    ``wrong`` holds the rows that could not be read.
    """

    def __init__(self, rows: Iterable[Row | Wrong], key: Callable[[Row], str]) -> None:
        """Raises UserError where more than 10,000 rows are wrong: this is another file."""
        self.wrong: list[Wrong] = []
        self._db = _database()
        self._db.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID")
        self._db.executemany("INSERT OR IGNORE INTO t VALUES (?, ?)", self._pairs(rows, key))

    def _pairs(self, rows: Iterable[Row | Wrong], key: Callable[[Row], str]) -> Iterator[tuple[str, str]]:
        for row in rows:
            if isinstance(row, Wrong):
                self.wrong.append(row)
                if len(self.wrong) > MOST_WRONG:
                    raise UserError(f"{row.where}: {MOST_WRONG} rows before it are wrong too; use the published file")
            else:
                yield key(row), json.dumps(row)

    def get(self, key: str) -> dict[str, str] | None:
        """Returns the row of a key, or None."""
        found = self._db.execute("SELECT v FROM t WHERE k = ?", (key,)).fetchone()
        return None if found is None else json.loads(found[0])


def grouped(rows: Iterable[Row | Wrong], key: Callable[[Row], str]) -> Iterator[tuple[str, list[Row]] | Wrong]:
    """Yields the rows of each key together, keys in the order of their first row; rows need not stand together.

    The rows wait on disk, so memory is that of one group. Wrong rows come first.
    """
    database = _database()
    database.execute("CREATE TABLE g (k TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID")
    database.execute("CREATE TABLE t (n INTEGER, v TEXT)")
    files: list[Path] = []
    for count, row in enumerate(rows):
        if isinstance(row, Wrong):
            yield row
            continue
        if not files or files[-1] != row.file:
            files.append(row.file)
        name = key(row)
        database.execute("INSERT OR IGNORE INTO g VALUES (?, ?)", (name, count))
        number = database.execute("SELECT n FROM g WHERE k = ?", (name,)).fetchone()[0]
        database.execute("INSERT INTO t VALUES (?, ?)", (number, json.dumps([len(files) - 1, row.line, name, row])))
    last: int | None = None
    name = ""
    group: list[Row] = []
    for number, value in database.execute("SELECT n, v FROM t ORDER BY n, rowid"):
        if number != last and group:
            yield name, group
            group = []
        last = number
        file, line, name, cells = json.loads(value)
        row = Row(cells)
        row.file, row.line = files[file], line
        group.append(row)
    if group:
        yield name, group


def _database() -> sqlite3.Connection:
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": a file of its own, soon gone
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -32000")  # 32 MB
    return database

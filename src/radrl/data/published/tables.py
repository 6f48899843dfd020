"""The rows of published tables (CSV). A row that is wrong is a `Wrong`, which a reader passes on; a file that is wrong
as a whole is a UserError, as in safe_files.py."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from radrl.data.published.safe_files import BROKEN, LONGEST_LINE, Stream, damaged, find, unpacked
from radrl.errors import UserError, one_line

LONGEST_CELL = 4 << 20  # characters

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

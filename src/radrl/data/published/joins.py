"""Tables joined and grouped by a key, on disk: tables of any size in little memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from radrl.data.published.tables import Row, Wrong
from radrl.errors import UserError

MOST_WRONG = 10_000  # rows of a side table; beyond it is another file


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

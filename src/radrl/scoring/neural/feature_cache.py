"""Features of reference texts on disk, so that they outlive a run: one SQLite file in the folder ``$RADRL_CACHE``.

A feature is found by a digest of the text, of the file of weights and of the code that computes it; the file holds
digests, spans and numbers, no text. What another version of code or weights wrote is never read.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from radrl.errors import UserError

Features = TypeVar("Features")
_AT_ONCE = 500


class Disk(Generic[Features]):
    """The features of one model. ``to_bytes`` and ``from_bytes`` turn one into what is kept and back."""

    def __init__(
        self, file: Path, model: bytes, to_bytes: Callable[[Features], bytes], from_bytes: Callable[[bytes], Features]
    ) -> None:
        self.file, self.model, self.to_bytes, self.from_bytes = file, model, to_bytes, from_bytes
        file.parent.mkdir(parents=True, exist_ok=True)
        self._run("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get(self, texts: Iterable[str]) -> dict[str, Features]:
        """Returns what is there of these texts. Raises UserError where the file cannot be read."""
        keys = {self._key(text): text for text in texts}
        found: dict[str, Features] = {}
        every = list(keys)
        for k in range(0, len(every), _AT_ONCE):
            part = every[k : k + _AT_ONCE]
            for key, value in self._run(f"SELECT * FROM features WHERE key IN ({','.join('?' * len(part))})", part):
                found[keys[key]] = self.from_bytes(value)
        return found

    def put(self, features: Mapping[str, Features]) -> None:
        """Keeps the features of texts. Raises UserError where the file cannot be written."""
        rows = [(self._key(text), self.to_bytes(one)) for text, one in features.items()]
        self._run("INSERT OR IGNORE INTO features VALUES (?, ?)", many=rows)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(self.model + text.encode(errors="surrogatepass")).digest()

    def _run(self, sql: str, values: Iterable[bytes] = (), many: list[tuple[bytes, bytes]] | None = None) -> list:
        try:
            with closing(sqlite3.connect(self.file, timeout=60)) as base, base:
                return (
                    base.executemany(sql, many).fetchall()
                    if many is not None
                    else base.execute(sql, [*values]).fetchall()
                )
        except sqlite3.Error as error:
            raise UserError(f"{self.file}: cannot use this cache ({error}); remove it, or unset RADRL_CACHE") from None


def open_disk(
    weights: Path,
    device: str,
    code: Iterable[Path],
    to_bytes: Callable[[Features], bytes],
    from_bytes: Callable[[bytes], Features],
) -> Disk[Features] | None:
    """Returns the cache of a model's features in ``$RADRL_CACHE``; None where that is not set.

    ``weights`` is the file of its weights and ``code`` the files that compute its features. Kinds of device are kept
    apart: they round differently.
    """
    folder = os.environ.get("RADRL_CACHE")
    if not folder:
        return None
    digest = hashlib.sha256(device.split(":")[0].encode())
    for file in (weights, *sorted(code)):
        digest.update(_digest(file, file.stat().st_mtime_ns))
    return Disk(Path(folder).expanduser() / "features.sqlite", digest.digest(), to_bytes, from_bytes)


@cache
def _digest(file: Path, _changed: int) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()

"""Parquet files as the Hugging Face Hub has them: rows of text, and images inside the file.

An image inside a file is named like a file below it: ``data/test-00000-of-00001.parquet/12/image_1`` is column
``image_1`` of row 12, rows counted from 0 over the whole file. Memory is that of a few rows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from radrl.data.published import safe_files
from radrl.data.published.safe_files import BROKEN, damaged, inside
from radrl.errors import UserError, one_line

BATCH = 16  # rows that are in memory together: those of images are large
LARGEST_IMAGE = 1 << 30  # bytes
_EMBEDDED = re.compile(r"(.+\.parquet)/(\d{1,12})/(\w{1,100})", re.A)


def shards(root: Path, patterns: Sequence[str]) -> list[str]:
    """Returns the paths below the root that match the first of the patterns (``data/test-*.parquet``) that has any."""
    for pattern in patterns:
        if found := sorted(file.relative_to(root).as_posix() for file in Path(root).glob(pattern)):
            return found
    return []


def parquet_rows(
    root: Path, path: str, columns: Sequence[str], *, optional: Sequence[str] = (), images: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields ``(file, row n)`` as text and each row of a Parquet file, with all ``columns``, and those of ``optional``
    and ``images`` that there are. Of images the row holds the name (see above), or None where there is none.

    Raises:
        UserError: the file is missing or damaged, lacks a column, or unpacks to far more than its size.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    file = inside(root, path)
    with _told(file):
        parquet = _opened(file)
        there = parquet.schema_arrow.names
        for name in columns:
            if there.count(name) != 1:
                raise UserError(
                    one_line(f"{file}: wants one column '{name}', has {', '.join(there[:30])}; use the published file")
                )
        texts = [name for name in there if name in columns or name in optional]
        pictures = [name for name in images if name in there]
        left = max(safe_files.UNPACKED_AT_LEAST, file.stat().st_size * safe_files.UNPACKED_TIMES)
        number = 0
        wanted = [*texts, *(_leaf(parquet, name) for name in pictures)]
        for batch in parquet.iter_batches(BATCH, columns=wanted, use_threads=False):
            left -= batch.nbytes
            if left < 0:
                raise UserError(f"{file}: unpacks to far more than a data set holds; use the published file")
            cells = {name: batch.column(name).to_pylist() for name in texts}
            for name in pictures:
                values = batch.column(name)
                if pa.types.is_struct(values.type):
                    values = pc.struct_field(values, "bytes")  # pyright: ignore[reportAttributeAccessIssue]  made when imported
                cells[name] = [
                    f"{path}/{number + k}/{name}" if there else None
                    for k, there in enumerate(values.is_valid().to_pylist())
                ]
            for k in range(batch.num_rows):
                yield f"{file}, row {number + k}", {name: of[k] for name, of in cells.items()}
            number += batch.num_rows


def is_there(root: Path, path: str) -> bool:
    """Returns whether a path is a file below the root, or of an image within one. Raises UserError as `inside`."""
    match = _EMBEDDED.fullmatch(path)
    return inside(root, match.group(1) if match else path).is_file()


def embedded(root: Path, path: str) -> tuple[Path, bytes] | None:
    """Returns the file that an image is inside of, and the image's bytes; None where it is a file of its own.

    Raises:
        UserError: the file is damaged, or holds no such image.
    """
    match = _EMBEDDED.fullmatch(path)
    if match is None:
        return None
    file = inside(root, match.group(1))
    with _told(file):
        stat = file.stat()
        content = _column(file, match.group(3), stat.st_mtime_ns, stat.st_size, stat.st_ino).bytes(int(match.group(2)))
    if not isinstance(content, bytes) or len(content) > LARGEST_IMAGE:
        raise UserError(f"{file}: row {match.group(2)} has no image under '{match.group(3)}'; use the published file")
    return file, content


class _Column:
    """The images of a column; rows are best asked for in their order."""

    def __init__(self, file: Path, name: str) -> None:
        self.parquet, self.name = _opened(file), name
        self.starts = [0]
        for group in range(self.parquet.num_row_groups):
            self.starts.append(self.starts[-1] + self.parquet.metadata.row_group(group).num_rows)
        self.group, self.at = -1, 0
        self.batch: Any = None
        self.batches: Iterator[Any] = iter(())

    def bytes(self, row: int) -> Any:
        """Returns the value of a row; None where there is none."""
        group = bisect_right(self.starts, row) - 1
        if group >= self.parquet.num_row_groups:
            return None
        if group != self.group or row < self.at:
            columns = [_leaf(self.parquet, self.name)]
            self.batches = self.parquet.iter_batches(BATCH, row_groups=[group], columns=columns, use_threads=False)
            self.group, self.at, self.batch = group, self.starts[group], next(self.batches)
        while row >= self.at + self.batch.num_rows:
            self.at += self.batch.num_rows
            self.batch = next(self.batches)
        value = self.batch.column(0)[row - self.at].as_py()
        return value.get("bytes") if isinstance(value, dict) else value


@lru_cache(maxsize=8)
def _column(file: Path, name: str, *version: int) -> _Column:
    return _Column(file, name)


def _leaf(parquet: Any, name: str) -> str:
    """Returns what to read of a column of images: their bytes, not their paths."""
    import pyarrow as pa

    kind = parquet.schema_arrow.field(name).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return f"{name}.bytes"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind):
        return name
    raise ValueError(f"column '{name}' holds no images")


def _opened(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, page_checksum_verification=True)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turns whatever reading a file raises into one line that names it."""
    import pyarrow as pa

    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(one_line(f"{file}: no such file")) from None
    except (pa.ArrowException, *BROKEN, MemoryError, LookupError, TypeError, OverflowError, StopIteration) as error:
        raise damaged(file, error) from None

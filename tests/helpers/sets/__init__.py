"""Small made-up copies of published data sets in their official layout, one module each: ``write(root)`` makes it.

Tests read them, and benchmarks/fuzz_readers.py damages them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Returns the data sets there is a made-up copy of."""
    return sorted(file.stem for file in FOLDER.glob("[!_]*.py"))


def write(name: str, root: Path) -> Path:
    """Writes the made-up copy of a data set; returns its root."""
    root.mkdir(parents=True, exist_ok=True)
    module(name).write(root)
    return root


def module(name: str) -> ModuleType:
    spec = util.spec_from_file_location(f"made_up_{name}", FOLDER / f"{name}.py")
    found = util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def picture(file: Path, width: int = 40, height: int = 50, shade: int = 90) -> None:
    """Writes a small grey picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width), shade, np.uint8)
    pixels[: height // 2, : width // 2] = 200
    Image.fromarray(pixels).save(file)


def png(shade: int = 90, width: int = 40, height: int = 50) -> bytes:
    """Returns the bytes of a small grey picture, the upper left of it bright."""
    pixels = np.full((height, width), shade, np.uint8)
    pixels[: height // 2, : width // 2] = 200
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def parquet(file: Path, rows: list[dict], images: Sequence[str] = (), rows_a_group: int = 2) -> None:
    """Writes rows as the Hub does: images as ``{bytes, path}``, few rows a group."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {name: pa.array([row.get(name) for row in rows]) for name in rows[0] if name not in images}
    inside = [[row.get(name) and {"bytes": row[name], "path": f"{name}.png"} for row in rows] for name in images]
    columns |= {name: pa.array(values, kind) for name, values in zip(images, inside, strict=True)}
    pq.write_table(pa.table(columns), file, row_group_size=rows_a_group)


def jsonl(file: Path, rows: list[dict]) -> None:
    """Writes rows as JSON, one a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def csv(file: Path, *rows: str) -> None:
    """Writes the lines of a table."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(row + "\n" for row in rows), encoding="utf-8")

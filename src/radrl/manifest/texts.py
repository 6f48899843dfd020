"""JSONL files of texts by id: reports, references, predictions of other programs."""

from __future__ import annotations

import json
from pathlib import Path

from radrl.errors import UserError


def read_texts(path: Path) -> dict[str, str]:
    """Returns the texts of a JSONL file by id, in its order; ``completion`` is read for ``text`` where that is missing.

    Raises:
        UserError: the file cannot be read, or a line is no ``{"id", "text"}`` or repeats an id.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name, text = record["id"], record["text" if "text" in record else "completion"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f'{path}:{number}: not a line {{"id": ..., "text": ...}}') from None
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not isinstance(text, str):
            raise UserError(f"{path}:{number}: 'id' and 'text' should be text")
        if name in lines:
            raise UserError(f"{path}:{number}: id {name!r} is already used in line {lines[name]}")
        texts[name], lines[name] = text, number
    if not texts:
        raise UserError(f'{path}: no line; a line is {{"id": ..., "text": ...}}')
    return texts

"""JSONL files of texts by id: reports, references, predictions of other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from radrl.errors import UserError
from radrl.support.files import numbered_lines

WANTED = '{"id": "a1", "text": "..."}'


def stream_texts(path: str | os.PathLike[str], keys: Sequence[str] = ("text",)) -> Iterator[tuple[int, str, str]]:
    """Yields (line number, id, text) of each line of a JSONL file of ``{"id", "text"}``; an id may be a whole number.
    The text is that of the first of ``keys`` that a line has; other keys are left aside.

    Raises:
        UserError: the file cannot be read or is empty, or a line is no such object or repeats an id (file and line are
            named).
    """
    seen: dict[str, int] = {}
    for number, line in numbered_lines(path):
        name, text = _id_and_text(f"{path}:{number}", line, keys)
        if name in seen:
            raise UserError(
                f"{path}:{number}: id {name!r} is already used in line {seen[name]}; give each text its own id"
            )
        seen[name] = number
        yield number, name, text
    if not seen:
        raise UserError(f"{path}: no text; write one JSON object a line, {WANTED}")


def read_texts(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the texts of a JSONL file by id, in its order; ``completion`` is read where ``text`` is missing.

    Raises:
        UserError: as `stream_texts`.
    """
    return {name: text for _, name, text in stream_texts(path, ("text", "completion"))}


def _id_and_text(place: str, line: bytes, keys: Sequence[str]) -> tuple[str, str]:
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except (ValueError, RecursionError):
        raise UserError(f"{place}: not JSON; write {WANTED}") from None
    if not isinstance(record, dict):
        raise UserError(f"{place}: not an object; write {WANTED}")
    name = record.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    key = next((key for key in keys if key in record), keys[0])
    text = record.get(key)
    if not isinstance(name, str):
        raise UserError(f"{place}: key 'id' is {'not text' if 'id' in record else 'missing'}; write {WANTED}")
    if not isinstance(text, str):
        raise UserError(f"{place}: key '{key}' is {'not text' if key in record else 'missing'}; write {WANTED}")
    return name, text

"""Files that are one long list, an item at a time: JSON arrays, objects and lines, and lists within a pickle."""

from __future__ import annotations

import codecs
import json
import pickletools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from radrl.data.published.safe_files import DAMAGED, LARGEST_JSON, LONGEST_LINE, Stream, find, refuse_constant, unpacked
from radrl.data.published.tables import Wrong
from radrl.errors import UserError, one_line

PART = 1 << 18  # bytes read at a time
DEEPEST = 8  # of a pickle; a list of dicts has 2
MOST_OPCODES = 50_000_000
SPACE = re.compile(r"[ \t\n\r]*")


def json_items(root: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yields ``(file, item n)`` as text and each value of a JSON list, or of a JSONL file. NaN and infinity are None.

    Raises:
        UserError: no such file, or from some item on it is no such list.
    """
    file = find(root, names)
    with unpacked(file) as stream:
        yield from _items(file, stream)


def _items(file: Path, stream: Stream) -> Iterator[tuple[str, Any]]:
    scan = json.JSONDecoder(parse_constant=lambda _: None).raw_decode
    text, at, number = _Text(file, stream), 0, 0
    at = text.after_space(at)
    listed = text.buffer[at : at + 1] == "["
    at = text.after_space(at + listed)
    while at < len(text.buffer):
        if listed and text.buffer[at] == "]":
            if text.after_space(at + 1) < len(text.buffer):
                raise UserError(f"{file}: goes on after the end of its list; use the published file")
            return
        value, at = _scanned(scan, text, at, f"{file}, item {number + 1}")
        number += 1
        yield f"{file}, item {number}", value
        at = text.after_space(text.forget(at))
        if listed and text.buffer[at : at + 1] not in (",", "]"):
            raise UserError(f"{file}, item {number}: no comma after it; use the published file")
        if listed and text.buffer[at] == ",":
            at = text.after_space(at + 1)
    if listed or not number:
        raise UserError(f"{file}: ends within its list after {number} items; download it again")


def json_members(root: Path, names: Sequence[str]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yields ``(file, 'key')`` as text and ``(key, value)`` of each member of a JSON object. NaN, infinity are None.

    Raises:
        UserError: no such file, or from some member on it is no such object.
    """
    file = find(root, names)
    scan = json.JSONDecoder(parse_constant=lambda _: None).raw_decode
    with unpacked(file) as stream:
        text, where = _Text(file, stream), f"{file}"
        at = text.after_space(0)
        if text.buffer[at : at + 1] != "{":
            raise UserError(f"{file}: not an object of JSON, {{...}}; use the published file")
        at = text.after_space(at + 1)
        while text.buffer[at : at + 1] != "}":
            key, at = _scanned(scan, text, at, f"{where}, after it")
            at = text.after_space(at)
            if not isinstance(key, str) or text.buffer[at : at + 1] != ":":
                raise UserError(one_line(f"{where}: no key and ':' after it; use the published file"))
            where = one_line(f"{file}, '{key[:200]}'")
            value, at = _scanned(scan, text, text.after_space(at + 1), where)
            yield where, (key, value)
            at = text.after_space(text.forget(at))
            if text.buffer[at : at + 1] not in (",", "}"):
                raise UserError(f"{where}: no comma after it; use the published file")
            if text.buffer[at] == ",":
                at = text.after_space(at + 1)
                if text.buffer[at : at + 1] == "}":
                    raise UserError(f"{where}: nothing after its comma; use the published file")


def _scanned(scan: Any, text: _Text, at: int, where: str) -> tuple[Any, int]:
    while True:
        try:
            value, end = scan(text.buffer, at)
            if end < len(text.buffer) or not text.more():  # a number may go on in the next part
                return value, end
        except json.JSONDecodeError as error:
            if len(text.buffer) - at > LONGEST_LINE or not text.more():
                raise UserError(one_line(f"{where}: not JSON ({error.msg}); use the published file")) from None
        except (ValueError, RecursionError) as error:
            raise UserError(one_line(f"{where}: not JSON ({error}); use the published file")) from None


class _Text:
    """The part of a file that is being looked at, as text."""

    def __init__(self, file: Path, stream: Stream) -> None:
        self.file, self.stream, self.buffer = file, stream, ""
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def more(self) -> bool:
        """Reads on; returns False at the end of the file. What is left over grows twofold, for scans start anew."""
        part = self.stream.read(max(PART, min(len(self.buffer), LONGEST_LINE)))
        try:
            self.buffer += self.decoder.decode(part, final=not part)
        except UnicodeDecodeError as error:
            raise UserError(f"{self.file}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
        return bool(part)

    def forget(self, at: int) -> int:
        """Drops what was read, now and then; returns the new place of ``at``."""
        if at < PART:
            return at
        self.buffer = self.buffer[at:]
        return 0

    def after_space(self, at: int) -> int:
        """Returns the place of the next sign that is no white space, or of the end."""
        while True:
            if space := SPACE.match(self.buffer, at):
                at = space.end()
            if at < len(self.buffer) or not self.more():
                return at


def pickled_items(root: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yields ``(file, item n)`` as text and each item of a pickled list of dicts of text and whole numbers.

    The file is never unpickled: its opcodes are read one by one, and those that could import, call or build anything
    are refused. So it is data, whoever made it.

    Raises:
        UserError: no such file, or it holds anything else than such a list.
    """
    file = find(root, names)
    with unpacked(file) as stream:
        content = bytearray()
        while part := stream.read(1 << 20):
            content += part
            if len(content) > LARGEST_JSON:
                raise UserError(f"{file}: larger than {LARGEST_JSON >> 20} MiB; use the published file")
    try:
        found = _plain(bytes(content))
        if not isinstance(found, list):
            raise ValueError(f"a {type(found).__name__}, not a list")
    except DAMAGED as error:
        raise UserError(
            one_line(f"{file}: not a pickled list of plain data ({error}); use the published file")
        ) from None
    for number, value in enumerate(found, 1):
        yield f"{file}, item {number}", value


def _plain(content: bytes) -> Any:
    """Returns the value of a pickle of lists, dicts, text and numbers.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it holds anything else, or is damaged.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for count, (opcode, value, _) in enumerate(pickletools.genops(content)):
        name, place = opcode.name, value if isinstance(value, int) else -1
        if count > MOST_OPCODES or len(marks) > DEEPEST:
            raise ValueError("too long or too deep")
        if name in _VALUES:
            stack.append(value)
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[place] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[place])
        elif name in ("LIST", "DICT"):
            items = since_mark()
            stack.append(items if name == "LIST" else dict(zip(items[::2], items[1::2], strict=True)))
        elif name in ("APPEND", "APPENDS"):
            items = since_mark() if name == "APPENDS" else [stack.pop()]
            list.extend(stack[-1], items)
        elif name in ("SETITEM", "SETITEMS"):
            items = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            dict.update(stack[-1], zip(items[::2], items[1::2], strict=True))
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"holds {name}")
    raise ValueError("it is cut off")


_VALUES = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING",
           "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}  # fmt: skip
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def text_lines(root: Path, names: Sequence[str]) -> Iterator[tuple[str, str] | Wrong]:
    """Yields ``(file:line, text)`` of the lines of a text file that are not blank; those that are not UTF-8 are Wrong.

    Raises:
        UserError: no such file, or a line is of more than 8 MiB.
    """
    file = find(root, names)
    with unpacked(file) as stream:
        number = 0
        while raw := stream.readline(LONGEST_LINE + 1):
            number += 1
            where = f"{file}:{number}"
            if len(raw) > LONGEST_LINE:
                raise UserError(f"{where}: a line of more than {LONGEST_LINE >> 20} MiB; use the published file")
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                yield Wrong(where, "not UTF-8 text")
                continue
            if text:
                yield where, text


def json_lines(root: Path, names: Sequence[str]) -> Iterator[tuple[str, Any] | Wrong]:
    """Yields ``(file:line, value)`` of every line of a JSONL file; a line that is not JSON is Wrong.

    Raises:
        UserError: as `text_lines`.
    """
    for line in text_lines(root, names):
        if isinstance(line, Wrong):
            yield line
            continue
        try:
            yield line[0], json.loads(line[1], parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            yield Wrong(line[0], "not JSON")

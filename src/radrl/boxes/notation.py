"""Boxes as text: how each kind of model writes them, and what a model's text says.

The convention (`BoxFormat`) says what the numbers mean and is a property of the model; in another one nothing is
guessed (`radrl.boxes.misfit` says where a model seems to keep another). The notation is read as it comes: RadVLM's
sentences (arXiv 2512.10691), ``label [x1, y1, x2, y2]``, Qwen-VL's JSON and tokens, lists of lists, tags, corner by
corner.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from radrl.boxes.box_labels import LONGEST_LABEL, Bracket, box_labels
from radrl.errors import UserError
from radrl.example import Box, WrongBox

BoxFormat = Literal["unit", "thousand", "pixel", "qwen2"]
"""``unit``: 0-1 with two decimals after their label, as RadVLM. ``thousand``: JSON in 0-1000, as Qwen3-VL. ``pixel``:
JSON in pixels of the resized image, as Qwen2.5-VL. ``qwen2``: 0-1000 as Qwen2-VL's ``(x,y),(x,y)`` and its tokens."""
Size = tuple[int, int]
"""Width and height of the resized image."""
Corners = tuple[float, float, float, float]
"""``x1, y1, x2, y2``."""

OVERHANG = 0.01  # share of the image's side by which a box may lie outside and is cut at the edge
_NUMBER = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)"
_NUMBERS = re.compile(rf"\s*+[\"']?({_NUMBER})[\"']?(?:(?:\s*+[,;]\s*+|\s++)[\"']?{_NUMBER}[\"']?)++\s*+[,;]?\s*+\\?")
_BRACKET = re.compile(r"[\[({<]([^\[\](){}<>]*+)[\])}>]")
_ANY_NUMBER = re.compile(rf"(?<![\w.]){_NUMBER}")  # not the 1 of "x1"
_STARTS = re.compile(rf"\s*+[\"']?{_NUMBER}")
_STARTED = re.compile(rf"\[\s*+[\"']?{_NUMBER}")
_BREAKS_OFF = re.compile(r"\s*+(?:[,;]\s*+[\[(]?|[\[(])[0-9.,\s+-]*+")
_TO_NEXT_CORNER = re.compile(r"\s*+(?:[,;–→-]|->|to)\s*+")

_PLAIN = str.maketrans("［］（）【】〔〕｛｝＜＞，、；：．－−０１２３４５６７８９", "[]()[][]{}<>,,;:.--0123456789")
_BOX_TAG = re.compile(r"<\|?(/?)(?:b?box|box_(start|end))\|?>", re.I)
_TAG = re.compile(r"</?\|?/?[A-Za-z_]{1,30}\|?>|\\(?:boxed|text)\b")


class Reading(NamedTuple):
    """The boxes of a text, in its order: those that are some, in 0-1 of the image, and those that are wrong.

    ``clamped`` is how many of the boxes were cut at the image's edge. ``whole`` is False where a box is wrong, or one
    was begun that cannot be read.
    """

    boxes: tuple[Box, ...]
    wrong: tuple[WrongBox, ...]
    clamped: int
    whole: bool


# Writing


def boxes_text(boxes: Sequence[Box], box_format: BoxFormat, size: Size | None = None) -> str:
    """Returns boxes as a model of that convention writes them; empty for no boxes.

    A box narrower than the last digit is written one step wide.

    Raises:
        UserError: boxes in pixels without the size of the resized image.
    """
    if not boxes:
        return ""
    if box_format == "unit":
        rows = [[f"{v / 100:.2f}" for v in _rounded(box, (100, 100), 2)] for box in boxes]
        return ", ".join(f"{box.label} [{', '.join(row)}]".lstrip() for box, row in zip(boxes, rows, strict=True))
    if box_format == "qwen2":
        return "".join(map(_qwen2, boxes))
    steps, digits = (_known(size), None) if box_format == "pixel" else ((1000, 1000), 3)
    items = [{"bbox_2d": _rounded(box, steps, digits), "label": box.label} for box in boxes]
    return "```json\n[\n" + ",\n".join("\t" + json.dumps(item, ensure_ascii=False) for item in items) + "\n]\n```"


def _qwen2(box: Box) -> str:
    x1, y1, x2, y2 = _rounded(box, (1000, 1000), 3)
    label = f"<|object_ref_start|>{box.label}<|object_ref_end|>" if box.label else ""
    return f"{label}<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>"


def _rounded(box: Box, steps: Size, digits: int | None) -> list[int]:
    """Returns the corners in steps of the image's sides; where no width or height would be left, one step that it lies
    in. ``digits`` are decimals to round to first."""
    exact = [v if digits is None else round(v, digits) for v in box.xyxy]
    ends = [round(v * steps[i % 2]) for i, v in enumerate(exact)]
    for axis in (0, 1):
        if ends[axis] == ends[axis + 2]:
            ends[axis] = min(math.floor(box.xyxy[axis] * steps[axis]), steps[axis] - 1)
            ends[axis + 2] = ends[axis] + 1
    return ends


def _known(size: Size | None) -> Size:
    if not size or min(size) < 1:
        raise UserError(
            "box_format: boxes in pixels need the size of the resized image, which is not known here; "
            "use 'unit' or 'thousand'"
        )
    return size


def to_unit(numbers: Sequence[float], box_format: BoxFormat, size: Size | None = None) -> Corners:
    """Returns ``x1, y1, x2, y2`` of a convention in 0-1 of the image; nothing is clipped.

    Raises:
        UserError: boxes in pixels without the size of the resized image.
    """
    x1, y1, x2, y2 = numbers
    x, y = (1, 1) if box_format == "unit" else _known(size) if box_format == "pixel" else (1000, 1000)
    return x1 / x, y1 / y, x2 / x, y2 / y


# Reading


def read_boxes(text: str, box_format: BoxFormat, size: Size | None = None) -> Reading:
    """Returns the boxes that a text holds in a convention. Never raises on any text, in time linear in its length.

    Four numbers in brackets are a box, ``[x1, y1, x2, y2]`` or ``(x1, y1), (x2, y2)``. What lies outside the image by
    at most ``OVERHANG`` is cut at the edge. A box farther outside, without width or height, of other than four numbers
    or in 0-1 where the convention is another is wrong. One that the text breaks off is neither.

    Raises:
        UserError: boxes in pixels without the size of the resized image.
    """
    if box_format == "pixel":
        _known(size)
    text = plain_text(text)
    found, whole = find_brackets(text)
    boxes: list[Box] = []
    wrong: list[WrongBox] = []
    clamped = 0
    for place, (one, label) in enumerate(zip(found, box_labels(text, found), strict=True)):
        label = label[:LONGEST_LABEL].encode(errors="replace").decode()  # half a surrogate pair is no UTF-8
        xyxy = inside_image(one.numbers, box_format, size)
        if xyxy is None:
            wrong.append(WrongBox(place, label))
            continue
        cut = _cut(xyxy)
        clamped += cut != xyxy
        boxes.append(Box(xyxy=cut, label=label))
    return Reading(tuple(boxes), tuple(wrong), clamped, whole and not wrong)


def plain_text(text: str) -> str:
    """Returns the text with full-width punctuation as ASCII, tags of boxes as brackets and without other tags."""
    text = _BOX_TAG.sub(lambda tag: "]" if tag[1] or tag[2] == "end" else "[", text.translate(_PLAIN))
    return _TAG.sub(" ", text)


def find_brackets(text: str) -> tuple[list[Bracket], bool]:
    """Returns what stands in brackets and is a box or should be one, and whether none is begun and left unread."""
    found: list[Bracket] = []
    corners: list[Bracket] = []
    starts = set()

    def close() -> None:
        if corners:
            found.append(Bracket(tuple(v for c in corners for v in c.numbers), corners[0].start, corners[-1].end))
            corners.clear()

    for match in _BRACKET.finditer(text):
        numbers = tuple(map(float, _ANY_NUMBER.findall(match[1])))
        pure = _NUMBERS.fullmatch(match[1])
        if not pure and not (len(numbers) > 3 or (len(numbers) > 1 and match[0][0] == "[" and _STARTS.match(match[1]))):
            continue
        starts.add(match.start())
        one = Bracket(numbers if pure else (), match.start(), match.end())
        if corners and not (len(numbers) == 2 and _TO_NEXT_CORNER.fullmatch(text, corners[-1].end, one.start)):
            close()
        if pure and len(numbers) == 2:
            corners.append(one)
        else:
            found.append(one)
    if len(corners) == 1 and _BREAKS_OFF.fullmatch(text, corners[0].end):
        return found, False
    close()
    return found, all(match.start() in starts for match in _STARTED.finditer(text))


def _cut(xyxy: Corners) -> Corners:
    """Returns a box cut at the image's edges."""
    x1, y1, x2, y2 = (min(max(v, 0.0), 1.0) for v in xyxy)
    return x1, y1, x2, y2


def inside_image(numbers: tuple[float, ...], box_format: BoxFormat, size: Size | None) -> Corners | None:
    """Returns the box in 0-1, by at most OVERHANG outside; None where it is wrong."""
    if len(numbers) != 4:
        return None
    if box_format != "unit" and is_share(numbers):
        return None
    ends = to_unit(numbers, box_format, size)
    low, high = -OVERHANG - 1e-9, 1 + OVERHANG + 1e-9
    if not all(low <= v <= high for v in ends):
        return None
    x1, y1, x2, y2 = _cut(ends)
    return ends if x1 < x2 and y1 < y2 else None


def is_share(numbers: Sequence[float]) -> bool:
    """Returns whether numbers are shares of the image: none above 1, and not all whole."""
    return all(v <= 1 + OVERHANG for v in numbers) and not all(v.is_integer() for v in numbers)

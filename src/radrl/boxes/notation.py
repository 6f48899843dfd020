"""Boxes as text: how each kind of model writes them, and what a model's text says.

The convention (`BoxFormat`) says what the numbers mean and is a property of the model; in another one nothing is
guessed (`misfit` says where a model seems to keep another). The notation is read as it comes: RadVLM's sentences
(arXiv 2512.10691), ``label [x1, y1, x2, y2]``, Qwen-VL's JSON and tokens, lists of lists, tags, corner by corner.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Literal, NamedTuple

from radrl.errors import UserError
from radrl.example import Box, WrongBox

BoxFormat = Literal["unit", "thousand", "pixel", "qwen2"]
"""``unit``: 0-1 with two decimals after their label, as RadVLM. ``thousand``: JSON in 0-1000, as Qwen3-VL. ``pixel``:
JSON in pixels of the resized image, as Qwen2.5-VL. ``qwen2``: 0-1000 as Qwen2-VL's ``(x,y),(x,y)`` and its tokens."""
Size = tuple[int, int]
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2
"""Width and height of the resized image."""

OVERHANG = 0.01  # share of the image's side by which a box may lie outside and is cut at the edge
LONGEST_LABEL = 200
_KEY_REACH, _OBJECT_REACH = 120, 600  # characters before and around a box that are looked through for its label

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

_KEY = re.compile(r"[\"']([^\"'\n]{1,80})[\"']\s*+:[\s\[(]*+$")
_COORDINATE_KEYS = {
    *("bbox", "bboxes", "box", "boxes", "boundingbox", "boundingboxes", "coordinate", "coordinates", "coords"),
    *("xyxy", "location", "locations", "position", "positions", "region", "regions", "answer", "answers", "objects"),
    *("detections", "predictions", "results", "point", "points", "polygon", "quad"),
}
_LABEL = re.compile(
    r"(?<![\w])(?:label|name|class(?:_?name)?|category|object|finding)[\"']?\s*+[:=]\s*+"
    r"(?:\"((?:[^\"\\\n]|\\.)*+)\"|'((?:[^'\\\n]|\\.)*+)')",
    re.I,
)
_BRACE = re.compile(r"[{}]")
_SAME_LABEL = re.compile(r"[\s,;&|\[\]()]*+(?:and[\s\[(]*+)?")
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+")
_AROUND = " \t\r,.;:()[]{}<>\"'`*|="

# A sentence that points at a box: its last words ("is located at the coordinates"), and an article or a verb.
_POINTS = re.compile(r"\b(?:at|is|are|by|coordinates?|located|found|seen|visible|here)[\s:,]*$", re.I)
_SENTENCE = re.compile(r"\b(?:an?|the|its?|this|these|those|i|you|is|are|been)\b", re.I)
_AFTER_ARTICLE = re.compile(r"\b(?:an?|the)\s", re.I)
_LEADS = re.compile(
    r".*\b(?:identif(?:y|ied)|detect(?:ed)?|f(?:ind|ound)|see|located|reveals?|shows?|include|there (?:is|are)"
    r"|(?:presence|location|position|area) of|following)\s",
    re.I,
)
_TAIL = re.compile(
    r"is|are|be|been|can|could|ha(?:ve|s)|was|were|at|in|on|by|of|to|the|an?|its?|you|will|you'll|find|found|look|seen|lies?"
    r"|visible|(?:loc|situ)ated|positioned|identif(?:iable|ied)|displayed|observed|detected|(?:pinpoint|mark)ed|present"
    r"|specifically|specified|shown|given|appears?|locations?|positions?|coordinates?|following|these|here"
    r"|bounding|box(?:es)?|image|x-ray|cxr|chest|radiograph"
)
_UNNAMED = re.compile(rf"(?:(?:{_TAIL.pattern}|this|sentence|phrase|finding|observation|area|region|for|and)(?:\s|$))*")


class Reading(NamedTuple):
    """The boxes of a text, in its order: those that are some, in 0-1 of the image, and those that are wrong.

    ``clamped`` is how many of the boxes were cut at the image's edge. ``whole`` is False where a box is wrong, or one
    was begun that cannot be read.
    """

    boxes: tuple[Box, ...]
    wrong: tuple[WrongBox, ...]
    clamped: int
    whole: bool


class _Found(NamedTuple):
    """Numbers in brackets, none where something else stands among them, and where. Four are a box."""

    numbers: tuple[float, ...]
    start: int
    end: int


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
    text = _plain(text)
    found, whole = _find(text)
    boxes: list[Box] = []
    wrong: list[WrongBox] = []
    clamped = 0
    for place, (one, label) in enumerate(zip(found, _labels(text, found), strict=True)):
        label = label[:LONGEST_LABEL].encode(errors="replace").decode()  # half a surrogate pair is no UTF-8
        xyxy = _inside(one.numbers, box_format, size)
        if xyxy is None:
            wrong.append(WrongBox(place, label))
            continue
        cut = _cut(xyxy)
        clamped += cut != xyxy
        boxes.append(Box(xyxy=cut, label=label))
    return Reading(tuple(boxes), tuple(wrong), clamped, whole and not wrong)


def _plain(text: str) -> str:
    """Returns the text with full-width punctuation as ASCII, tags of boxes as brackets and without other tags."""
    text = _BOX_TAG.sub(lambda tag: "]" if tag[1] or tag[2] == "end" else "[", text.translate(_PLAIN))
    return _TAG.sub(" ", text)


def _find(text: str) -> tuple[list[_Found], bool]:
    """Returns what stands in brackets and is a box or should be one, and whether none is begun and left unread."""
    found: list[_Found] = []
    corners: list[_Found] = []
    starts = set()

    def close() -> None:
        if corners:
            found.append(_Found(tuple(v for c in corners for v in c.numbers), corners[0].start, corners[-1].end))
            corners.clear()

    for match in _BRACKET.finditer(text):
        numbers = tuple(map(float, _ANY_NUMBER.findall(match[1])))
        pure = _NUMBERS.fullmatch(match[1])
        if not pure and not (len(numbers) > 3 or (len(numbers) > 1 and match[0][0] == "[" and _STARTS.match(match[1]))):
            continue
        starts.add(match.start())
        one = _Found(numbers if pure else (), match.start(), match.end())
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


def _inside(numbers: tuple[float, ...], box_format: BoxFormat, size: Size | None) -> Corners | None:
    """Returns the box in 0-1, by at most OVERHANG outside; None where it is wrong."""
    if len(numbers) != 4:
        return None
    if box_format != "unit" and _is_unit(numbers):
        return None
    ends = to_unit(numbers, box_format, size)
    low, high = -OVERHANG - 1e-9, 1 + OVERHANG + 1e-9
    if not all(low <= v <= high for v in ends):
        return None
    x1, y1, x2, y2 = _cut(ends)
    return ends if x1 < x2 and y1 < y2 else None


def _is_unit(numbers: Sequence[float]) -> bool:
    """Returns whether numbers are shares of the image: none above 1, and not all whole."""
    return all(v <= 1 + OVERHANG for v in numbers) and not all(v.is_integer() for v in numbers)


# Labels


def _labels(text: str, found: Sequence[_Found]) -> list[str]:
    """Returns the label of each box: of its JSON object, of the words before it, or behind it where all stand so."""
    labels: list[str] = []
    end = 0
    keyed = False
    for one in found:
        key = _KEY.search(text, max(end, one.start - _KEY_REACH), one.start)
        if labels and _SAME_LABEL.fullmatch(text, end, one.start):
            labels.append(labels[-1])  # "nodule [...] and [...]"
        elif key:
            keyed = True
            labels.append(_sibling(text, one, end) if _is_coordinates(key[1]) else key[1].strip())
        else:
            labels.append(_said(text[end : one.start], "\n" in text))
        end = one.end
    if found and not keyed and not re.search(r"\w", text[: found[0].start]):
        ends = [*(one.start for one in found[1:]), len(text)]
        behind = [_behind(text[one.end : stop]) for one, stop in zip(found, ends, strict=True)]
        if all(behind):
            return behind
    return labels


def _is_coordinates(key: str) -> bool:
    return re.sub(r"2d$|[^a-z]", "", key.lower()) in _COORDINATE_KEYS


def _sibling(text: str, one: _Found, earlier: int) -> str:
    """Returns the label in the JSON object of a box, before or behind it, or else the key that the object has."""
    opened = text.rfind("{", max(0, one.start - _OBJECT_REACH), one.start)
    if opened < 0 or text.find("}", opened, one.start) >= 0:
        opened = earlier
    closed = _BRACE.search(text, one.end, one.end + _OBJECT_REACH)
    stop = closed.start() if closed else one.end + _OBJECT_REACH
    match = _LABEL.search(text, opened, one.start) or _LABEL.search(text, one.end, stop)
    if match:
        return _unescaped(match[1]) if match[1] is not None else match[2].replace("\\'", "'")
    key = _KEY.search(text, max(0, opened - _KEY_REACH), opened)
    return key[1].strip() if key and not _is_coordinates(key[1]) else ""


def _unescaped(text: str) -> str:
    try:
        return json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text


def _said(before: str, lines: bool) -> str:
    """Returns the label that the words before a box give: what a sentence points at, else the words themselves."""
    line = before.rstrip(_AROUND + "\n").rsplit("\n", 1)[-1][-LONGEST_LABEL:]
    if lines and (bullet := _BULLET.match(line)):
        line = line[bullet.end() :]
    if _POINTS.search(line) and _SENTENCE.search(line) and len(line.split()) > 2:
        return _pointed_at(line)
    label = line.strip(_AROUND)
    if _is_coordinates(label) and before.rstrip(" [(")[-1:] in (":", "="):
        return ""
    return label + ")" if label.count("(") > label.count(")") else label


def _pointed_at(sentence: str) -> str:
    """Returns "left lung" of "the left lung is located at the coordinates"; empty where a sentence names nothing."""
    words = sentence.split()
    while words and _TAIL.fullmatch(words[-1].strip(_AROUND).lower()):
        words.pop()
    said = _AFTER_ARTICLE.split(" ".join(words).strip(_AROUND))[-1]
    said = _LEADS.sub("", re.split(r"[,;:.] ", said)[-1]).strip(_AROUND)
    said = re.sub(r"['’]s$", "", said)
    return "" if _UNNAMED.fullmatch(said.lower()) else said


def _behind(after: str) -> str:
    return after.strip().split("\n", 1)[0].strip(_AROUND + "-")[:LONGEST_LABEL].strip()


# Whose convention it is


def misfit(
    model: str, texts: Iterable[str], box_format: BoxFormat, sizes: Iterable[Size | None] | None = None
) -> str | None:
    """Returns a line where most boxes of a model's answers lie outside its convention and fit another (or more than a
    fifth, and all boxes fit the other), or stand under Gemini's key, whose order is another; else None.

    Args:
        model: the name under ``evaluation.models``.
        texts: what its grounding answers say (``Answer.text``).
        box_format: the convention it is judged by.
        sizes: the size of the resized image of each text, None where it is not known.
    """
    boxes: list[tuple[tuple[float, ...], Size | None]] = []
    turned = 0
    for text, size in zip(texts, repeat(None) if sizes is None else sizes, strict=False):
        text = _plain(text)
        for one in _find(text)[0]:
            if len(one.numbers) == 4:
                boxes.append((one.numbers, size))
                key = _KEY.search(text, max(0, one.start - _KEY_REACH), one.start)
                turned += key is not None and key[1] == "box_2d"
    outside = [one for one in boxes if not _fits(*one, box_format)]
    most = 2 * len(outside) > len(boxes)
    if 5 * len(outside) > len(boxes):
        judged = outside if most else boxes
        same = {"thousand", "qwen2"} if box_format in ("thousand", "qwen2") else {box_format}
        fit = [other for other in ("unit", "thousand") if other not in same and _mostly(judged, other)]
        # of images of unknown size pixels are only guessed where nothing else fits
        if box_format != "pixel" and _mostly(judged, "pixel") and (not fit or all(size for _, size in judged)):
            fit.append("pixel")
        if fit:
            return (
                f"{'most' if most else 'many'} boxes of {model} ({len(outside)} of {len(boxes)}) lie outside "
                f"'{box_format}' and fit {' or '.join(map(repr, fit))}; set evaluation.models.{model}.box_format"
            )
    if 2 * turned > len(boxes):
        return (
            f"most boxes of {model} ({turned} of {len(boxes)}) stand under 'box_2d', where Gemini's models give "
            "[y1, x1, y2, x2]; they are read as [x1, y1, x2, y2]"
        )
    return None


def _mostly(boxes: Sequence[tuple[tuple[float, ...], Size | None]], box_format: BoxFormat) -> bool:
    return 20 * sum(_fits(*one, box_format) for one in boxes) >= 19 * len(boxes)


def _fits(numbers: tuple[float, ...], size: Size | None, box_format: BoxFormat) -> bool:
    if box_format == "pixel" and size is None:
        x1, y1, x2, y2 = numbers
        return not _is_unit(numbers) and 0 <= x1 < x2 and 0 <= y1 < y2
    return _inside(numbers, box_format, size) is not None

"""The label of a box in a text: of its JSON object, of the words before it, or of those behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

LONGEST_LABEL = 200
KEY_REACH, _OBJECT_REACH = 120, 600  # characters before and around a box that are looked through for its label

KEY = re.compile(r"[\"']([^\"'\n]{1,80})[\"']\s*+:[\s\[(]*+$")
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


class Bracket(NamedTuple):
    """Numbers in brackets, none where something else stands among them, and where. Four are a box."""

    numbers: tuple[float, ...]
    start: int
    end: int


def box_labels(text: str, found: Sequence[Bracket]) -> list[str]:
    """Returns the label of each box: of its JSON object, of the words before it, or behind it where all stand so."""
    labels: list[str] = []
    end = 0
    keyed = False
    for one in found:
        key = KEY.search(text, max(end, one.start - KEY_REACH), one.start)
        if labels and _SAME_LABEL.fullmatch(text, end, one.start):
            labels.append(labels[-1])  # "nodule [...] and [...]"
        elif key:
            keyed = True
            labels.append(_sibling(text, one, end) if _names_coordinates(key[1]) else key[1].strip())
        else:
            labels.append(_said(text[end : one.start], "\n" in text))
        end = one.end
    if found and not keyed and not re.search(r"\w", text[: found[0].start]):
        ends = [*(one.start for one in found[1:]), len(text)]
        behind = [_behind(text[one.end : stop]) for one, stop in zip(found, ends, strict=True)]
        if all(behind):
            return behind
    return labels


def _names_coordinates(key: str) -> bool:
    return re.sub(r"2d$|[^a-z]", "", key.lower()) in _COORDINATE_KEYS


def _sibling(text: str, one: Bracket, earlier: int) -> str:
    """Returns the label in the JSON object of a box, before or behind it, or else the key that the object has."""
    opened = text.rfind("{", max(0, one.start - _OBJECT_REACH), one.start)
    if opened < 0 or text.find("}", opened, one.start) >= 0:
        opened = earlier
    closed = _BRACE.search(text, one.end, one.end + _OBJECT_REACH)
    stop = closed.start() if closed else one.end + _OBJECT_REACH
    match = _LABEL.search(text, opened, one.start) or _LABEL.search(text, one.end, stop)
    if match:
        return _unescaped(match[1]) if match[1] is not None else match[2].replace("\\'", "'")
    key = KEY.search(text, max(0, opened - KEY_REACH), opened)
    return key[1].strip() if key and not _names_coordinates(key[1]) else ""


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
    if _names_coordinates(label) and before.rstrip(" [(")[-1:] in (":", "="):
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

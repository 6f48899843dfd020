"""An answer that names labels as sentences with their verdicts: JSON, tables, ticks, headings and "Edema: no" become
pieces of text of which is known whether they are said to be there. What the words themselves deny is not looked at.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from radrl.label_names import WORD, label_words, label_words_in_order, says_nothing, stem

Verdict = Literal["", "yes", "no", "both"]
DEEPEST = 20  # levels of JSON that are read

_FENCE = re.compile(r"```[a-z]{0,10}|[*`#]+|(?<!\w)_+|_+(?!\w)", re.I)
# quotes and brackets, but for ticks: [x]
_QUOTES = re.compile(r"[\"“”{}]|(?<!\w)'|'(?!\w)|\[(?![ xX✓✔+-]?\])|(?<!\[)(?<!\[[ xX✓✔+-])\]")
_SENTENCE = re.compile(r"[\n;•]|(?<!\b[A-Za-z])[.!](?=\s|$)|\s(?=\d{1,2}[.)]\s|[☑☐]|\[[ xX]\])")
_BULLET = re.compile(r"\s*(?:[-*·▪>–]+|\(?\d{1,3}[.):](?!\d))\s")
_TICK = re.compile(r"\s*(?:[-*·]\s*)?(?:\[([ xX✓✔+-]?)\]|([☑✓✔✅☐✗✘❌]))\s*")
_HEADING = re.compile(r"\s*([^:,]{1,60}):(?=\s|$)")
_JOIN = re.compile(r"\b(?:and|but)\b")
_TAIL = re.compile(r"\s*(:|=|\?|\(|->|→|\s-|[–—])\s*([^:=?()→]{1,30}?)\s*\)?[.,]?\s*$")
# "Edema:1 Mass:0", without anything between
_RUN_ON = re.compile(r"([:=]\s{0,3}(?:yes|no|[01]|true|false|present|absent|positive|negative))\s+"
                     r"(?=[^\W\d][\w /-]{0,40}[:=])", re.I)  # fmt: skip
_SIGN = re.compile(r"[:=?]")
_BARE = re.compile(
    r"\s(yes|no|true|false|absent|negative|positive|[✓✔✅✗✘❌]|\d{1,3}(?:\.\d{1,4})? ?%|0?\.\d{1,4})\s*$", re.I
)
_WORDY = re.compile(r"\b(?:no|not|is|are|without)\b", re.I)
_LEAD = re.compile(r"(?:^|(?<=[.!?;\n*]))[ \t]{0,9}(?:(?:so|thus|therefore|hence)\b,?[ \t])?(?:the[ \t]|my[ \t])?"
                   r"(?:(?:final|correct)[ \t])?answers?\b(?:[ \t](?:is|are))?[*]{0,2}[ \t]?[:：]", re.I)  # fmt: skip
_EXPLAINED = re.compile(r"\n[ \t*#]{0,9}(?:explanations?|reasoning|rationale|justification)\b[ \t*]{0,3}[:：]", re.I)
_SPACE = re.compile(r"[^\S\n]+")
_NOT = re.compile(r"n['’]t\b")
_PARTICLE = re.compile(r"\s*(?:yes|no),\s+(?=only\b|just\b|there (?:is|are) (?!no\b))", re.I)
_MARKS = re.compile(r"(?=[✓✔✅✗✘❌])")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,4})?) ?%|(?:p ?= ?)?(0?\.\d{1,6}|[01]\.0{1,6})")


class Piece(NamedTuple):
    """A piece of text, and whether what it names is there: ``yes``, ``no``, ``both`` (said to be and not to be), or as
    its words have it (empty)."""

    text: str
    verdict: Verdict


def pieces(text: str) -> Iterator[Piece]:
    """Yields the pieces of an answer, in order."""
    mode: Verdict = ""  # of the heading above
    for sentence in _sentences(_plain(_unfolded(_final(text)))):
        if not sentence.strip():
            continue
        tick = _TICK.match(sentence)
        bullet = tick or _BULLET.match(sentence)
        body = sentence[bullet.end() :] if bullet else sentence
        heading = _HEADING.match(body)
        told = _heading(heading[1]) if heading else None
        rest = body[heading.end() :] if heading and told is not None else body
        if told is not None and not rest.strip():
            mode = told
            continue
        mode = mode if told is None else ""
        own: Verdict = told or mode
        if tick:
            own = "yes" if (tick[1] or tick[2] or " ") in "xX✓✔+☑✅" else "no"
        if "|" in rest or "\t" in rest:
            rest = _row(rest)
        for piece in _pairs(_RUN_ON.sub(r"\1, ", rest)):
            yield Piece(piece.text, piece.verdict or own)


def _final(text: str) -> str:
    """Returns what follows the last "Final answer:", without the explanation after it; the text where none is said."""
    leads = [lead for lead in _LEAD.finditer(text) if text[lead.end() :].strip()]
    text = text[leads[-1].end() :] if leads else text
    explained = _EXPLAINED.search(text)
    return text[: explained.start()] if explained and text[: explained.start()].strip() else text


def _sentences(text: str) -> Iterator[str]:
    for sentence in _SENTENCE.split(text):
        # "✓ edema ✗ mass", but not "edema ✓, mass ✗"
        parts = _MARKS.split(sentence) if sentence.lstrip()[:1] in tuple("✓✔✅✗✘❌") else [sentence]
        for part in parts:
            particle = _PARTICLE.match(part)
            yield part[particle.end() :] if particle else part


def verdict(told: str) -> Verdict | None:
    """Returns what a few words after a label say of it ("not seen", "0.93", "✓"), ``both`` also of "unknown", None
    where they are no verdict."""
    if match := _SHARE.fullmatch(told.strip()):
        return "yes" if float(match[1] or 0) / 100 + float(match[2] or 0) >= 0.5 else "no"
    if told.strip(" .").casefold() in label_words("unsaid"):
        return "both"
    parts = [part for part in re.split(r"[\s/,]+", told.strip(" .!\"'").casefold()) if part]
    if not parts or not set(parts) <= label_words("yes") | label_words("no") | label_words("neutral"):
        return None
    denied = bool(label_words("no").intersection(parts)) or "not" in parts or parts[:2] == ["ruled", "out"]
    claimed = bool(label_words("yes").intersection(parts)) and not ("not" in parts and len(parts) < 4)
    if denied and claimed:
        return "both"
    return "no" if denied else "yes" if claimed or not {"or", "and", "is", "it", "out"} >= set(parts) else None


def _plain(text: str) -> str:
    """Returns the text without signs of emphasis, in one form of Unicode, underscores as spaces."""
    text = _FENCE.sub(" ", unicodedata.normalize("NFKC", text)).replace("\\n", "\n")
    text = _NOT.sub(" not", text)
    text = _QUOTES.sub(" ", text).replace("_", " ")
    return _SPACE.sub(lambda run: "\t" if "\t" in run[0] else " ", text)


def _heading(told: str) -> Verdict | None:
    """Returns what a heading says of what stands under it ("Absent:", "Findings:"); None where it is no heading."""
    found = {stem(word) for word in WORD.findall(told)} or {told}
    presence = {stem(word) for word in label_words("presence")}
    if not found <= presence | label_words("heading") or says_nothing(told) == "plainly":
        return None
    return "no" if found & label_words("absence") else "yes" if found & presence else ""


def _row(line: str) -> str:
    """Returns a row of a table as ``name: verdict``."""
    cells = [cell.strip() for cell in re.split(r"[|\t]", line) if cell.strip()]
    told = next((cell for cell in cells[1:] if verdict(cell)), "")
    return f"{cells[0]}: {told}" if told else ", ".join(cells)


def _pairs(sentence: str) -> list[Piece]:
    """Returns a sentence in pieces where it gives verdicts on some ("Edema: yes, mass: no"), else as one."""
    found: list[tuple[str, Verdict, str]] = []  # text, verdict, sign before the verdict
    for part in _parts(sentence):
        tail = _TAIL.search(part) or (None if _WORDY.search(part[:-4]) else _BARE.search(part))
        told = verdict(tail[tail.re.groups]) if tail else None
        if tail and told:
            found.append((part[: tail.start()], told, tail[1] if tail.re is _TAIL else ":"))
        elif part.strip():
            found.append((part, "", ""))
    signs = {sign for _, told, sign in found if told}
    denies = any(_WORDY.search(text) for text, told, _ in found if not told)
    if signs <= {"("} and (not signs or denies):  # "no edema, mass or fracture (confirmed)" is one statement
        return [Piece(sentence, "")]
    after: Verdict = ""
    pieces: list[Piece] = []
    for text, told, sign in reversed(found):  # "edema and mass: no" is said of both
        pieces.append(Piece(text, told or ("" if _SIGN.search(text) else after)))
        after = (told if sign != "(" else "") if told or _SIGN.search(text) else after
    return pieces[::-1]


def _parts(sentence: str) -> Iterator[str]:
    """Yields what stands between commas and "and", but whole where "and" joins two verdicts."""
    for part in sentence.split(","):
        tail = _TAIL.search(part)
        yield from [part] if tail and verdict(tail[2]) == "both" else _JOIN.split(part)


def _unfolded(text: str) -> str:
    """Returns JSON as lines of text; other text as it is."""
    inner = re.sub(r"```[a-z]{0,10}", "", text).strip()
    if inner[:1] not in ("[", "{"):
        return text
    try:
        value = json.loads(inner)
    except (ValueError, RecursionError):
        return text
    return "\n".join(_lines(value, 0))


def _lines(value: Any, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _lines(item, depth + 1)
    elif isinstance(value, dict):
        name, told = _first(value, "name keys"), _first(value, "verdict keys")
        if isinstance(name, str) and told is not None:
            yield f"{name}: {_said(told)}"
            return
        for key, item in value.items():
            if isinstance(item, dict) and (told := _first(item, "verdict keys")) is not None:
                yield f"{key}: {_said(told)}"
            elif isinstance(item, list | dict):
                yield f"{key}:"
                yield from _lines(item, depth + 1)
                yield "Findings:"
            else:
                yield f"{key}: {_said(item)}"
    else:
        yield _said(value)


def _first(value: dict[str, Any], keys: str) -> Any:
    """Returns the first plain value under one of these keys; None where there is none."""
    known = {key.casefold(): item for key, item in value.items() if not isinstance(item, list | dict)}
    return next((known[key] for key in label_words_in_order(keys) if key in known), None)


def _said(value: Any) -> str:
    return "yes" if value is True else "no" if value is False or value is None else str(value)

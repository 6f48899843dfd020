"""How answers are worded: one spelling for what models write, its words, and whether a sentence says or denies them.

Used to read which option an answer picks (`radrl.choices.picking`, `radrl.choices.yes_no`). It knows the words in which
an answer is given, not medicine: what a report says of a film is read by `radrl.clinical`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

Said = Literal["said", "denied", "clear", "open", "unsure"]
"""How a sentence stands to words in it: ``clear`` calls them normal, ``open`` asks or supposes, ``unsure`` can be read
either way."""

ARTICLES = frozenset({"a", "an", "the"})
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DIGITS = {word: str(number) for number, word in enumerate(NUMBERS)}
# "one" is a number in "one nodule", but not here
_NO_NUMBER = re.compile(
    r"\b(?:no|any|which|each|every|this|that|the|other) one\b|\bone (?:of|can|could|should|might|may|would)\b"
)

_SIGNS = str.maketrans(
    {"。": ". ", "、": ", ", "〔": "[", "〕": "]", "【": "[", "】": "]", "「": " ", "」": " ", "『": " ", "』": " ",
     "“": " ", "”": " ", "„": " ", "«": " ", "»": " ", "‘": "'", "’": "'", "–": "-", "—": "-", "−": "-", "→": "->",
     "⁄": "/", "·": " ", "•": " ",
     **{chr(first + k): chr(ord("A") + k) for first in (0x1F150, 0x1F170) for k in range(26)}}  # B in a square
)  # fmt: skip
_NO_WORD = re.compile(r"[^\w\s!-~≤≥±°µ×]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff]")
_HAN = r"\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af"
_BESIDE_HAN = re.compile(rf"(?<=[{_HAN}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{_HAN}])")
_HTML = re.compile(
    r"</?(?:em|strong|br|span|div|code|mark|center|font|li|ul|ol|h[1-6])\b[^<>]{0,60}>"
    r"|<([biup])>(?=[^<>]{0,300}</\1>)|</[biup]>",
    re.I,
)  # "<B>" alone is an answer
_MARKS = re.compile(r"~~[^~\n]{1,200}~~|[*_`\"|]")  # what is struck through is not said
_LINE = re.compile(r"(?:```|~~~)\s{0,3}\w{0,20}$|#{1,6} |[-+>](?: (?!\d)|$)")
_BEFORE_SIGN = re.compile(r" (?=[.,;:!?)\]])")
_XRAY = re.compile(r"\bx[ -]?rays?\b", re.I)
_OF_ABOVE = re.compile(
    r"\b(none|all|both|neither) of (?:the )?(?:(?:above|given|listed|following|other) ?)?"
    r"(?:options?|choices|answers|above|these|those|them)(?: (?:above|given|listed|provided))?\b",
    re.I,
)
_WORD = re.compile(r"(?<![-=])[<>≤≥](?=\s?\d)|\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?|[^\W\d_]\w*(?:'\w+)*")
_SIGNED = re.compile(rf"±|[+-](?=\d)|{_WORD.pattern}(?:[+-](?!\w))?")
SIGN = re.compile(r"±|[+-](?=\d)|\w[+-](?!\w)")


class Word(NamedTuple):
    """A word in its one spelling, and where it stands."""

    norm: str
    start: int
    end: int


def cleaned(text: str) -> str:
    """Returns a text line by line with one space between words and in ASCII where there is such a sign (full-width
    letters, dashes, quotes), without Markdown, simple HTML, emoji and what is not seen."""
    if not text.isascii():
        text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS))
        text = _BESIDE_HAN.sub(" ", _NO_WORD.sub(" ", text))
    if "<" in text:
        text = _HTML.sub(" ", text)
    text = _XRAY.sub("xray", _MARKS.sub(" ", text))
    lines = []
    for raw in text.splitlines():
        line = " ".join(raw.split())
        while match := _LINE.match(line):
            line = line[match.end() :].lstrip()
        if line:
            lines.append(_BEFORE_SIGN.sub("", line))
    text = "\n".join(lines)
    return _OF_ABOVE.sub(r"\1 of the above", text) if " of " in text else text


def words(text: str, signed: bool = False) -> list[Word]:
    """Returns the words of a cleaned text: lower case, numbers up to twelve as digits, signs only where they matter."""
    lower = lowered(text)
    apart = set()
    if "one" in lower:
        apart = {match.start() + match.group().find("one") for match in _NO_NUMBER.finditer(lower)}
    found = []
    for match in (_SIGNED if signed else _WORD).finditer(lower):
        norm = match.group()
        if norm in _DIGITS and match.start() not in apart:
            norm = _DIGITS[norm]
        elif "," in norm:
            norm = norm.replace(",", "")
        found.append(Word(norm, match.start(), match.end()))
    return found


CLAUSE_END = re.compile(
    r"[;!?\n]|\.(?!\d)|\b(?:but|however|although|though|yet|whereas|while)\b|\b(?:instead|rather)\b(?! than| of)"
    r"|, (?=(?:it|there|this|which) (?:is|are|was|shows?)\b)"
)
SENTENCE_END = re.compile(r"[!?\n]|\.(?!\d)")
_DENIES = re.compile(
    r"\b(?:no(?! doubt| question)|not(?! only)|without|never|neither|nor|exclud(?:e|es|ed|ing)|rul(?:e|es|ed|ing) out"
    r"|negative for|instead of|rather than|as opposed to|absence of|lacks?|lacking|lack of|against|free of|unlike"
    r"|unlikely|less likely|other than|except|fails? to|wrong|incorrect|eliminat(?:e|es|ed|ing)|cannot)\b|n't\b"
)
_SUPPOSES = re.compile(
    r"\b(?:if|whether|unless|thought|initially|at first|first glance|consider(?:ed|ing)?|such as|for example"
    r"|to (?:diagnose|exclude|assess|confirm|evaluate|determine|look for|check for|distinguish|differentiate))\b"
)
_BE = r"(?:is|are|was|were|can be|could be|has been|have been|would be|will be|seems?|appears?|looks?|may be)"
_RULED_OUT = r"(?:absent|excluded|ruled out|eliminated|unlikely|less likely|improbable|incorrect|wrong|false)"
_CLEAR = r"(?:clear|normal|unremarkable|healthy|intact|unaffected|spared|well aerated|within normal limits)"
_ITEM = r"(?!the |there |it |its |this |no )(?:[\w-]{1,30} ){0,3}[\w-]{1,30}"
# what may stand between words and their predicate: the rest of a list, a place, "which"
_GAP = (
    rf"(?:(?:, {_ITEM}){{0,4}},? (?:and|or|nor) {_ITEM})?"
    r"(?: (?:in|on|of|at|within|along) (?:[\w-]{1,30} ){0,4}[\w-]{1,30})?,?(?: (?:which|that|also|both|all))?"
)
_DENIED = re.compile(
    rf"{_GAP} (?:{_BE}(?: \w+)? (?:{_RULED_OUT}|not|resolved|never)"
    r"|(?:is|are|was|were|does|do|has|have|ca|could)n't|cannot|(?:does|do|has|have) not)\b"
    rf"|[ (:,]{{1,2}}(?:very |most )?{_RULED_OUT}\b"
    r"|[ (:,]{1,2}not (?:seen|present|visible|evident|identified|noted|likely|found|detected|shown)\b"
    r"|[(:]{1,2} ?(?:no|not|negative)(?=[.,;)\n]|\Z)"
)
_CALLED_CLEAR = re.compile(rf"{_GAP} {_BE}(?: \w+)? {_CLEAR}\b")
INVERSE = re.compile(
    r"\b(?:not?|never|except|absent|exclud\w*|normal\w*|clear|unremarkable|healthy|unaffected|spared|free|aerated|intact"
    r"|least|unlikely|false|incorrect|wrong|without|lack\w*|negative|neither)\b|n't\b",
    re.I,
)
"""Finds questions whose answer may be what is not there, or not ill: "Which is not seen?", "Are the lungs normal?"."""
CORRECTS = re.compile(
    r"\b(?:wait|actually|correction|sorry|i mean(?:t)?|on second (?:thought|look)|looking (?:again|closer|more closely)"
    r"|(?:up)?on (?:further|closer) \w+|re-?(?:consider|think|evaluat|examin|assess|check|visit|look)\w*|my mistake"
    r"|i was wrong|that is wrong|let me correct|chang\w+ my|revis\w+|scratch that|oops)\b|[.!?\n]\s?no, "
)
"""Finds, in lower case, words with which an answer is taken back."""
REFUSES = re.compile(
    r"\b(?:sorry|unable|cannot|can ?not|can't|could ?n[o']t|(?:do not|don't) know|unsure|uncertain|unclear"
    r"|impossible|not (?:able|sure|certain|clear|possible|enough|qualified|provided)|insufficient"
    r"|need (?:more|to see|further)|more information|would need|as an ai|language model|consult (?:a|your|with|an)"
    r"|it depends|indeterminate|inconclusive|(?:difficult|hard) to|no image)\b"
    r"(?! (?:see|find|identify|detect|appreciate|exclude|be excluded|be ruled out)\b)",
    re.I,
)


def standing(text: str, start: int, end: int, named: Sequence[tuple[int, int]] = ()) -> Said:
    """Returns how a cleaned text in lower case stands to its words from ``start`` to ``end``: says or denies them.

    ``named`` are the places of options in it: a denial that is part of one ("no effusion") makes others unsure.
    """
    first = max(0, start - 300)
    clause = max((match.end() for match in CLAUSE_END.finditer(text, first, start)), default=first)
    if after := _DENIED.match(text, end, end + 200):
        return "unsure" if any(s < after.end() <= e for s, e in named) else "denied"
    ends = SENTENCE_END.search(text, end, end + 300)
    if (ends and ends.group() == "?") or _SUPPOSES.search(text, clause, start):
        return "open"
    denials = [match.start() for match in _DENIES.finditer(text, clause, start)]
    if denials:
        return "unsure" if all(any(s <= at < e for s, e in named) for at in denials) else "denied"
    return "clear" if _CALLED_CLEAR.match(text, end, end + 200) else "said"


def lowered(text: str) -> str:
    """Returns a text in lower case and of the same length; a few letters are longer in lower case and stay."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(s.lower() if len(s.lower()) == 1 else s for s in text)

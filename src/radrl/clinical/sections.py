"""Which stretches of a report speak of this film: sections, and sentences as tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from radrl.clinical.vocabulary import Vocabulary, load_vocabulary

# Bounded repeats only: each place in the text is tried a fixed number of times, whatever the text.
# Searched in the text with a line break before it. It begins with one set of characters, so that a search is fast.
HEADING = re.compile(
    r"[\n.;?!](?:[ \t*#>-]{0,40}([A-Za-z][A-Za-z /,&()'-]{1,48})[*]{0,3}:"
    r"|(?<=\n)[ \t]{0,40}([A-Z][A-Z /&]{5,40})[ \t]{0,8}(?:$|[-–—][ \t]))"
    r"| ([A-Z]{6,20}):",  # reports whose lines were joined: "INDICATION: cough FINDINGS: clear"
    re.MULTILINE,
)
WORD = re.compile(r"[A-Za-z]+")
PARAGRAPH_END = re.compile(r"\S[^\S\n]*(\n[^\S\n]{0,8}\n)")
MARK = re.compile(r"[.;!?]")
BOUNDARY = re.compile(MARK.pattern + r"|\n[ \t]*(?:\n|[-*•–]|\d{1,2}[.)])")
TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+(?:\d+)?|\([-−–+]\)|[:,()?]")
SIGNS = {"(+)": "positive", **dict.fromkeys(("(-)", "(−)", "(–)"), "neg")}
ANSWERED = re.compile(r"\s{0,3}(?:[a-z]|(?:no|none|yes|negative|neg|not seen|absent)\b)")
LAST_WORD = re.compile(r"(?<![a-z])[a-z]+\Z")
LONGEST_ABBREVIATION = 8
UNLABELLED = "findings"  # text without a heading is read as findings


Token = tuple[str, int, int]
"""A lower-case word or a comma, and its character range in the sentence."""


class Section(NamedTuple):
    """A stretch of a report: ``name`` is a key of sections.yaml, ``heading`` where its heading starts.

    The text of the section is ``text[start:end]``; ``heading`` is ``start`` where there is none.
    """

    name: str
    heading: int
    start: int
    end: int


def split(text: str) -> dict[str, str]:
    """Returns the text of each section by name, in order of the report.

    Names are findings, impression, indication, comparison, history, technique and other. Text without a heading counts
    as findings; stretches of one name are joined by a blank line.
    """
    parts: dict[str, list[str]] = {}
    for section in sections(text, load_vocabulary()):
        if content := text[section.start : section.end].strip():
            parts.setdefault(section.name, []).append(content)
    return {name: "\n\n".join(contents) for name, contents in parts.items()}


def lower(text: str) -> str:
    """Returns the text in lower case with every character in its place (str.lower may change the length)."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def sections(text: str, vocabulary: Vocabulary) -> list[Section]:
    """Returns the sections of a report in order; together with their headings they cover it.

    A section that does not speak of this film ends at the next heading, or at the first blank line after its content.
    """
    found: list[Section] = []
    name, heading, start = UNLABELLED, 0, 0
    for match in HEADING.finditer("\n" + text):
        begin, end = match.start(), match.end() - 1  # in the text, without the character before
        new = _name(match[1] or match[2] or match[3], vocabulary)
        skipping = name not in vocabulary.read
        at_line_start = match[0][0] == "\n"
        if new is None:
            if not (skipping and at_line_start and match[1]):
                continue  # a colon in running text, a line in capitals
            new = UNLABELLED
        _close(found, text, Section(name, heading, start, begin), vocabulary)
        name, heading, start = new, begin, end
    _close(found, text, Section(name, heading, start, len(text)), vocabulary)
    return found


def _close(found: list[Section], text: str, section: Section, vocabulary: Vocabulary) -> None:
    """Adds a section, and what follows its first paragraph as one of its own where it does not speak of this film."""
    end = section.end
    if section.name not in vocabulary.read and (blank := PARAGRAPH_END.search(text, section.start, end)):
        end = blank.end()
    if section.heading < end:
        found.append(Section(section.name, section.heading, section.start, end))
    if end < section.end:
        found.append(Section(UNLABELLED, end, end, section.end))


@lru_cache(maxsize=4096)
def _name(heading: str, vocabulary: Vocabulary) -> str | None:
    words = {word.lower() for word in WORD.findall(heading)}
    return next((name for name, known in vocabulary.headings.items() if not words.isdisjoint(known)), None)


def ranges(text: str, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Returns the character ranges that hold findings, headings included ("Heart: enlarged")."""
    if ":" not in text and not any(map(str.isupper, text.split("\n"))):
        return [(0, len(text))] if text else []  # nothing that HEADING would find
    kept: list[tuple[int, int]] = []
    for section in sections(text, vocabulary):
        if section.name in vocabulary.read:
            kept.append((section.heading, section.end))
    return kept


def sentences(lowered: str, start: int, end: int, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """Yields the ranges of the sentences in a range; full stops of decimals and abbreviations do not end one."""
    boundary = BOUNDARY if "\n" in lowered else MARK
    for match in boundary.finditer(lowered, start, end):
        at = match.start()
        if lowered[at] == "?" and not _ends_question(lowered, start, at, end):
            continue
        if lowered[at] != "." or not (
            # asked first, since most full stops end a sentence
            (lowered.endswith(vocabulary.abbreviations, start, at) or lowered[at - 1 : at].isdecimal())
            and is_inside(lowered, start, at, vocabulary)
        ):
            yield start, at + (lowered[at] == "?")  # the mark itself is read: it puts what it follows in doubt
            start = match.end()
    yield start, end


def _ends_question(lowered: str, start: int, at: int, end: int) -> bool:
    """Whether the question mark at ``at`` ends a sentence: not in "?pneumonia", and not before its own answer."""
    return bool(lowered[start:at].strip(" ,(")) and not ANSWERED.match(lowered, at + 1, end)


def is_inside(lowered: str, start: int, at: int, vocabulary: Vocabulary) -> bool:
    """Whether the full stop at ``at`` belongs to a number or an abbreviation."""
    if lowered[at - 1 : at].isdecimal() and lowered[at + 1 : at + 2].isdecimal():
        return True
    word = LAST_WORD.search(lowered, max(start, at - LONGEST_ABBREVIATION - 1), at)
    return word is not None and word[0] in vocabulary.abbreviations


def tokens(sentence: str, vocabulary: Vocabulary) -> list[Token]:
    """Returns the words, numbers and commas of a sentence in lower case; brackets and colons count as commas."""
    correct, known = vocabulary.speller.correct, vocabulary.speller.known
    found: list[Token] = []
    for match in TOKEN.finditer(sentence):
        word = match[0]
        if word not in known:
            word = SIGNS.get(word) or (word if word in ":?" else "," if word in "()" else correct(word))
        found.append((word, match.start(), match.end()))
    return found

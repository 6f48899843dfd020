"""Which stretches of a report speak of this film: sections, and sentences as tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from radrl.clinical.vocabulary import Vocabulary

# Bounded repeats only: each place in the text is tried a fixed number of times, whatever the text.
HEADING = re.compile(r"(?:^|(?<=[\n.;]))[ \t*#>-]{0,8}([A-Za-z][A-Za-z /,&()'-]{1,48})[*]{0,3}:", re.MULTILINE)
WORD = re.compile(r"[A-Za-z]+")
PARAGRAPH_END = re.compile(r"\S[^\S\n]*(\n[^\S\n]{0,8}\n)")
# Numbers with decimals are one token, so that "4.5 cm" does not end a sentence.
TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+(?:\d+)?|[.;:!?,()]|\n[ \t]*(?:\n|[-*•–]|\d{1,2}[.)])")
SENTENCE_ENDS = frozenset(".;!?")


class Token(NamedTuple):
    """A lower-case word or a comma, and its character range in the original text."""

    word: str
    start: int
    end: int


def lower(text: str) -> str:
    """Returns the text in lower case with every character in its place (str.lower may change the length)."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def ranges(text: str, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Returns the character ranges that hold findings: all but sections such as INDICATION.

    A skipped section ends at the next heading, or at the first blank line after its content.
    """
    if ":" not in text:
        return [(0, len(text))]
    kept: list[tuple[int, int]] = []
    start = 0
    skipping = False
    for heading in HEADING.finditer(text):
        words = {word.lower() for word in WORD.findall(heading[1])}
        skip = not words & vocabulary.kept_headings and bool(words & vocabulary.skipped_headings)
        at_line_start = heading.start() == 0 or text[heading.start() - 1] == "\n"
        if not skip and not words & vocabulary.kept_headings and not (skipping and at_line_start):
            continue  # a colon in running text
        if skipping:
            start = _paragraph_end(text, start, heading.start())
        if start < heading.start():
            kept.append((start, heading.start()))
        start, skipping = (heading.end() if skip else heading.start()), skip
    if skipping:
        start = _paragraph_end(text, start, len(text))
    if start < len(text):
        kept.append((start, len(text)))
    return kept


def _paragraph_end(text: str, start: int, end: int) -> int:
    found = PARAGRAPH_END.search(text, start, end)
    return found.end() if found else end


def sentences(lowered: str, start: int, end: int, vocabulary: Vocabulary) -> Iterator[list[Token]]:
    """Yields the sentences of a range as tokens; full stops of decimals and abbreviations do not end one."""
    sentence: list[Token] = []
    for match in TOKEN.finditer(lowered, start, end):
        word = match[0]
        if word in SENTENCE_ENDS or word[0] == "\n":
            if word == "." and sentence and _abbreviated(sentence[-1], match.start(), vocabulary):
                continue
            if sentence:
                yield sentence
                sentence = []
        else:
            sentence.append(Token("," if word in "():" else word, match.start(), match.end()))
    if sentence:
        yield sentence


def _abbreviated(last: Token, at: int, vocabulary: Vocabulary) -> bool:
    return last.end == at and last.word in vocabulary.abbreviations

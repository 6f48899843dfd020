"""The words of texts, cut once and shared by all scorers that count words.

Sentences are remembered: reports, and a group's completions above all, say the same ones again and again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

LONGEST_KEPT = 4_000  # characters; longer texts are rare, and would fill the memory
LONGEST_SENTENCE, MOST_SENTENCES = 300, 20_000
MOST_CODES = 1 << 18
CODE = 8  # bytes
_ALONE = ':;!?()[]{}"'
_MARKS = '.,:;!?()\\[\\]{}"'
# A point or comma between digits belongs to the number.
_WORD = re.compile(rf"[^\s{_MARKS}]+(?:(?<=\d)[.,](?=\d)[^\s{_MARKS}]+)*|[{_MARKS}]")
_NUMBER, _POINT = re.compile(r"\d[.,]\d"), re.compile(r"(?<!\d)[.,]|[.,](?!\d)")
_SPACES = re.compile(r" *[^\S ]\s*")  # white space that is not only spaces


class Words(NamedTuple):
    """The words of a text; kept for the next who asks, so not to be changed.

    ``words`` are those of the captioning metrics (see `words`), ``codes`` their codes without empty words, ``plain``
    the hashes of what stands between white space, case-folded. A code is a word's digest, the same in every process; a
    hash is Python's, the same in this one only. Both have 8 bytes and stand one after another, for numpy to read.
    """

    words: list[str]
    codes: bytes
    plain: bytes


def words(text: str) -> list[str]:
    """Returns the words of a text as the captioning metrics count them.

    The text is lower-cased, and the marks ``. , : ; ! ? ( ) [ ] { } "`` stand alone, but for points and commas between
    digits. Text that is so already, as R2Gen's, is cut at its spaces and nothing else. As in pycocoevalcap's ROUGE-L a
    run of k spaces holds k - 1 empty words; other white space counts as one space.
    """
    return list(read(text).words)


def codes_of(said: Iterable[str]) -> bytes:
    """Returns the codes of words one after another."""
    return b"".join(map(_code.__getitem__, said))


def read(text: str) -> Words:
    """Returns the words of a text and their codes."""
    return _kept(text) if len(text) <= LONGEST_KEPT else _read(text)


def _read(text: str) -> Words:
    if not text.isprintable():  # it may have other white space than spaces
        text = _SPACES.sub(" ", text)
    *first, last = text.split(". ")
    said, codes, plain = zip(*[_inner[part] for part in first], _sentences[last], strict=True)
    return Words(list(chain.from_iterable(said)), b"".join(codes), b"".join(plain))


_kept = lru_cache(maxsize=4096)(_read)


class _Sentences(dict[str, Words]):
    """The words of the sentences seen, which ``end`` with a full stop that is not in the text."""

    def __init__(self, end: str = "") -> None:
        super().__init__()
        self.end = end

    def __missing__(self, text: str) -> Words:
        found = _cut(text + self.end)
        if len(text) <= LONGEST_SENTENCE:
            if len(self) >= MOST_SENTENCES:
                self.clear()
            self[text] = found
        return found


_sentences, _inner = _Sentences(), _Sentences(end=".")


def _cut(text: str) -> Words:
    """Reads a text whose white space is spaces only."""
    said = _cut_words(text.lower())
    return Words(said, codes_of(filter(None, said)), array("q", map(hash, text.casefold().split())).tobytes())


def _cut_words(text: str) -> list[str]:
    if text and "  " not in text and text[0] != " " and text[-1] != " ":  # three times as fast
        for mark in _ALONE:
            if mark in text:
                text = text.replace(mark, f" {mark} ")
        if _NUMBER.search(text):
            return _POINT.sub(r" \g<0> ", text).split()
        return text.replace(".", " . ").replace(",", " , ").split()
    found: list[str] = []
    for part in text.split(" "):
        found.extend(_WORD.findall(part) or [part])
    return found


class _CodeOf(dict[str, bytes]):
    """The code of each word seen, a digest, so that it is the same in every process."""

    def __missing__(self, word: str) -> bytes:
        if len(self) > MOST_CODES:
            self.clear()
        return self.setdefault(word, blake2b(word.encode("utf-8", "surrogatepass"), digest_size=CODE).digest())


_code = _CodeOf()

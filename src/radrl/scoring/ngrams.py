"""Words and n-grams of many texts at once: what BLEU, Google-BLEU, CIDEr and ROUGE-L are made of.

An n-gram is a 64-bit number made of its words' digests, so that one sort counts a whole batch. Two n-grams of a batch
of 30,000 share a number with probability below 1e-10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ORDERS = 4
LONGEST_KEPT = 4_000  # characters; longer texts are rare, and would fill the memory
_ALONE = ':;!?()[]{}"'
_MARKS = '.,:;!?()\\[\\]{}"'
# A point or comma between digits belongs to the number.
_WORD = re.compile(rf"[^\s{_MARKS}]+(?:(?<=\d)[.,](?=\d)[^\s{_MARKS}]+)*|[{_MARKS}]")
_NUMBER, _POINT = re.compile(r"\d[.,]\d"), re.compile(r"(?<!\d)[.,]|[.,](?!\d)")
_SPACES = re.compile(r" *[^\S ]\s*")  # white space that is not only spaces
_STEP, _ROW = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd, with well mixed bits
MOST_CODES = 1 << 18

Words = list[str]
Codes = NDArray[np.uint64]


def words(text: str) -> Words:
    """Returns the words of a text as the captioning metrics count them.

    The text is lower-cased, and the marks ``. , : ; ! ? ( ) [ ] { } "`` stand alone, but for points and commas between
    digits. Text that is so already, as R2Gen's, is cut at its spaces and nothing else. As in pycocoevalcap's ROUGE-L a
    run of k spaces holds k - 1 empty words; other white space counts as one space.
    """
    return list(shared_words(text))


def shared_words(text: str) -> Words:
    """Returns the same as words, a list that is kept for the next who asks: not to be changed."""
    return _words(text) if len(text) <= LONGEST_KEPT else _cut(text)


def _cut(text: str) -> Words:
    text = text.lower()
    if text and "  " not in text and not text[0].isspace() and not text[-1].isspace():  # three times as fast
        for mark in _ALONE:
            if mark in text:
                text = text.replace(mark, f" {mark} ")
        if _NUMBER.search(text):
            return _POINT.sub(r" \g<0> ", text).split()
        return text.replace(".", " . ").replace(",", " , ").split()
    found: list[str] = []
    for part in _SPACES.sub(" ", text).split(" "):
        found.extend(_WORD.findall(part) or [part])
    return found


_words = lru_cache(maxsize=4096)(_cut)  # ROUGE-L and the n-grams read the same texts


class _CodeOf(dict[str, int]):
    """The number of each word seen, a digest, so that it is the same in every process."""

    def __missing__(self, word: str) -> int:
        if len(self) > MOST_CODES:
            self.clear()
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self.setdefault(word, int.from_bytes(digest, "little"))


_code = _CodeOf()


class Grams(NamedTuple):
    """The different n-grams of one order in some texts: the text's row, the n-gram's code, and how often it stands
    there; each (k,). ``totals`` is the number of n-grams of each text, (texts,)."""

    rows: NDArray[np.int64]
    codes: Codes
    counts: NDArray[np.int64]
    totals: NDArray[np.int64]


def grams(texts: Sequence[Words]) -> list[Grams]:
    """Returns the n-grams of orders 1 to 4; empty words are left out."""
    said = list(chain.from_iterable(texts))
    if "" in said:
        texts = [[word for word in text if word] for text in texts]
        said = list(chain.from_iterable(texts))
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    flat = np.fromiter(map(_code.__getitem__, said), np.uint64, len(said))
    rows = np.repeat(np.arange(len(texts)), lengths)
    found, codes = [], flat
    for n in range(1, ORDERS + 1):
        if n > 1:
            codes = codes[:-1] * _STEP + flat[n - 1 :]
        inside = rows[: len(codes)] == rows[n - 1 :]  # not across two texts
        at, code = rows[: len(codes)][inside], codes[inside]
        keys = code + at.astype(np.uint64) * _ROW
        order = np.argsort(keys)  # several times as fast as np.unique, which sorts stably
        starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
        one = order[starts]
        found.append(Grams(at[one], code[one], np.diff(starts, append=len(keys)), np.maximum(lengths - n + 1, 0)))
    return found


class Overlap(NamedTuple):
    """N-grams of one order: those of the answers, those of the references, and for each of the answers' how often
    it stands in the reference of its row, (k,). ``matches`` is how many n-grams of each answer stand in its reference,
    each at most as often as there, (texts,)."""

    answers: Grams
    references: Grams
    wanted: NDArray[np.int64]
    matches: NDArray[np.float64]


@lru_cache(maxsize=4)  # the scorers of one rollout ask for the same batch
def overlaps(answers: tuple[str, ...], references: tuple[str, ...]) -> tuple[list[Overlap], NDArray[np.int64]]:
    """Counts the n-grams of pairs of texts.

    Returns the Overlap of each order, whose references are the different ones only, and the row of each answer's
    reference among these, (texts,).
    """
    rows = {text: i for i, text in enumerate(dict.fromkeys(references))}
    of_answer = np.array([rows[text] for text in references], dtype=np.int64)
    found = []
    for given, wanted in zip(grams([shared_words(a) for a in answers]), _reference_grams(tuple(rows)), strict=True):
        keys = wanted.codes + wanted.rows.astype(np.uint64) * _ROW
        order = np.argsort(keys)
        keys, counts = keys[order], wanted.counts[order]
        asked = given.codes + of_answer[given.rows].astype(np.uint64) * _ROW
        there = look_up(keys, counts, asked)
        matches = np.bincount(given.rows, np.minimum(given.counts, there), len(answers))
        found.append(Overlap(given, wanted, there, matches))
    return found, of_answer


def look_up(keys: Codes, values: NDArray[np.int64], asked: Codes) -> NDArray[np.int64]:
    """Returns the value of each key asked for, 0 where it is not among ``keys``, which are sorted."""
    there = np.zeros(len(asked), dtype=np.int64)
    if len(keys):
        order = np.argsort(asked)  # searching in order stays in the cache
        place = np.minimum(np.searchsorted(keys, asked[order]), len(keys) - 1)
        there[order] = (keys[place] == asked[order]) * values[place]
    return there


@lru_cache(maxsize=64)
def _reference_grams(references: tuple[str, ...]) -> list[Grams]:
    """The same questions come back each epoch."""
    return grams([shared_words(text) for text in references])

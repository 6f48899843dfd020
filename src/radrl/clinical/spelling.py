"""Misspelt terms: an unknown long word one slip away from one term of the vocabulary is taken for that term."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

SHORTEST = 8  # shorter words have neighbours that are other words
LONGEST = 24


class Speller:
    """Words of the vocabulary by what is left of them when one letter is dropped.

    A slip is one letter dropped, added, replaced, or two neighbours swapped, not in the first letter. A word that is
    one slip away from two terms is left alone.
    """

    def __init__(self, terms: Iterable[str], known: Iterable[str]) -> None:
        self.known = frozenset(known)
        self.correct = lru_cache(maxsize=65536)(self._correct)
        self._near: dict[str, set[str]] = defaultdict(set)
        for term in set(terms):
            if SHORTEST <= len(term) <= LONGEST:
                for rest in _dropped(term):
                    self._near[rest].add(term)

    def _correct(self, word: str) -> str:
        """Returns the term that a word is a misspelling of, or the word itself; behind a cache as ``correct``."""
        if word in self.known or not SHORTEST - 1 <= len(word) <= LONGEST:
            return word
        found = {
            term
            for rest in _dropped(word)
            for term in self._near.get(rest, ())
            if term[0] == word[0] and _one_slip(word, term)
        }
        return found.pop() if len(found) == 1 else word


def _dropped(word: str) -> Iterator[str]:
    yield word
    for i in range(1, len(word)):
        yield word[:i] + word[i + 1 :]


def _one_slip(a: str, b: str) -> bool:
    """Whether one edit (a swap of neighbours counts as one) leads from a to b, which differ."""
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x, y = a[start:], b[start:]
    if len(a) == len(b):
        return x[1:] == y[1:] or (x[2:] == y[2:] and x[:2] == y[1::-1])
    return x[1:] == y if len(a) > len(b) else x == y[1:]

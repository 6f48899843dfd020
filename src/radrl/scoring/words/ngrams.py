"""N-grams of many texts at once: what BLEU, Google-BLEU, CIDEr and the repetition penalty are made of.

Within a batch the n-grams are numbered, so that one sort for each order counts them all. Their codes, 64-bit numbers
made of their words' codes, are for tables that outlive a batch: two n-grams of 30,000 share one with probability below
1e-10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from radrl.scoring.words.splitting import CODE

ORDERS = 4
_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd, with well mixed bits

Codes = NDArray[np.uint64]
Coded = Callable[[str], bytes]
Integers = NDArray[np.int64]


class Grams(NamedTuple):
    """The n-grams of one order in some texts.

    ``codes`` are those of the different n-grams, (u,). The next three have an element for each different n-gram of each
    text, (k,), in order of n-gram and text: the n-gram's place in ``codes``, the text's row, and how often it stands
    there. ``totals`` is the number of n-grams of each text, (texts,).
    """

    codes: Codes
    places: Integers
    rows: Integers
    counts: Integers
    totals: Integers


def grams(texts: Sequence[bytes]) -> Iterator[Grams]:
    """Yields the n-grams of orders 1 to 4 of texts given as the codes of their words."""
    digests, words = np.unique(np.frombuffer(b"".join(texts), np.uint64), return_inverse=True)
    lengths = np.array([len(text) // CODE for text in texts], dtype=np.int64)
    rows = np.repeat(np.arange(len(texts)), lengths)
    codes, numbers = digests, words  # of the n-gram that begins at each word: its place in ``codes``
    for n in range(1, ORDERS + 1):
        at = np.flatnonzero(rows[: len(rows) - n + 1] == rows[n - 1 :])  # where one begins: not across two texts
        order, ordered = _sort(numbers[at] * len(digests) + words[at + n - 1] if n > 1 else words)
        at, new = at[order], _changes(ordered)
        if n > 1:
            before, end = np.divmod(ordered[new], max(len(digests), 1))
            codes = codes[before] * _STEP + digests[end]
        places = np.cumsum(new) - 1
        numbers = np.empty_like(words)
        numbers[at] = places
        starts = np.flatnonzero(new | _changes(rows[at]))
        counts = np.diff(starts, append=len(at))
        yield Grams(codes, places[starts], rows[at[starts]], counts, np.maximum(lengths - n + 1, 0))


def _sort(keys: Integers) -> tuple[Integers, Integers]:
    """Returns the order that sorts the keys (0 or more), equal ones left as they stand, and the sorted keys."""
    bits = len(keys).bit_length()
    if keys.max(initial=0) >> (63 - bits):
        order = np.argsort(keys, kind="stable")
        return order, keys[order]
    # the index carried in the low bits: sorting numbers is several times as fast as sorting indices
    packed = np.sort(keys << bits | np.arange(len(keys)))
    return packed & ((1 << bits) - 1), packed >> bits


def _changes(values: NDArray) -> NDArray[np.bool_]:
    """Returns where a value differs from the one before it; the first does."""
    changes = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def different(texts: Sequence[bytes], n: int) -> Integers:
    """Returns how many different n-grams each text has, (texts,); the texts are given as their words' codes or hashes.

    In texts of 100 words two n-grams of one text pass for the same with probability below 1e-9 a batch of 1,000.
    """
    words = np.frombuffer(b"".join(texts), np.uint64)
    rows = np.repeat(np.arange(len(texts), dtype=np.uint64), [len(text) // CODE for text in texts])
    codes = words
    for k in range(1, n):
        codes = codes[:-1] * _STEP + words[k:]
    inside = rows[: len(codes)] == rows[n - 1 :]  # not across two texts
    bits = len(texts).bit_length()
    keys = np.sort(codes[inside] << bits | rows[: len(codes)][inside])  # the row carried in the low bits
    of_first = keys[_changes(keys)] & ((1 << bits) - 1)
    return np.bincount(of_first.astype(np.int64), minlength=len(texts))


class Overlap(NamedTuple):
    """The n-grams of one order in answers and their references.

    ``grams`` are those of all texts; ``wanted`` is for each of its (k,) elements how often the n-gram stands in the
    text's reference. ``matches`` is how many n-grams of each text stand in its reference, each at most as often as
    there, (texts,).
    """

    grams: Grams
    wanted: Integers
    matches: NDArray[np.float64]


class Overlaps(NamedTuple):
    """The Overlap of each order, and each answer's row and that of its reference, (answers,)."""

    orders: list[Overlap]
    answers: Integers
    references: Integers


@lru_cache(maxsize=4)  # the scorers of one rollout ask for the same batch
def overlaps(answers: tuple[str, ...], references: tuple[str, ...], codes: Coded) -> Overlaps:
    """Counts the n-grams of pairs of texts, each given to ``codes`` for the codes of its words; equal references are
    counted once."""
    groups: dict[str, list[int]] = {}
    for i, reference in enumerate(references):
        groups.setdefault(reference, []).append(i)
    texts: list[str] = []  # each reference, and then its answers
    row = np.zeros(len(answers), dtype=np.int64)
    own: list[int] = []  # the row of each text's reference, its own for a reference
    for reference, members in groups.items():
        own += [len(texts)] * (len(members) + 1)
        row[members] = range(len(texts) + 1, len(own))
        texts += [reference, *(answers[i] for i in members)]
    reference = np.array(own, dtype=np.int64)
    found = [_overlap(one, reference) for one in grams([codes(text) for text in texts])]
    return Overlaps(found, row, reference[row])


def _overlap(one: Grams, reference: Integers) -> Overlap:
    """Compares texts with their references, whose rows are given; each reference stands just before its texts."""
    of = reference[one.rows]
    # of an n-gram in a reference and its texts: the reference, if it has it
    first = _changes(one.places) | _changes(of)
    in_reference = np.where(one.rows == of, one.counts, 0)[first]
    wanted = in_reference[np.cumsum(first) - 1]
    matches = np.bincount(one.rows, np.minimum(one.counts, wanted), len(reference))
    return Overlap(one, wanted, np.asarray(matches, dtype=np.float64))


def look_up(keys: Codes, values: Integers, asked: Codes) -> Integers:
    """Returns the value of each key asked for, 0 where it is not among ``keys``, which are sorted."""
    there = np.zeros(len(asked), dtype=np.int64)
    if len(keys):
        order = np.argsort(asked)  # searching in order stays in the cache
        place = np.minimum(np.searchsorted(keys, asked[order]), len(keys) - 1)
        there[order] = (keys[place] == asked[order]) * values[place]
    return there

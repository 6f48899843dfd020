"""ROUGE under the names of those who compute it: the COCO caption scripts, and google-research's rouge_score.

They differ by 5 to 6 points on the same reports: the COCO scripts count recall 1.44 times as much as precision and take
words as they stand; rouge_score takes F1 of words cut down to their stems. Papers print both as "ROUGE-L". rouge_score
cuts the words here (its stemmer is NLTK's); the longest common subsequence is rapidfuzz's, in linear memory and with 64
words a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cpdist

from radrl.example import Answer, Example, Score
from radrl.scoring.packages_of_others import missing_package
from radrl.scoring.registry import retired, scorer
from radrl.scoring.words.bleu_cider import TASKS, texts_of
from radrl.scoring.words.ngrams import overlaps
from radrl.scoring.words.splitting import LONGEST_KEPT, codes_of
from radrl.scoring.words.tokens import Cut, spaced

BETA = 1.2  # recall counts 1.44 times as much, as in the captioning metrics
MOST_STEMS = 100_000

retired(
    "rouge_l",
    "two published figures have this name; say 'rouge_l_stem' (rouge_score with stemming: RadVLM, RadEval), "
    "'rouge_l_nostem' (rouge_score without) or 'rouge_l_coco' (COCO caption scripts: R2Gen; 5 to 6 points above)",
)


@scorer(
    "rouge_l_coco",
    tasks=TASKS,
    title="ROUGE-L (COCO)",
    source="Lin 2004",
    cheated="the normal report scores 0.4 on IU X-ray for every film",
)
def rouge_l_coco(
    examples: Sequence[Example], answers: Sequence[Answer], *, words: Cut = "captions"
) -> list[Score | None]:
    """ROUGE-L as in the COCO caption scripts, in 0-1: F of the longest common subsequence of words, with beta 1.2 (Lin,
    ACL 2004). ``words``: how texts are cut. Parts: ``precision`` and ``recall``.
    """
    given, wanted = ([spaced(text, words) for text in side] for side in texts_of(examples, answers))
    return _scores(_common(given, wanted), list(map(len, given)), list(map(len, wanted)), BETA**2)


def _common(given: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Returns the length of each pair's longest common subsequence."""
    sides = [[_no_empty(said) for said in side] for side in (given, wanted)]
    return np.asarray(cpdist(*sides, scorer=LCSseq.similarity), dtype=np.float64)


def _no_empty(said: Sequence[str]) -> Sequence[str]:
    """Returns the words; rapidfuzz would take an empty one for a null character."""
    return [word or " " for word in said] if "" in said else said


def _scores(common: NDArray[np.float64], given: ArrayLike, wanted: ArrayLike, weight: float) -> list[Score | None]:
    """Returns F of what is in common, with recall counting ``weight`` times as much as precision."""
    precision, recall = (
        np.divide(common, total, out=np.zeros(len(common)), where=np.asarray(total) > 0) for total in (given, wanted)
    )
    below = recall + weight * precision
    values = np.divide((1 + weight) * precision * recall, below, out=np.zeros(len(common)), where=common > 0)
    rows = zip(np.minimum(values, 1.0).tolist(), precision.tolist(), recall.tolist(), strict=True)
    return [Score(value, {"precision": p, "recall": r}) for value, p, r in rows]


class _Stems:
    """Stems by word, in the form in which rouge_score asks for them (an empty dict would count as no stemmer)."""

    def __init__(self) -> None:
        self._program: Any = None

    @lru_cache(maxsize=MOST_STEMS)  # noqa: B019  there is one of it
    def stem(self, word: str) -> str:
        """Returns the stem of a word."""
        if self._program is None:
            from nltk.stem.porter import PorterStemmer  # late: NLTK takes a second to import

            self._program = PorterStemmer()
        return self._program.stem(word)


_stems = _Stems()


def _tokens(text: str, stem: bool) -> list[str]:
    from rouge_score.tokenize import tokenize

    return tokenize(text, _stems if stem else None)


_kept = lru_cache(maxsize=8192)(_tokens)


def tokens(text: str, stem: bool) -> list[str]:
    """Returns rouge_score's words of a text: runs of ASCII letters and digits, lower-cased; with ``stem`` those of more
    than three letters are cut down to their stem. Not to be changed: they are kept for the next who asks."""
    return _kept(text, stem) if len(text) <= LONGEST_KEPT else _tokens(text, stem)


def _coded(stem: bool, text: str) -> bytes:
    return codes_of(tokens(text, stem))


_CODERS = {stem: partial(_coded, stem) for stem in (True, False)}


def _missing(name: str, **options: object) -> str | None:
    return missing_package(name, "rouge_score", "'radrl[metrics]'")


def _register(order: int | None, stem: bool) -> None:
    name = f"rouge_{order or 'l'}_{'stem' if stem else 'nostem'}"
    how = "stems" if stem else "no stems"
    title = f"ROUGE-{order or 'L'} (rouge_score, {how})"

    @scorer(
        name,
        tasks=TASKS,
        title=title,
        missing=partial(_missing, name),
        source="Lin 2004",
        needs="`pip install 'radrl[metrics]'`",
        cheated="as rouge_l_coco",
    )
    def rouge(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
        texts = texts_of(examples, answers)
        if order is None:
            given, wanted = ([tokens(text, stem) for text in side] for side in texts)
            return _scores(_common(given, wanted), list(map(len, given)), list(map(len, wanted)), 1.0)
        orders, rows, references = overlaps(*texts, _CODERS[stem])
        totals = orders[order - 1].grams.totals
        return _scores(orders[order - 1].matches[rows], totals[rows], totals[references], 1.0)

    what = "the longest common subsequence" if order is None else f"the n-grams of order {order}"
    rouge.__doc__ = f"""ROUGE-{order or "L"} as google-research's rouge_score computes it with use_stemmer={stem}, in
    0-1: F1 of {what}. Parts: ``precision`` and ``recall``."""


for _order in (1, 2, None):
    for _stem in (True, False):
        _register(_order, _stem)

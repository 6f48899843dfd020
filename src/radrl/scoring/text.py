"""Scorers of the words of a report, whatever they mean: BLEU, Google-BLEU, ROUGE-L, CIDEr, METEOR.

They are here because tables need them, and because a clinical reward is read beside them; none of them knows a
negation. Words are those of `radrl.scoring.words.words`. BLEU, Google-BLEU and CIDEr are small implementations of
our own: pycocoevalcap, whose figures they reproduce to 1e-6, scores one pair at a time in Python, and its BLEU may not
be used commercially; sacrebleu tokenises in another way and has no CIDEr. ROUGE-L's subsequence is rapidfuzz's, in
linear memory and with 64 words a step. METEOR is the authors' own program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cpdist

from radrl.errors import UserError
from radrl.example import Answer, Example, Score
from radrl.scoring import meteor as meteor_program
from radrl.scoring.ngrams import ORDERS, grams, look_up, overlaps
from radrl.scoring.registry import Pooled, scorer
from radrl.scoring.words import CODE, Words, read

TASKS = ("report", "vqa_open")
ROUGE_BETA = 1.2  # recall counts 1.44 times as much, as in the captioning metrics
CIDER_SIGMA = 6.0


def _texts(examples: Sequence[Example], answers: Sequence[Answer]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(answer.text for answer in answers), tuple(example.reference for example in examples)


def _bleu(matches: NDArray, given: NDArray, length: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    """Returns BLEU from matches and n-grams given, (orders, ...), and the words given and wanted, (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(given > 0, matches / given, 0.0)
        mean = np.exp(np.log(precision).mean(axis=0))
        return np.where(length > 0, mean * np.exp(np.minimum(0.0, 1 - wanted / length)), 0.0)


def _bleu_counts(order: int, examples: Sequence[Example], answers: Sequence[Answer]) -> tuple[NDArray, ...]:
    orders, given, wanted = overlaps(*_texts(examples, answers))
    totals = [one.grams.totals for one in orders[:order]]
    return (
        np.array([one.matches[given] for one in orders[:order]]),
        np.array([one[given] for one in totals]),
        totals[0][given],
        totals[0][wanted],
    )


def _bleu_of_sums(order: int, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = np.moveaxis(sums, -1, 0)
    return np.minimum(_bleu(columns[:order], columns[order : 2 * order], *columns[2 * order :]), 1.0)


def _register_bleu(order: int) -> None:
    def table(examples: Sequence[Example], answers: Sequence[Answer]) -> NDArray[np.float64]:
        return np.vstack(_bleu_counts(order, examples, answers)).T.astype(float)

    value = partial(_bleu_of_sums, order)  # no function in here: processes that score send it back

    @scorer(f"bleu_{order}", tasks=TASKS, pooled=Pooled(table, value))
    def bleu(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
        values = _bleu(*_bleu_counts(order, examples, answers))
        return [Score(value) for value in np.minimum(values, 1.0).tolist()]

    bleu.__doc__ = f"""BLEU of orders 1 to {order}, not smoothed, in 0-1 (Papineni et al., ACL 2002).

    A case without a match of some order is 0. The value of a set is BLEU of the summed counts, not the mean.
    """


for _order in range(1, ORDERS + 1):
    _register_bleu(_order)


def _google_bleu_table(examples: Sequence[Example], answers: Sequence[Answer]) -> NDArray[np.float64]:
    return np.column_stack(_google_bleu_counts(examples, answers)).astype(float)


def _share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    matches, most = sums[..., 0], sums[..., 1]
    return np.divide(matches, most, out=np.zeros_like(matches), where=most > 0)


def _google_bleu_counts(examples: Sequence[Example], answers: Sequence[Answer]) -> tuple[NDArray, NDArray]:
    orders, given, wanted = overlaps(*_texts(examples, answers))
    totals = sum(one.grams.totals for one in orders)
    return sum(one.matches for one in orders)[given], np.maximum(totals[given], totals[wanted])


@scorer("google_bleu", tasks=TASKS, pooled=Pooled(_google_bleu_table, _share))
def google_bleu(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Google-BLEU (GLEU), in 0-1: matched n-grams of orders 1 to 4 over the larger number of n-grams of the two texts,
    which is the smaller of precision and recall (arXiv 1609.08144). The value of a set is that of the summed counts.
    """
    matches, most = _google_bleu_counts(examples, answers)
    return [Score(m / n if n else 0.0) for m, n in zip(matches.tolist(), most.tolist(), strict=True)]


@scorer("rouge_l", tasks=TASKS)
def rouge_l(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """ROUGE-L, in 0-1: F of the longest common subsequence of words, with beta 1.2 as in the captioning metrics (Lin,
    ACL 2004; google-research's rouge_score uses beta 1). Parts: ``precision`` and ``recall``.
    """
    given, wanted = ([_no_empty(read(text)) for text in side] for side in _texts(examples, answers))
    common = cpdist(given, wanted, scorer=LCSseq.similarity)
    precision = common / [len(words) for words in given]
    recall = common / [len(words) for words in wanted]
    weight = ROUGE_BETA**2
    below = recall + weight * precision
    values = np.divide((1 + weight) * precision * recall, below, out=np.zeros(len(given)), where=common > 0)
    rows = zip(np.minimum(values, 1.0).tolist(), precision.tolist(), recall.tolist(), strict=True)
    return [Score(value, {"precision": p, "recall": r}) for value, p, r in rows]


def _no_empty(said: Words) -> list[str]:
    """Returns the words; rapidfuzz would take an empty one for a null character."""
    return said.words if len(said.words) == len(said.codes) // CODE else [word or " " for word in said.words]


@dataclass(frozen=True, eq=False)
class Frequencies:
    """In how many of ``documents`` texts an n-gram stands: for each order the sorted codes and the counts."""

    documents: int
    codes: list[NDArray[np.uint64]]
    counts: list[NDArray[np.int64]]

    def weights(self, order: int, codes: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Returns log(documents / texts with the n-gram), (k,); an n-gram in no text counts as in one."""
        known, counts = self.codes[order], self.counts[order]
        return np.log(self.documents) - np.log(np.maximum(look_up(known, counts, codes), 1))


def _frequencies(examples: Sequence[Example]) -> Mapping[str, Frequencies]:
    references = [example.reference for example in examples if example.task in TASKS]
    if len(references) < 2:
        raise UserError("scorer 'cider' weighs words by how many references have them; it needs at least 2 references")
    codes, counts = [], []
    for one in grams([read(text).codes for text in references]):
        order = np.argsort(one.codes)
        codes.append(one.codes[order])
        counts.append(np.bincount(one.places, minlength=len(order))[order])
    return {"frequencies": Frequencies(len(references), codes, counts)}


@scorer("cider", tasks=TASKS, high=10.0, fit=_frequencies)
def cider(examples: Sequence[Example], answers: Sequence[Answer], *, frequencies: Frequencies) -> list[Score | None]:
    """CIDEr-D, in 0-10 (arXiv 1411.5726): cosine of the n-grams weighted by their rarity, orders 1 to 4.

    Rarity comes from a fixed corpus: as a metric the references of the set that is scored, as a reward the references
    of the training data, so that a reward does not change with its batch.
    """
    orders, given, wanted = overlaps(*_texts(examples, answers))
    total = np.zeros(len(answers))
    for order, (one, there, matches) in enumerate(orders):
        rarity = frequencies.weights(order, one.codes)[one.places]
        shared = np.bincount(one.rows, np.minimum(one.counts, there) * there * rarity**2, len(matches))[given]
        norms = np.bincount(one.rows, (one.counts * rarity) ** 2, len(matches))
        norm = norms[given] * norms[wanted]
        total += np.divide(shared, np.sqrt(norm), out=np.zeros(len(answers)), where=norm > 0)
    # the authors' code measures length in pairs of words
    pairs = orders[1].grams.totals
    longer = (pairs[given] - pairs[wanted]).astype(float)
    values = 10 * total / ORDERS * np.exp(-(longer**2) / (2 * CIDER_SIGMA**2))
    # on some machines the last bits depend on the place in the batch
    return [Score(round(value, 12)) for value in np.clip(values, 0.0, 10.0).tolist()]


def _meteor_table(examples: Sequence[Example], answers: Sequence[Answer]) -> NDArray[np.float64]:
    return meteor_program.statistics(*_texts(examples, answers))


@scorer(
    "meteor",
    tasks=TASKS,
    missing=meteor_program.missing,
    pooled=Pooled(_meteor_table, meteor_program.value),
)
def meteor(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """METEOR 1.5, in 0-1, by its authors' program with the settings of the captioning metrics (Denkowski and Lavie,
    WMT 2014): stems, synonyms and paraphrases also match. The value of a set is that of the summed statistics.
    """
    return [Score(value) for value in meteor_program.value(_meteor_table(examples, answers)).tolist()]

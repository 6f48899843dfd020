"""Scorers of the words of a report, whatever they mean: BLEU, Google-BLEU, CIDEr, METEOR. ROUGE is in `rouge`.

They are here because tables need them, and because a clinical reward is read beside them; none of them knows a
negation. How a text is cut into words decides the figure, so it is an option (`tokens`). BLEU, Google-BLEU and CIDEr
are small implementations of our own: pycocoevalcap, whose figures they reproduce to 1e-6, scores one pair at a time in
Python, and its BLEU may not be used commercially. METEOR is the authors' own program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radrl.errors import UserError
from radrl.example import Answer, Example, Score
from radrl.scoring.registry import Pooled, scorer
from radrl.scoring.words import meteor as meteor_program
from radrl.scoring.words.ngrams import ORDERS, Overlaps, grams, look_up, overlaps
from radrl.scoring.words.tokens import Cut, coder, tokens

TASKS = ("report", "vqa_open")
TINY, SMALL = 1e-15, 1e-9  # what the COCO scripts add to counts: where no n-gram matches BLEU is not quite 0
EPSILON = 0.1  # matches that fast_bleu counts where there is none
CIDER_SIGMA = 6.0

Table = NDArray[np.float64]


def texts_of(examples: Sequence[Example], answers: Sequence[Answer]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the texts of the answers and of their references."""
    return tuple(answer.text for answer in answers), tuple(example.reference for example in examples)


def _overlaps(examples: Sequence[Example], answers: Sequence[Answer], cut: Cut) -> Overlaps:
    return overlaps(*texts_of(examples, answers), coder(cut))


def _bleu_table(order: int, examples: Sequence[Example], answers: Sequence[Answer], words: Cut = "captions") -> Table:
    """Returns for each case the matches of each order, the n-grams given of each, and the words given and wanted,
    (cases, 2 order + 2)."""
    orders, given, wanted = _overlaps(examples, answers, words)
    totals = [one.grams.totals for one in orders[:order]]
    matches = [one.matches[given] for one in orders[:order]]
    return np.vstack([*matches, *(one[given] for one in totals), totals[0][given], totals[0][wanted]]).T.astype(float)


def _bleu(order: int, sums: Table) -> Table:
    """Returns BLEU of sums (..., 2 order + 2)."""
    columns = np.moveaxis(sums, -1, 0)
    matches, given, length, wanted = columns[:order], columns[order : 2 * order], *columns[2 * order :]
    precision = np.where(matches > 0, matches / np.maximum(given, 1), TINY / (given + SMALL))
    short = 1 - np.divide(wanted, length, out=np.full(np.shape(length), np.inf), where=length > 0)
    return np.exp(np.log(precision).mean(axis=0) + np.minimum(0.0, short))


def _register_bleu(order: int) -> None:
    table, value = partial(_bleu_table, order), partial(_bleu, order)  # no function in here: other processes get them

    @scorer(
        f"bleu_{order}",
        tasks=TASKS,
        title=f"BLEU-{order} (COCO)",
        pooled=Pooled(table, value),
        source="Papineni 2002",
        cheated='by stock phrases; a "no" that is left out costs little',
    )
    def bleu(examples: Sequence[Example], answers: Sequence[Answer], *, words: Cut = "captions") -> list[Score | None]:
        return [Score(one) for one in value(table(examples, answers, words)).tolist()]

    bleu.__doc__ = f"""BLEU of orders 1 to {order} as in the COCO caption scripts, not smoothed, in 0-1 (Papineni et
    al., ACL 2002). ``words``: how texts are cut.

    A case without a match of some order has next to nothing (up to 2e-4). The value of a set is BLEU of the summed
    counts, not the mean.
    """


for _order in range(1, ORDERS + 1):
    _register_bleu(_order)


def _register_mean_bleu(order: int, whose: str, title: str, least: float, said: str) -> None:
    @scorer(
        f"bleu_{order}_{whose}",
        tasks=TASKS,
        title=f"BLEU-{order} ({title})",
        source=f"Papineni 2002, as in {title}",
        cheated="as BLEU",
    )
    def bleu(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
        columns = _bleu_table(order, examples, answers, "cxr_metric").T
        matches, given = columns[:order], np.maximum(columns[order : 2 * order], 1)
        length, wanted = columns[2 * order :]
        matches[1:] = np.where(matches[1:] > 0, matches[1:], least)
        short = 1 - np.divide(wanted, length, out=np.full(len(length), np.inf), where=length > 0)
        values = (matches / given).prod(axis=0) ** (1 / order) * np.exp(np.minimum(0.0, short))
        return [Score(value) for value in values.tolist()]

    bleu.__doc__ = f"""BLEU of orders 1 to {order} as {said}, in 0-1: of each case, lower-cased and with a space before
    each full stop; the value of a set is the mean of its cases."""


_register_mean_bleu(
    2, "rexrank", "ReXrank", EPSILON,
    "CXR-Report-Metric and ReXrank compute it (fast_bleu, which counts a tenth of a match where no pair of words does)",
)  # fmt: skip
for _order in range(1, ORDERS + 1):
    _register_mean_bleu(_order, "medevalkit", "MedEvalKit", 0.0, "MedEvalKit computes it (NLTK's sentence_bleu)")


def _google_bleu_table(examples: Sequence[Example], answers: Sequence[Answer]) -> Table:
    orders, given, wanted = _overlaps(examples, answers, "13a")
    totals = np.sum([one.grams.totals for one in orders], axis=0)
    matches = np.sum([one.matches for one in orders], axis=0)[given]
    return np.column_stack([matches, np.maximum(totals[given], totals[wanted])]).astype(float)


def _share(sums: Table) -> Table:
    matches, most = sums[..., 0], sums[..., 1]
    return np.divide(matches, most, out=np.zeros_like(matches), where=most > 0)


@scorer(
    "google_bleu",
    tasks=TASKS,
    title="Google-BLEU",
    pooled=Pooled(_google_bleu_table, _share),
    source="arXiv 1609.08144",
    cheated="as BLEU",
)
def google_bleu(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Google-BLEU (GLEU), in 0-1: matched n-grams of orders 1 to 4 over the larger number of n-grams of the two texts,
    which is the smaller of precision and recall (arXiv 1609.08144). As Hugging Face's ``evaluate`` computes it, and so
    RadVLM-GRPO's reward: words of mteval-v13a, case kept. The value of a set is that of the summed counts.
    """
    return [Score(value) for value in _share(_google_bleu_table(examples, answers)).tolist()]


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


def _frequencies(examples: Sequence[Example], words: Cut = "captions", **_: Any) -> Mapping[str, Frequencies]:
    references = [example.reference for example in examples if example.task in TASKS]
    if len(references) < 2:
        raise UserError("scorer 'cider' weighs words by how many references have them; it needs at least 2 references")
    codes, counts = [], []
    for one in grams([coder(words)(text) for text in references]):
        order = np.argsort(one.codes)
        codes.append(one.codes[order])
        counts.append(np.bincount(one.places, minlength=len(order))[order])
    return {"frequencies": Frequencies(len(references), codes, counts)}


@scorer(
    "cider",
    tasks=TASKS,
    high=10.0,
    title="CIDEr-D (COCO)",
    fit=_frequencies,
    source="arXiv 1411.5726",
    cheated="by rare words and places without their finding",
)
def cider(
    examples: Sequence[Example], answers: Sequence[Answer], *, frequencies: Frequencies, words: Cut = "captions"
) -> list[Score | None]:
    """CIDEr-D, in 0-10 (arXiv 1411.5726): cosine of the n-grams weighted by their rarity, orders 1 to 4. ``words``: how
    texts are cut.

    Rarity comes from a fixed corpus: as a metric the references of the set that is scored, as a reward the references
    of the task's training data, so that a reward does not change with its batch.
    """
    orders, given, wanted = _overlaps(examples, answers, words)
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


def _meteor_table(examples: Sequence[Example], answers: Sequence[Answer], words: Cut = "split") -> Table:
    both = ([" ".join(tokens(text, words)) for text in side] for side in texts_of(examples, answers))
    return meteor_program.statistics(*both)


@scorer(
    "meteor",
    tasks=TASKS,
    title="METEOR 1.5",
    missing=meteor_program.missing,
    pooled=Pooled(_meteor_table, meteor_program.value),
    source="Denkowski 2014",
    needs="`pip install 'radrl[meteor]'` and Java",
    cheated="as ROUGE; slow, so a metric rather than a reward",
)
def meteor(examples: Sequence[Example], answers: Sequence[Answer], *, words: Cut = "split") -> list[Score | None]:
    """METEOR 1.5, in 0-1, by its authors' program with the settings of the captioning metrics (Denkowski and Lavie,
    WMT 2014): stems, synonyms and paraphrases also match. The program cuts and normalises the text itself; ``words``
    changes it before. The value of a set is that of the summed statistics.
    """
    return [Score(value) for value in meteor_program.value(_meteor_table(examples, answers, words)).tolist()]

"""CheXbert's labels of answers against those of references (Smit et al., EMNLP 2020), as the package f1chexbert and
RadEval print them of a set: F1 of all 14 conditions and of the five main ones of CheXpert, micro-averaged,
macro-averaged, weighted by how often references have a condition, and averaged over cases; and how often all five
labels are right.

A condition counts as there where it is present or uncertain ("No Finding" is one of the 14). F1 is 0 where neither side
has the condition, as in scikit-learn with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import models
from radrl.scoring.neural.features import Scored, Texts, each, lacks, readings
from radrl.scoring.registry import Pooled, retired, scorer

Sums = NDArray[np.float64]
# Places in chexbert.CONDITIONS, which imports torch; the five: Cardiomegaly, Edema, Consolidation, Atelectasis, Pleural
# Effusion.
CHOSEN: Mapping[str, tuple[int, ...]] = {"14": tuple(range(14)), "5": (1, 4, 5, 7, 9)}


def _table(chosen: str, examples: Sequence[Example], answers: Sequence[Answer], **options: Any) -> Sums:
    """Returns for each case and condition whether it is right, given and wanted, (cases, 3 * conditions). An Answer
    without text names nothing."""
    table = np.zeros((len(answers), 3, len(CHOSEN[chosen])))
    for row, (given, wanted) in zip(table, _labels(chosen, examples, answers, **options), strict=True):
        row[:] = given & wanted, given, wanted
    return table.reshape(len(answers), -1)


def _labels(
    chosen: str,
    examples: Sequence[Example],
    answers: Sequence[Answer],
    weights: dict | None = None,
    device: str = "auto",
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    references = [models.readable(example.reference) for example in examples]
    spoken = [bool(answer.text.strip()) for answer in answers]
    texts = [
        (models.readable(a.text) if ok else reference, reference)
        for a, ok, reference in zip(answers, spoken, references, strict=True)
    ]
    return [
        (_there(given.positive, chosen) & ok, _there(wanted.positive, chosen))
        for (given, wanted), ok in zip(readings(texts, weights, device), spoken, strict=True)
    ]


def _there(positive: frozenset[int], chosen: str) -> NDArray[np.bool_]:
    return np.array([k in positive for k in CHOSEN[chosen]])


def _by_condition(sums: Sums) -> tuple[Sums, Sums]:
    """Returns each condition's F1 and how often references have it, (..., conditions) both."""
    right, given, wanted = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    return _f1(right, given + wanted), wanted


def _f1(right: Sums, total: Sums) -> Sums:
    return np.divide(2 * right, total, out=np.zeros_like(right), where=total > 0)


def _micro(sums: Sums) -> Sums:
    right, given, wanted = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1).sum(axis=-1), -1, 0)
    return _f1(right, given + wanted)


def _macro(sums: Sums) -> Sums:
    return _by_condition(sums)[0].mean(axis=-1)


def _weighted(sums: Sums) -> Sums:
    f1, wanted = _by_condition(sums)
    total = wanted.sum(axis=-1)
    return np.divide((f1 * wanted).sum(axis=-1), total, out=np.zeros_like(total), where=total > 0)


_OF_A_SET: Mapping[str, tuple[Callable[[Sums], Sums], str]] = {
    "micro": (_micro, "of all conditions counted together"),
    "macro": (_macro, "the mean of the conditions' F1"),
    "weighted": (_weighted, "the mean of the conditions' F1, weighted by how often references have them"),
}


ABOUT: dict[str, Any] = {
    "source": "arXiv 2004.09167",
    "needs": "weights `chexbert`",
    "cheated": "a finding without a label costs nothing",
}


def _register_f1(average: str, chosen: str) -> None:
    name = f"chexbert_f1_{average}_{chosen}"
    value, said = _OF_A_SET[average]

    @scorer(
        name,
        tasks=("report",),
        pooled=Pooled(partial(_table, chosen), value),
        missing=lacks(name, "chexbert"),
        kind="neural",
        **ABOUT,
    )
    def chexbert_f1(
        examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
    ) -> Scored:
        return _cases(chosen, examples, answers, weights, device, neither=1.0)

    chexbert_f1.__doc__ = f"""CheXbert F1 of {chosen} conditions, in 0-1: of a set, {said}. A case's own value is the F1
    of its labels, 1 where neither text has any."""


def _register_examples(chosen: str) -> None:
    name = f"chexbert_f1_examples_{chosen}"

    @scorer(name, tasks=("report",), missing=lacks(name, "chexbert"), kind="neural", **ABOUT)
    def chexbert_f1_examples(
        examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
    ) -> Scored:
        return _cases(chosen, examples, answers, weights, device, neither=0.0)

    chexbert_f1_examples.__doc__ = f"""CheXbert F1 of {chosen} conditions by example, in 0-1: the F1 of a case's labels,
    0 where neither text has any, and its mean over cases."""


def _cases(
    chosen: str,
    examples: Sequence[Example],
    answers: Sequence[Answer],
    weights: dict | None,
    device: str,
    neither: float,
) -> Scored:
    def f1(given: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
        total = int(given.sum() + wanted.sum())
        return 2 * int((given & wanted).sum()) / total if total else neither

    def of(texts: Texts) -> Scored:
        return [
            Score(f1(_there(a.positive, chosen), _there(b.positive, chosen)))
            for a, b in readings(texts, weights, device)
        ]

    return each(examples, answers, of)


for _chosen in CHOSEN:
    for _average in _OF_A_SET:
        _register_f1(_average, _chosen)
    _register_examples(_chosen)


@scorer(
    "chexbert_accuracy_5", tasks=("report",), missing=lacks("chexbert_accuracy_5", "chexbert"), kind="neural", **ABOUT
)
def chexbert_accuracy_5(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> Scored:
    """1 where CheXbert finds the same of the five main conditions in both texts, else 0."""

    def of(texts: Texts) -> Scored:
        return [
            Score(float((_there(a.positive, "5") == _there(b.positive, "5")).all()))
            for a, b in readings(texts, weights, device)
        ]

    return each(examples, answers, of)


retired("chexbert_f1", "its figure of a set is called chexbert_f1_micro_14 now, that of five conditions ..._micro_5")
retired("chexbert_macro_f1", "its figure of a set is called chexbert_f1_macro_14 now, that of five ..._macro_5")

"""Precision, recall and F1 of the labels of classification questions over a set: micro, macro, and label by label.

They are scikit-learn's of multi-label indicators with ``zero_division=0``: a label that no reference and no answer has
counts 0 in a macro mean. The labels are those that may be named in any case; where any may be, those that a reference
has: another one that is named is false in the micro figures and has no row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from radrl.evaluation.metrics.metric import Column, FindingCounts, Metric
from radrl.evaluation.metrics.set_statistics import Array, Pooled
from radrl.example import Answer, Example
from radrl.label_names import key
from radrl.scoring.classification import TASK, compared


def names(examples: Sequence[Example]) -> dict[tuple[str, ...], str]:
    """Returns the labels of a set by `radrl.label_names.key`, in the spelling and order in which they come first."""
    found: dict[tuple[str, ...], str] = {}
    for example in examples:
        if example.task == TASK:
            for name in (*example.choices, *example.label_set, *example.labels):
                found.setdefault(key(name), name)
    return found


def columns(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> list[Column]:
    """Returns micro and macro F1, precision and recall; empty without classification questions."""
    if not names(examples):
        return []
    tables = [_table(examples, given).reshape(len(examples), -1) for given in answers]
    found = []
    for figure, words in (("f1", "F1"), ("precision", "precision"), ("recall", "recall")):
        for mean, value in _VALUES[figure].items():
            metric = Metric(
                f"label_{figure}_{mean}",
                f"Classification: label {words}, {mean}",
                (TASK,),
                headline=figure == "f1",
                about=f"{_ABOUT[mean]}; zero_division 0",
            )
            found.append(Column(metric, None, tuple(Pooled(table, value) for table in tables)))
    return found


def counts(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> dict[str, FindingCounts]:
    """Returns how often each label was named rightly, named falsely, and missed, over all samples."""
    labels = names(examples)
    if not labels:
        return {}
    total = sum(_table(examples, given).sum(axis=0) for given in answers).astype(int)
    return {name: FindingCounts(*map(int, total[:, j])) for j, name in enumerate(labels.values())}


def _table(examples: Sequence[Example], given: Sequence[Answer]) -> Array:
    """Returns per case which labels were matched, false and missed, (cases, 3, labels + 1): the last column holds
    false ones that are none of the labels."""
    place = {k: j for j, k in enumerate(names(examples))}
    table = np.zeros((len(examples), 3, len(place) + 1))
    for i, (example, answer) in enumerate(zip(examples, given, strict=True)):
        if example.task == TASK:
            one = compared(example, answer)
            for kind, labels in enumerate((one.match, one.false, one.missed)):
                for label in labels:
                    table[i, kind, place.get(key(label), -1)] += 1
    return table


def _kinds(sums: Array) -> tuple[Array, Array, Array]:
    by_kind = sums.reshape(*sums.shape[:-1], 3, -1)
    return by_kind[..., 0, :], by_kind[..., 1, :], by_kind[..., 2, :]


def _f1(match: Array, false: Array, missed: Array) -> Array:
    return _share(2 * match, 2 * match + false + missed)


def _precision(match: Array, false: Array, missed: Array) -> Array:
    return _share(match, match + false)


def _recall(match: Array, false: Array, missed: Array) -> Array:
    return _share(match, match + missed)


def _share(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _micro(figure: Callable[[Array, Array, Array], Array], sums: Array) -> Array:
    return figure(*(kind.sum(axis=-1) for kind in _kinds(sums)))


def _macro(figure: Callable[[Array, Array, Array], Array], sums: Array) -> Array:
    return figure(*(kind[..., :-1] for kind in _kinds(sums))).mean(axis=-1)


_VALUES = {
    name: {"micro": partial(_micro, figure), "macro": partial(_macro, figure)}
    for name, figure in (("f1", _f1), ("precision", _precision), ("recall", _recall))
}
_ABOUT = {"micro": "all labels pooled", "macro": "mean over labels"}

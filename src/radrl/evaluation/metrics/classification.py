"""Precision, recall and F1 of the labels of classification questions over a set: micro, macro, and label by label.

They are scikit-learn's of multi-label indicators with ``zero_division=0``: a label that no reference and no answer has
counts 0 in a macro mean. The labels are those that may be named in any case; where any may be, those that a reference
has: another one that is named is false in the micro figures and has no row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from radrl.evaluation.metrics.f_scores import f1, macro, micro, precision, recall
from radrl.evaluation.metrics.records import Column, Confidence, FindingCounts, Metric
from radrl.evaluation.metrics.set_statistics import Array, SumStatistic
from radrl.example import Answer, Example
from radrl.label_names import label_key
from radrl.scoring.classification import TASK, compared


def class_names(examples: Sequence[Example]) -> dict[tuple[str, ...], str]:
    """Returns the labels of a set by `radrl.label_names.label_key`, in the spelling and order of their first use."""
    names: dict[tuple[str, ...], str] = {}
    for example in examples:
        if example.task == TASK:
            for name in (*example.choices, *example.label_set, *example.labels):
                names.setdefault(label_key(name), name)
    return names


def class_columns(
    examples: Sequence[Example], answers: Sequence[Sequence[Answer]], confidence: Confidence | None = None
) -> list[Column]:
    """Returns micro and macro F1, precision and recall; empty without classification questions."""
    labels = len(class_names(examples))
    if not labels:
        return []
    tables = [_table(examples, given).reshape(len(examples), -1) for given in answers]
    columns = []
    for name, words, figure in (("f1", "F1", f1), ("precision", "precision", precision), ("recall", "recall", recall)):
        # the last column of a table is no label of the set: it counts as false, and has no place in a mean over labels
        for mean, about, value in (
            ("micro", "all labels pooled", partial(micro, figure)),
            ("macro", "mean over labels", partial(macro, figure, labels=labels)),
        ):
            metric = Metric(
                f"label_{name}_{mean}",
                f"Classification: label {words}, {mean}",
                (TASK,),
                headline=name == "f1",
                about=f"{about}; zero_division 0",
            )
            columns.append(Column(metric, None, tuple(SumStatistic(table, value) for table in tables)))
    return columns


def count_classes(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> dict[str, FindingCounts]:
    """Returns how often each label was named rightly, named falsely, and missed, over all samples."""
    labels = class_names(examples)
    if not labels:
        return {}
    total = np.sum([_table(examples, given).sum(axis=0) for given in answers], axis=0).astype(int)
    return {name: FindingCounts(*map(int, total[:, j])) for j, name in enumerate(labels.values())}


def _table(examples: Sequence[Example], given: Sequence[Answer]) -> Array:
    """Returns per case which labels were matched, false and missed, (cases, 3, labels + 1): the last column holds
    false ones that are none of the labels."""
    place = {k: j for j, k in enumerate(class_names(examples))}
    table = np.zeros((len(examples), 3, len(place) + 1))
    for i, (example, answer) in enumerate(zip(examples, given, strict=True)):
        if example.task == TASK:
            one = compared(example, answer)
            for kind, labels in enumerate((one.match, one.false, one.missed)):
                for label in labels:
                    table[i, kind, place.get(label_key(label), -1)] += 1
    return table

"""F1 of the 14 labels of CheXpert (arXiv 1901.07031) between reference and answer, and of its five main ones.

Labels are read from both texts by rules (`radrl.clinical.label`), so a figure is not that of the CheXbert network. A
label counts where it is present or uncertain, as in the report generation papers. The F1s are scikit-learn's with
``zero_division=0``: a label, or in the example-wise mean a case, that neither side has counts 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

from radrl.clinical.label import PRESENT, UNCERTAIN, labels
from radrl.evaluation.metrics.f_scores import f1, macro, micro
from radrl.evaluation.metrics.records import Column, Confidence, FindingCounts, Metric
from radrl.evaluation.metrics.set_statistics import Array, SumStatistic
from radrl.example import Answer, Example

SCHEMA = "chexpert14"
_MEANS = {"micro": "all labels pooled", "macro": "mean over labels", "examples": "mean over cases"}
TOP5 = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def label_names() -> tuple[str, ...]:
    """Returns the 14 labels in the order of the published files."""
    return tuple(labels("", SCHEMA))


@lru_cache(maxsize=16384)
def labels_said(text: str) -> tuple[bool, ...]:
    """Returns which labels a report says are there, or may be, (14,)."""
    return tuple(value in (PRESENT, UNCERTAIN) for value in labels(text, SCHEMA).values())


def chexpert_columns(
    examples: Sequence[Example], answers: Sequence[Sequence[Answer]], confidence: Confidence | None = None
) -> list[Column]:
    """Returns micro, macro and example-wise F1 of all labels and of five; empty without reports."""
    rows = [i for i, example in enumerate(examples) if example.task == "report"]
    if not rows:
        return []
    columns = []
    tables = [_table(examples, given, rows) for given in answers]
    for title, chosen in ((f"{len(label_names())}", label_names()), ("5", TOP5)):
        pick = [label_names().index(name) for name in chosen]
        for kind, about in _MEANS.items():
            metric = Metric(
                f"chexpert{title}_f1_{kind}", f"Report: CheXpert-{title} F1, {kind}", ("report",),
                headline=(title, kind) == ("14", "micro"),
                about=f"labels by rules, uncertain counts as there, {about}; zero_division 0",
            )  # fmt: skip
            if kind == "examples":
                values = np.full((len(answers), len(examples)), np.nan)
                for k, table in enumerate(tables):
                    values[k, rows] = f1(*(table[:, :, pick].sum(axis=2)[rows].T))
                columns.append(Column(metric, values))
            else:
                value = partial(micro if kind == "micro" else macro, f1)
                own = tuple(SumStatistic(table[:, :, pick].reshape(len(examples), -1), value) for table in tables)
                columns.append(Column(metric, None, own))
    return columns


def count_labels(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> dict[str, FindingCounts]:
    """Returns how often each label was said by both, by the answer only and by the reference only."""
    rows = [i for i, example in enumerate(examples) if example.task == "report"]
    if not rows:
        return {}
    total = np.sum([_table(examples, given, rows).sum(axis=0) for given in answers], axis=0).astype(int)
    return {name: FindingCounts(*map(int, total[:, j])) for j, name in enumerate(label_names())}


def _table(examples: Sequence[Example], given: Sequence[Answer], rows: Sequence[int]) -> Array:
    """Returns per case, for both, the answer only and the reference only, which labels, (cases, 3, 14)."""
    table = np.zeros((len(examples), 3, len(label_names())))
    there = np.array([labels_said(examples[i].reference) for i in rows])
    told = np.array([labels_said(given[i].text) for i in rows])
    table[rows] = np.stack([there & told, told & ~there, there & ~told], axis=1)
    return table

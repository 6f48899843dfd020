"""F1 of the 14 labels of CheXpert (arXiv 1901.07031) between reference and answer, and of its five main ones.

Labels are read from both texts by rules (`radrl.clinical.label`), so a figure is not that of the CheXbert network. A
label counts where it is present or uncertain, as in the report generation papers. The F1s are scikit-learn's with
``zero_division=0``: a label, or in the example-wise mean a case, that neither side has counts 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from radrl.clinical.label import PRESENT, UNCERTAIN, labels
from radrl.evaluation.metrics.metric import Column, FindingCounts, Metric
from radrl.evaluation.metrics.set_statistics import Array, Pooled
from radrl.example import Answer, Example

SCHEMA = "chexpert14"
TOP5 = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def names() -> tuple[str, ...]:
    """Returns the 14 labels in the order of the published files."""
    return tuple(labels("", SCHEMA))


@lru_cache(maxsize=16384)
def said(text: str) -> tuple[bool, ...]:
    """Returns which labels a report says are there, or may be, (14,)."""
    return tuple(value in (PRESENT, UNCERTAIN) for value in labels(text, SCHEMA).values())


def columns(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> list[Column]:
    """Returns micro, macro and example-wise F1 of all labels and of five; empty without reports."""
    rows = [i for i, example in enumerate(examples) if example.task == "report"]
    if not rows:
        return []
    found = []
    tables = [_table(examples, given, rows) for given in answers]
    for title, chosen in ((f"{len(names())}", names()), ("5", TOP5)):
        pick = [names().index(name) for name in chosen]
        for kind, value in _VALUES.items():
            metric = Metric(
                f"chexpert{title}_f1_{kind}", f"Report: CheXpert-{title} F1, {kind}", ("report",),
                headline=(title, kind) == ("14", "micro"),
                about=f"labels by rules, uncertain counts as there, {_ABOUT[kind]}; zero_division 0",
            )  # fmt: skip
            if kind == "examples":
                values = np.full((len(answers), len(examples)), np.nan)
                for k, table in enumerate(tables):
                    values[k, rows] = _f1(*(table[:, :, pick].sum(axis=2)[rows].T))
                found.append(Column(metric, values))
            else:
                own = tuple(Pooled(table[:, :, pick].reshape(len(examples), -1), value) for table in tables)
                found.append(Column(metric, None, own))
    return found


def counts(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> dict[str, FindingCounts]:
    """Returns how often each label was said by both, by the answer only and by the reference only."""
    rows = [i for i, example in enumerate(examples) if example.task == "report"]
    if not rows:
        return {}
    total = sum(_table(examples, given, rows).sum(axis=0) for given in answers).astype(int)
    return {name: FindingCounts(*map(int, total[:, j])) for j, name in enumerate(names())}


def _table(examples: Sequence[Example], given: Sequence[Answer], rows: Sequence[int]) -> Array:
    """Returns per case, for both, the answer only and the reference only, which labels, (cases, 3, 14)."""
    table = np.zeros((len(examples), 3, len(names())))
    there = np.array([said(examples[i].reference) for i in rows])
    told = np.array([said(given[i].text) for i in rows])
    table[rows] = np.stack([there & told, told & ~there, there & ~told], axis=1)
    return table


def _f1(both: Array, false: Array, missed: Array) -> Array:
    total = 2 * both + false + missed
    return np.divide(2 * both, total, out=np.zeros_like(both), where=total > 0)


def _micro(sums: Array) -> Array:
    kinds = sums.reshape(*sums.shape[:-1], 3, -1).sum(axis=-1)
    return _f1(kinds[..., 0], kinds[..., 1], kinds[..., 2])


def _macro(sums: Array) -> Array:
    kinds = sums.reshape(*sums.shape[:-1], 3, -1)
    return _f1(kinds[..., 0, :], kinds[..., 1, :], kinds[..., 2, :]).mean(axis=-1)


_VALUES: dict[str, Callable[[Array], Array]] = {"micro": _micro, "macro": _macro, "examples": _micro}
_ABOUT = {"micro": "all labels pooled", "macro": "mean over labels", "examples": "mean over cases"}

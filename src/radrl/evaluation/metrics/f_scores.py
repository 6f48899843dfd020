"""Precision, recall and F1 from counts of labels: matched, false and missed.

They are scikit-learn's of multi-label indicators with ``zero_division=0``. Tables hold, for each case, which labels
were matched, false and missed, (cases, 3, labels); flattened they are summed by `set_statistics.SumStatistic`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from radrl.evaluation.metrics.set_statistics import Array

Figure = Callable[[Array, Array, Array], Array]  # from the counts matched, false, missed


def f1(match: Array, false: Array, missed: Array) -> Array:
    """Returns 2 match / (2 match + false + missed); 0 where that is 0 / 0."""
    return _share(2 * match, 2 * match + false + missed)


def precision(match: Array, false: Array, missed: Array) -> Array:
    """Returns match / (match + false); 0 where that is 0 / 0."""
    return _share(match, match + false)


def recall(match: Array, false: Array, missed: Array) -> Array:
    """Returns match / (match + missed); 0 where that is 0 / 0."""
    return _share(match, match + missed)


def _share(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def micro(figure: Figure, sums: Array) -> Array:
    """Returns a figure of all labels together, (...), from flat sums (..., 3 labels)."""
    match, false, missed = (kind.sum(axis=-1) for kind in _by_kind(sums))
    return figure(match, false, missed)


def macro(figure: Figure, sums: Array, labels: int | None = None) -> Array:
    """Returns the mean of a figure over the first ``labels`` labels (None: all), (...), from flat sums."""
    match, false, missed = (kind[..., :labels] for kind in _by_kind(sums))
    return figure(match, false, missed).mean(axis=-1)


def _by_kind(sums: Array) -> tuple[Array, Array, Array]:
    by_kind = sums.reshape(*sums.shape[:-1], 3, -1)
    return by_kind[..., 0, :], by_kind[..., 1, :], by_kind[..., 2, :]

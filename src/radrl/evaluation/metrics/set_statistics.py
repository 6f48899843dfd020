"""Metrics of a set of cases, in the one form that resampling needs: a function of how often each case counts.

Most metrics are functions of sums over cases: a mean (sum, number), micro F1 (true and false positives, misses), BLEU
(matches and n-grams by order). Each is a ``SumStatistic``. Those that rank all cases together, AUROC and average
precision, have classes of their own with the same methods (`Statistic`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CHUNK = 2_000_000  # entries of one array of weights: about 16 MB


class Statistic(Protocol):
    """A metric of a set of cases, as a function of weights."""

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which cases say anything about the metric, (cases,)."""
        ...

    def at(self, weights: Array) -> Array:
        """Returns the value, (r,), where case i counts ``weights[:, i]`` times, (r, cases); NaN where undefined."""
        ...

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Returns the same metric of some of the cases."""
        ...

    def beside(self, other: Self) -> Self:
        """Returns the metric of these cases followed by the cases of another model, for a permutation test."""
        ...


@dataclass(frozen=True)
class SumStatistic:
    """``value`` of the sums of the columns of ``table``, (cases, s); it maps (..., s) to (...)."""

    table: Array
    value: Callable[[Array], Array]

    @property
    def there(self) -> NDArray[np.bool_]:
        return np.asarray(self.table.any(axis=1))

    def at(self, weights: Array) -> Array:
        return self.value(weights @ self.table)

    def take(self, rows: NDArray[np.int64]) -> SumStatistic:
        return SumStatistic(self.table[rows], self.value)

    def beside(self, other: SumStatistic) -> SumStatistic:
        return SumStatistic(np.vstack([self.table, other.table]), self.value)


def ratio(sums: Array) -> Array:
    """Returns the first sum over the second; NaN where that is 0."""
    top, bottom = sums[..., 0], sums[..., 1]
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)


def mean(values: Array) -> SumStatistic:
    """Returns the mean of the values that are not NaN, each case counting once."""
    known = ~np.isnan(values)
    return SumStatistic(np.column_stack([np.where(known, values, 0.0), known.astype(float)]), ratio)


@dataclass(frozen=True)
class Auroc:
    """Area under the ROC curve, in 0-1: the share of pairs of a positive and a negative case that the score puts in
    the right order, a tie counting one half (Hanley and McNeil, 1982).

    ``scores``, NaN where there is none, and ``positive`` are (cases,).
    """

    scores: Array
    positive: NDArray[np.bool_]

    @property
    def there(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.scores)

    def at(self, weights: Array) -> Array:
        weights = np.where(self.there, weights, 0.0)
        levels, at = np.unique(self.scores, return_inverse=True)
        order = np.argsort(at, kind="stable")
        starts = np.searchsorted(at[order], np.arange(len(levels)))
        sorted_weights = weights[:, order]
        hit = self.positive[order]
        up = np.add.reduceat(np.where(hit, sorted_weights, 0.0), starts, axis=1)  # (r, levels)
        down = np.add.reduceat(np.where(hit, 0.0, sorted_weights), starts, axis=1)
        below = np.cumsum(down, axis=1) - down
        pairs = up.sum(axis=1) * down.sum(axis=1)
        right = (up * (below + 0.5 * down)).sum(axis=1)
        return np.divide(right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)

    def take(self, rows: NDArray[np.int64]) -> Auroc:
        return Auroc(self.scores[rows], self.positive[rows])

    def beside(self, other: Auroc) -> Auroc:
        """Both models' scores become ranks first: a model that is right must not gain from a scale of its own."""
        scores = np.concatenate([ranks(self.scores), ranks(other.scores)])
        return Auroc(scores, np.concatenate([self.positive, other.positive]))


def ranks(values: Array) -> Array:
    """Returns the middle rank of each value as a share of all, in 0-1; equal values have equal ranks, NaN stays."""
    known = ~np.isnan(values)
    _, at, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    middle = np.full(len(values), np.nan)
    middle[known] = ((np.cumsum(counts) - 0.5 * (counts - 1))[at] - 0.5) / max(int(known.sum()), 1)
    return middle

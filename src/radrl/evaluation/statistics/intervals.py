"""Intervals, paired tests and corrections for metrics of a set, when several cases belong to one patient.

Estimand: the metric of the population the test patients were drawn from, each case counting once. Cases of one
patient are not independent, so patients are resampled, not cases: a resample draws as many patients as there are, with
replacement, and the metric is computed anew from all their cases (for a mean, a ratio of sums; for micro F1, BLEU,
AUROC or average precision, that metric of the resampled set, never a mean of case values).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from radrl.errors import UserError
from radrl.evaluation.metrics.set_statistics import CHUNK, Array, Statistic, SumStatistic, mean

CONFIDENCE = 0.95
SAMPLES = 10_000
Method = Literal["bca", "percentile"]


class Resamples(NamedTuple):
    """k statistics over the same patients: ``values`` (k,), of the set as it is; ``draws`` (samples, k), of each
    resample; ``left_out`` (patients, k), without each patient in turn; ``patients`` (k,), how many have a say in each.
    NaN where a statistic is undefined."""

    values: Array
    draws: Array
    left_out: Array
    patients: NDArray[np.int64]


def units(groups: Sequence[str]) -> NDArray[np.int64]:
    """Returns the number of each case's patient, (cases,), from 0 up.

    Raises:
        UserError: there are no cases.
    """
    if not len(groups):
        raise UserError("there are no cases to take a mean of; evaluate on at least two patients")
    return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]


def resample(
    statistics: Sequence[Statistic], patient: NDArray[np.int64], samples: int = SAMPLES, seed: int = 0
) -> Resamples:
    """Returns the values of statistics of the same cases under the bootstrap and the jackknife over patients.

    The same seed and number of patients give the same resamples, whatever the statistics, so that differences of
    columns are paired.

    Raises:
        ValueError: a statistic is of another number of cases, or ``samples`` is below 1.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    for statistic in statistics:
        if len(statistic.there) != len(patient):
            raise ValueError(f"a statistic of {len(statistic.there)} cases for {len(patient)} cases")
    count = int(patient.max()) + 1
    wide = _by_patient([s.table for s in statistics if isinstance(s, SumStatistic)], patient)  # one product for all
    ranked = any(not isinstance(s, SumStatistic) for s in statistics)

    def at(sums: Array, weights: Array) -> Array:
        """Returns the values, (r, k), from the sums of the tables and the weights of the patients, (r, patients)."""
        values, left = np.empty((len(sums), len(statistics))), 0
        by_case = weights[:, patient] if ranked else weights
        for j, statistic in enumerate(statistics):
            if isinstance(statistic, SumStatistic):
                right = left + statistic.table.shape[1]
                values[:, j] = statistic.value(sums[:, left:right])
                left = right
            else:
                values[:, j] = statistic.at(by_case)
        return values

    draws = np.empty((samples, len(statistics)))
    random = np.random.default_rng([seed, 0])
    for start, size in _chunks(samples, count):
        # How often each patient was drawn: multinomial weights, counted from plain draws (faster than multinomial()).
        drawn = random.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        weights = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(float)
        draws[start : start + size] = at(weights @ wide, weights)
    total = wide.sum(0)
    left_out = np.empty((count, len(statistics)))
    for start, size in _chunks(count, count):
        rows = np.arange(start, start + size)
        weights = np.where(rows[:, None] == np.arange(count), 0.0, 1.0) if ranked else np.empty((0, count))
        left_out[rows] = at(total - wide[rows], weights)
    patients = np.array([len(np.unique(patient[s.there])) for s in statistics], dtype=np.int64)
    return Resamples(at(total[None], np.ones((1, count)))[0], draws, left_out, patients)


def interval(
    found: Resamples, bounds: Array | None = None, confidence: float = CONFIDENCE, method: Method = "bca"
) -> tuple[Array, Array]:
    """Returns the ends of the interval of each column, two of (k,); NaN where fewer than two patients have a say.

    ``bca`` is bias-corrected and accelerated (Efron, JASA 1987); ``percentile`` is not corrected and leaves the two
    tails uneven where values are skewed or near a bound; docs/evaluation.md has the coverage of both by simulation.

    Where every patient has the same value the bootstrap says nothing. ``bounds``, (k, 2), are the ends of each
    metric's range: the interval then holds every mean that is possible where as many patients have any value in the
    range as may go unseen in so many patients with probability 5% (the rule of three).
    """
    low, high = np.full(len(found.values), np.nan), np.full(len(found.values), np.nan)
    z = ndtri((1 + confidence) / 2)
    for j, (value, n) in enumerate(zip(found.values, found.patients.tolist(), strict=True)):
        column = found.draws[:, j][~np.isnan(found.draws[:, j])]
        if not column.size or np.isnan(value) or n < 2:
            continue
        if np.ptp(column) <= 1e-12 * max(1.0, abs(value)):
            unseen = 1 - (1 - confidence) ** (1 / n)
            ends = np.full(2, value) if bounds is None or not np.isfinite(bounds[j]).all() else bounds[j]
            low[j], high[j] = value + unseen * (ends - value)
            continue
        levels = np.array([-z, z])
        if method == "bca":
            less, same = (column < value).mean(), (column == value).mean()
            bias = ndtri(np.clip(less + same / 2, 1 / len(column), 1 - 1 / len(column)))
            others = found.left_out[:, j][~np.isnan(found.left_out[:, j])]
            apart = others.mean() - others
            spread = (apart**2).sum()
            bend = (apart**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
            levels = bias + (bias + levels) / np.maximum(1 - bend * (bias + levels), 1e-6)
        low[j], high[j] = np.quantile(column, ndtr(levels))
    return low, high


def swapped(
    pairs: Sequence[tuple[Statistic, Statistic]], patient: NDArray[np.int64], samples: int = SAMPLES, seed: int = 0
) -> Array:
    """Returns the difference a - b of each pair of models on the same cases, (samples + 1, k): first as it is, then
    with the models' places swapped.

    Were the two models exchangeable, all answers to a patient could as well have been the other's. So the models swap
    places for half of the patients, drawn anew each time, and both metrics are computed again; for a mean this flips
    the signs of the patient's differences.
    """
    count = int(patient.max()) + 1
    random = np.random.default_rng([seed, 1])
    pooled = [
        (j, a, b) for j, (a, b) in enumerate(pairs) if isinstance(a, SumStatistic) and isinstance(b, SumStatistic)
    ]
    # the sums of one model after a swap are those of b plus what the patients that stay bring it from a
    wide = _by_patient([a.table - b.table for _, a, b in pooled], patient)
    totals = [(a.table.sum(0), b.table.sum(0)) for _, a, b in pooled]
    ranked = [(j, a.beside(b)) for j, (a, b) in enumerate(pairs) if not isinstance(a, SumStatistic)]
    gaps = np.empty((samples + 1, len(pairs)))
    for start, size in _chunks(samples + 1, count):
        stay = random.integers(0, 2, (size, count), dtype=np.int8).astype(float)
        if start == 0:
            stay[0] = 1.0  # the first is the comparison as it is
        moved, left = stay @ wide, 0
        for (j, a, b), (sum_a, sum_b) in zip(pooled, totals, strict=True):
            right = left + a.table.shape[1]
            part = moved[:, left:right]
            gaps[start : start + size, j] = a.value(sum_b + part) - b.value(sum_a - part)
            left = right
        if ranked:
            here = stay[:, patient]
            both, back = np.hstack([here, 1 - here]), np.hstack([1 - here, here])
            for j, statistic in ranked:
                gaps[start : start + size, j] = statistic.at(both) - statistic.at(back)
    return gaps


def permutation_p(gaps: Array) -> Array:
    """Returns the two-sided p-value of each column of `swapped`, (k,): the share of swaps that differ as much as the
    models do, (as extreme + 1) / (samples + 1)."""
    sizes = np.abs(gaps)
    # Equal sums reached in another order differ in the last bits; such ties must count as "as extreme".
    slack = 1e-9 * np.nanmax(sizes, axis=0, initial=0.0)
    apart = ~(sizes[1:] < sizes[0] - slack)  # a swap that leaves a metric undefined counts as extreme
    return np.asarray(apart.sum(0) + 1) / len(sizes)


def holm(p: Sequence[float]) -> Array:
    """Returns p-values corrected for their number (Holm, Scandinavian Journal of Statistics 1979), (k,), in 0-1.

    Calling those below 0.05 significant keeps the chance of any false claim among them at 5%, however they depend on
    one another.
    """
    given = np.asarray(p, dtype=float)
    order = np.argsort(given, kind="stable")
    corrected = np.empty(len(given))
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * (len(given) - np.arange(len(given)))), 1.0)
    return corrected


def patients_needed(patients: int, low: float, high: float, width: float) -> int:
    """Returns how many patients like these an interval of full width ``width`` needs, from one of ``patients``.

    The width falls with the square root of the number of patients. Of a pilot of few patients it is a rough figure.

    Raises:
        UserError: ``width`` is not above 0.
        ValueError: the interval has no width, so it says nothing of the spread.
    """
    if not width > 0:
        raise UserError(f"the wanted width of an interval should be above 0, not {width}")
    if not high > low:
        raise ValueError("the interval has no width; no number of patients can be read from it")
    return math.ceil(patients * ((high - low) / width) ** 2)


class Interval(NamedTuple):
    """Per column: the mean over cases and the ends of its 95% interval, each of shape (k,)."""

    mean: Array
    low: Array
    high: Array


def bootstrap_mean(values: Array, groups: Sequence[str], samples: int = SAMPLES, seed: int = 0) -> Interval:
    """Returns the mean of each column of ``values`` (cases, k), NaN where there is none, with its interval.

    Raises:
        UserError: there are no cases, or a column has values of fewer than two patients.
        ValueError: shapes do not fit, or a value is infinite.
    """
    columns, patient = _columns(np.asarray(values, dtype=float), groups)
    found = resample(columns, patient, samples, seed)
    return Interval(found.values, *interval(found))


class Difference(NamedTuple):
    """Per column: mean of a - b over cases, its 95% interval and the two-sided p-value, each of shape (k,)."""

    mean: Array
    low: Array
    high: Array
    p: Array


def paired_difference(a: Array, b: Array, groups: Sequence[str], samples: int = SAMPLES, seed: int = 0) -> Difference:
    """Returns the mean of ``a - b``, (cases, k) each, over the cases where both have a value, with interval and p.

    Raises as bootstrap_mean does.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"paired values must have one shape, not {a.shape} and {b.shape}")
    columns, patient = _columns(a - b, groups)
    found = resample(columns, patient, samples, seed)
    zero = [SumStatistic(column.table * [0.0, 1.0], column.value) for column in columns]
    p = permutation_p(swapped(list(zip(columns, zero, strict=True)), patient, samples, seed))
    return Difference(found.values, *interval(found), p)


def _columns(values: Array, groups: Sequence[str]) -> tuple[list[SumStatistic], NDArray[np.int64]]:
    if values.ndim != 2 or len(values) != len(groups):
        raise ValueError(f"values must be (cases, metrics) with one patient a case; got {values.shape}, {len(groups)}")
    if np.isinf(values).any():
        raise ValueError("a value is infinite; a metric must be finite, or NaN where it does not apply")
    patient = units(groups)
    for j, column in enumerate(values.T):
        there = len(np.unique(patient[~np.isnan(column)]))
        if there < 2:
            raise UserError(
                f"metric column {j} has values of {there} patient(s); "
                "an interval needs at least two, so evaluate on more patients"
            )
    return [mean(column) for column in values.T], patient


def _by_patient(tables: Sequence[Array], patient: NDArray[np.int64]) -> Array:
    """Returns the tables side by side, their rows added up by patient, (patients, columns)."""
    if not tables:
        return np.zeros((int(patient.max()) + 1, 0))
    order = np.argsort(patient, kind="stable")
    starts = np.flatnonzero(np.diff(patient[order], prepend=-1))
    return np.add.reduceat(np.hstack(tables)[order], starts, axis=0)


def _chunks(total: int, width: int) -> Iterator[tuple[int, int]]:
    """Yields (start, size) of the pieces in which ``total`` rows of ``width`` are made, so that memory stays small."""
    size = max(1, CHUNK // width)
    for start in range(0, total, size):
        yield start, min(size, total - start)

"""Means with intervals, and paired differences, when several cases belong to one patient.

Estimand: the mean of a metric over cases, each case counting once. Cases of one patient are not independent, so
patients are resampled, not cases: a resample draws as many patients as there are, with replacement, and its mean is
the sum over all drawn cases divided by their number (a ratio of sums; both vary from resample to resample).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from radrl.errors import UserError

CONFIDENCE = 0.95
_CELLS = 2_000_000  # entries of one weight matrix: about 16 MB as float64


class Interval(NamedTuple):
    """Per column: the mean over cases and the ends of its 95% percentile interval, each of shape (k,)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Difference(NamedTuple):
    """Per column: mean of a - b over cases, its 95% interval and the two-sided p-value, each of shape (k,)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def bootstrap_mean(values: np.ndarray, groups: Sequence[str], samples: int = 2000, seed: int = 0) -> Interval:
    """Returns the mean of each column with its 95% percentile interval over patients.

    ``values`` is (n, k), NaN where a metric does not apply to a case; ``groups`` names the patient of each row.
    The same ``seed`` and patients give the same resamples, whatever the values. A resample that holds no case of
    a column says nothing about it and is left out there.

    Raises:
        UserError: there are no cases, or a column has values of fewer than two patients.
        ValueError: shapes do not fit, or a value is infinite.
    """
    sums, counts = _per_patient(values, groups)
    low, high = _percentiles(sums, counts, samples, seed)
    return Interval(sums.sum(0) / counts.sum(0), low, high)


def paired_difference(
    a: np.ndarray, b: np.ndarray, groups: Sequence[str], samples: int = 2000, seed: int = 0
) -> Difference:
    """Returns the mean of ``a - b`` over the cases where both have a value, with interval and p-value.

    ``a`` and ``b`` are (n, k), row by row the same cases. The interval uses the resamples of ``bootstrap_mean``
    with the same seed. The p-value is of a permutation test: were the two models exchangeable, the differences of a
    patient could as well all have had the other sign. It is never below 1 / (samples + 1).

    Raises:
        UserError: there are no cases, or a column has pairs of fewer than two patients.
        ValueError: shapes do not fit, or a value is infinite.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"paired values must have one shape, not {a.shape} and {b.shape}")
    sums, counts = _per_patient(a - b, groups)
    low, high = _percentiles(sums, counts, samples, seed)
    observed = np.abs(sums.sum(0))
    # Equal sums reached in another order differ in the last bits; such ties must count as "as extreme".
    threshold = observed - 1e-9 * np.abs(sums).sum(0)
    extreme = np.zeros(sums.shape[1], dtype=int)
    random = np.random.default_rng([seed, 1])
    for size in _chunks(samples, len(sums)):
        signs = random.integers(0, 2, (size, len(sums)), dtype=np.int8) * 2.0 - 1.0
        extreme += (np.abs(signs @ sums) >= threshold).sum(0)
    return Difference(sums.sum(0) / counts.sum(0), low, high, (extreme + 1) / (samples + 1))


def _per_patient(values: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sum and the number of the values of each patient and column, both (patients, k)."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or len(values) != len(groups):
        raise ValueError(f"values must be (cases, metrics) with one patient a case; got {values.shape}, {len(groups)}")
    if np.isinf(values).any():
        raise ValueError("a value is infinite; a metric must be finite, or NaN where it does not apply")
    if not len(values):
        raise UserError("there are no cases to take a mean of; evaluate on at least two patients")
    names, patient = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    known = ~np.isnan(values)
    sums = np.zeros((len(names), values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, patient, np.where(known, values, 0.0))
    np.add.at(counts, patient, known)
    patients = (counts > 0).sum(0)
    if (patients < 2).any():
        column = int(np.argmax(patients < 2))
        raise UserError(
            f"metric column {column} has values of {patients[column]} patient(s); "
            "an interval needs at least two, so evaluate on more patients"
        )
    return sums, counts


def _percentiles(sums: np.ndarray, counts: np.ndarray, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of the percentile interval of sum/count per column, resampling rows (patients)."""
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    patients = len(sums)
    random = np.random.default_rng([seed, 0])
    both = np.hstack([sums, counts])
    means = np.empty((samples, sums.shape[1]))
    done = 0
    for size in _chunks(samples, patients):
        # How often each patient was drawn: multinomial weights, counted from plain draws (faster than multinomial()).
        drawn = random.integers(0, patients, (size, patients)) + np.arange(size)[:, None] * patients
        weights = np.bincount(drawn.ravel(), minlength=size * patients).reshape(size, patients)
        total = weights.astype(float) @ both
        top, bottom = np.hsplit(total, 2)
        means[done : done + size] = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
        done += size
    tail = (1 - CONFIDENCE) / 2
    ends = [np.quantile(column[~np.isnan(column)], [tail, 1 - tail]) for column in means.T]
    low, high = np.array(ends).T
    return low, high


def _chunks(samples: int, patients: int) -> Iterator[int]:
    """Yields the sizes of the pieces in which ``samples`` resamples are drawn, so that memory stays small."""
    size = max(1, _CELLS // patients)
    for start in range(0, samples, size):
        yield min(size, samples - start)

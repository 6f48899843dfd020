"""Many statistics under one bootstrap and one permutation, a block at a time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from radrl.evaluation.metrics.records import Column
from radrl.evaluation.metrics.set_statistics import Array, Statistic
from radrl.evaluation.statistics.intervals import Resamples, permutation_p, resample, swapped

BLOCK = 256  # statistics resampled at once
Key = TypeVar("Key", bound=Hashable)


class SeedStatistics(NamedTuple):
    """One metric of one model, to be resampled: for each training seed the statistics whose mean is the metric, and the
    ends of its range."""

    seeds: tuple[tuple[Statistic, ...], ...]
    bounds: tuple[float, float]


class Resampled(NamedTuple):
    """The results of one metric of one model: ``mean`` over the seeds (one column), and the value of each seed."""

    mean: Resamples
    by_seed: Array


def seed_statistics(columns: Sequence[Column]) -> SeedStatistics:
    """Returns what is resampled of one model's columns of a metric, one a training run."""
    metric = columns[0].metric
    return SeedStatistics(tuple(column.statistics for column in columns), (metric.low, metric.high))


def resample_all(
    wanted: Mapping[Key, SeedStatistics], patient: NDArray[np.int64], samples: int, seed: int
) -> dict[Key, Resampled]:
    """Returns the resamples of all metrics and models, made with the same draws. Of each only the column of its mean
    over the seeds is kept; so they are made a block at a time."""
    resampled: dict[Key, Resampled] = {}
    block: dict[Key, SeedStatistics] = {}
    size = 0
    for key, one in wanted.items():
        block[key] = one
        size += sum(map(len, one.seeds))
        if size >= BLOCK:
            resampled |= _resample_block(block, patient, samples, seed)
            block, size = {}, 0
    return resampled | _resample_block(block, patient, samples, seed)


def _resample_block(
    block: Mapping[Key, SeedStatistics], patient: NDArray[np.int64], samples: int, seed: int
) -> dict[Key, Resampled]:
    flat = [statistic for one in block.values() for of_seed in one.seeds for statistic in of_seed]
    if not flat:
        return {}
    every = resample(flat, patient, samples, seed)
    resampled, left = {}, 0
    for key, one in block.items():
        values, draws, left_out = [], [], []
        for of_seed in one.seeds:
            columns = slice(left, left + len(of_seed))
            left += len(of_seed)
            values.append(_mean(every.values[None, columns])[0])
            draws.append(_mean(every.draws[:, columns]))
            left_out.append(_mean(every.left_out[:, columns]))
        there = np.logical_or.reduce([statistic.there for of_seed in one.seeds for statistic in of_seed])
        mean = Resamples(
            np.array([float(np.mean(values))]),
            np.mean(draws, axis=0)[:, None],
            np.mean(left_out, axis=0)[:, None],
            np.array([len(np.unique(patient[there]))]),
        )
        resampled[key] = Resampled(mean, np.array(values))
    return resampled


def _mean(columns: Array) -> Array:
    """Returns the mean over columns of those that are defined, (r,)."""
    known = ~np.isnan(columns)
    total = np.where(known, columns, 0.0).sum(axis=1)
    return np.divide(total, known.sum(axis=1), out=np.full(len(columns), np.nan), where=known.any(axis=1))


def permutation_p_values(
    pairs: Mapping[Key, tuple[list[Column], list[Column]]],
    patient: NDArray[np.int64],
    samples: int,
    seed: int,
) -> dict[Key, float]:
    """Returns the permutation p of each pair of single training runs whose statistics can be swapped; no entry for the
    other pairs."""
    flat: list[tuple[Statistic, Statistic]] = []
    parts: dict[Key, slice] = {}
    for key, (mine, others) in pairs.items():
        a, b = mine[0].statistics, others[0].statistics
        if len(mine) == len(others) == 1 and len(a) == len(b):
            parts[key] = slice(len(flat), len(flat) + len(a))
            flat += zip(a, b, strict=True)
    if not flat:
        return {}
    gaps = swapped(flat, patient, samples, seed)
    return {key: float(permutation_p(_mean(gaps[:, columns])[:, None])[0]) for key, columns in parts.items()}

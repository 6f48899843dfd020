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


class Job(NamedTuple):
    """What is resampled together: for each training seed the statistics whose mean is a metric of one model."""

    seeds: tuple[tuple[Statistic, ...], ...]
    bounds: tuple[float, float]


class Resampled(NamedTuple):
    """A job's results: ``found`` of the mean over seeds, (1 column), and the value of each seed."""

    found: Resamples
    by_seed: Array


def job_of(columns: Sequence[Column]) -> Job:
    """Returns the job of one model's columns of a metric, one a training run."""
    metric = columns[0].metric
    return Job(tuple(column.statistics for column in columns), (metric.low, metric.high))


def run(jobs: Mapping[Key, Job], patient: NDArray[np.int64], samples: int, seed: int) -> dict[Key, Resampled]:
    """Resamples all jobs with the same draws, a block at a time, so that only one column a job is kept."""
    found: dict[Key, Resampled] = {}
    block: list[tuple[Key, Job]] = []

    def flush() -> None:
        flat = [s for _, job in block for of_seed in job.seeds for s in of_seed]
        if not flat:
            return
        all_of = resample(flat, patient, samples, seed)
        left = 0
        for key, job in block:
            parts = []
            for of_seed in job.seeds:
                columns = slice(left, left + len(of_seed))
                left += len(of_seed)
                parts.append([_mean(all_of.values[None, columns])[0], _mean(all_of.draws[:, columns]),
                              _mean(all_of.left_out[:, columns])])  # fmt: skip
            there = np.logical_or.reduce([s.there for of_seed in job.seeds for s in of_seed])
            found[key] = Resampled(
                Resamples(
                    np.array([np.mean([part[0] for part in parts])]),
                    np.mean([part[1] for part in parts], axis=0)[:, None],
                    np.mean([part[2] for part in parts], axis=0)[:, None],
                    np.array([len(np.unique(patient[there]))]),
                ),
                np.array([part[0] for part in parts]),
            )
        block.clear()

    size = 0
    for key, job in jobs.items():
        block.append((key, job))
        size += sum(map(len, job.seeds))
        if size >= BLOCK:
            flush()
            size = 0
    flush()
    return found


def _mean(columns: Array) -> Array:
    """Returns the mean over columns of those that are defined, (r,)."""
    known = ~np.isnan(columns)
    total = np.where(known, columns, 0.0).sum(axis=1)
    return np.divide(total, known.sum(axis=1), out=np.full(len(columns), np.nan), where=known.any(axis=1))


def permute(
    pairs: Mapping[Key, tuple[list[Column], list[Column]]],
    patient: NDArray[np.int64],
    samples: int,
    seed: int,
) -> dict[Key, float]:
    """Returns the permutation p of each pair of single training runs whose statistics can be swapped."""
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

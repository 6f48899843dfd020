"""The figures of a comparison from resamples: a value with its interval, a difference with its test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from radrl.evaluation.metrics.records import Column, FindingCounts, Metric
from radrl.evaluation.metrics.set_statistics import mean
from radrl.evaluation.statistics.intervals import Resamples, holm, interval
from radrl.evaluation.statistics.resampling import Resampled
from radrl.evaluation.statistics.result import SIGNIFICANT, Cell, Difference
from radrl.evaluation.statistics.seeds import over_seeds


def on_common_cases(mine: list[Column], others: list[Column]) -> tuple[list[Column], list[Column]]:
    """Returns the columns of two models with only the cases both have a value for; themselves where these are all."""
    if any(column.own for column in (*mine, *others)):
        return mine, others
    known = [~np.isnan(column.case_values) for column in (*mine, *others)]
    every = np.logical_and.reduce(known)
    if all((every == one).all() for one in known):
        return mine, others

    def common(side: list[Column]) -> list[Column]:
        return [Column(column.metric, np.where(every, column.case_values, np.nan)[None]) for column in side]

    return common(mine), common(others)


def cell_of(one: Resampled, bounds: tuple[float, float]) -> Cell | None:
    """Returns the value of a metric with its interval, its number of cases not yet set; None where it has no value."""
    value, patients = float(one.mean.values[0]), int(one.mean.patients[0])
    if math.isnan(value):
        return None
    sd = float(np.std(one.by_seed, ddof=1)) if len(one.by_seed) > 1 else None
    if len(one.by_seed) > 1 and patients > 1:
        low, high, _ = over_seeds(one.mean, [one.by_seed])
        low, high = max(low, bounds[0]), min(high, bounds[1])
    else:
        low, high = (float(end[0]) for end in interval(one.mean, np.array([bounds])))
    if math.isnan(low):
        return Cell(0, patients, value, None, None, seeds=len(one.by_seed), seed_sd=sd)
    return Cell(0, patients, value, low, high, seeds=len(one.by_seed), seed_sd=sd)


def difference_of(
    metric: Metric, to: str, a: Resampled, b: Resampled, cases: int, p: float | None
) -> Difference | None:
    """Returns the difference a - b with its p not yet corrected; None where fewer than two patients have a say.

    ``p`` is that of a permutation, None where nothing can be swapped (another number of samples or labels).
    """
    patients = min(int(a.mean.patients[0]), int(b.mean.patients[0]))
    gap = Resamples(
        a.mean.values - b.mean.values, a.mean.draws - b.mean.draws, a.mean.left_out - b.mean.left_out,
        np.array([patients]),
    )  # fmt: skip
    if patients < 2 or np.isnan(gap.values[0]):
        return None
    test = "permutation over patients"
    seeds = [one.by_seed for one in (a, b) if len(one.by_seed) > 1]
    reach = metric.high - metric.low
    if seeds:
        low, high, p = over_seeds(gap, seeds)
        test = "t over seeds and patients"
    else:
        low, high = (float(end[0]) for end in interval(gap, np.array([[-reach, reach]])))
        if p is None:
            p, test = over_seeds(gap, [])[2], "t over patients"
    return Difference(to, cases, float(gap.values[0]), low, high, p, p, "unclear", test)


def correct(family: Sequence[Difference], metrics: Sequence[Metric]) -> list[Difference]:
    """Returns the differences of one family, each of its metric, with p corrected for their number (Holm)."""
    corrected = []
    for one, metric, p in zip(family, metrics, holm([one.p for one in family]).tolist(), strict=True):
        gain = metric.gain(one.mean)
        way = "unclear" if p >= SIGNIFICANT or not gain else "better" if gain > 0 else "worse"
        corrected.append(one._replace(p_holm=p, way=way))
    return corrected


def cases_with_value(columns: Sequence[Column]) -> int:
    """Returns how many cases have a say in every training run of a model."""
    counts = [
        (~np.isnan(column.case_values)).sum() if column.values is not None else max(s.there.sum() for s in column.own)
        for column in columns
    ]
    return int(min(counts))


def sd_of_samples(columns: Sequence[Column]) -> float | None:
    """Returns the standard deviation between samples of the value of the set, its mean over training runs; None where
    there are no several samples."""
    of_runs = []
    for column in columns:
        if column.values is None or len(column.values) < 2:
            return None
        statistics = column.own or [mean(row) for row in column.values]
        ones = np.ones((1, column.values.shape[1]))
        of_runs.append(np.std([s.at(ones)[0] for s in statistics], ddof=1))
    return float(np.mean(of_runs))


def add_counts(counts: Sequence[Mapping[str, FindingCounts]]) -> dict[str, FindingCounts]:
    """Returns the counts of several training runs added up, by finding."""
    names = sorted({name for one in counts for name in one}) if len(counts) > 1 else list(counts[0])
    none = FindingCounts(0, 0, 0)
    return {
        name: FindingCounts(*map(sum, zip(*(one.get(name, none) for one in counts), strict=True))) for name in names
    }

"""What several samples a case add: pass@k and best-of-n. Every other metric is its mean over the samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from radrl.evaluation.metrics.records import Column
from radrl.evaluation.metrics.set_statistics import Array


def best_of_columns(columns: Sequence[Column], names: Iterable[str]) -> list[Column]:
    """Returns for each of the metrics named the best of 1, 2, 4 … samples; of right-or-wrong metrics that is pass@k."""
    more = []
    for column in columns:
        if column.metric.name not in names or column.values is None:
            continue
        n = len(column.values)
        right_or_wrong = set(np.unique(column.values[~np.isnan(column.values)])) <= {0.0, 1.0}
        for k in sorted({2**j for j in range(1, n.bit_length()) if 2**j <= n} | {n}):
            what = f"pass@{k}" if right_or_wrong and "accuracy" in column.metric.name else f"best of {k}"
            task = column.metric.title.split(": ")[0]
            metric = column.metric._replace(
                name=f"{column.metric.name} {what}",
                title=f"{task}: {what}" if what.startswith("pass") else f"{column.metric.title}, {what}",
                headline=False,
                needs="several samples",
                about=f"expected best of {k} of {n} samples, chosen knowing the reference",
            )
            more.append(Column(metric, best_of(column.values, k)[None]))
    return more


def best_of(values: Array, k: int) -> Array:
    """Returns the expected largest of ``k`` of the samples drawn without putting back, (cases,), from (samples, cases).

    Of right (1) and wrong (0) answers it is the unbiased estimate of pass@k, 1 - C(n - c, k) / C(n, k) for c right of
    n (Chen et al. 2021, arXiv 2107.03374). NaN where a sample has no value.

    Raises:
        ValueError: there are fewer than ``k`` samples.
    """
    n = len(values)
    if not 1 <= k <= n:
        raise ValueError(f"best of {k} of {n} samples")
    rank = np.arange(n)  # how many are smaller: C(rank, k - 1) of the C(n, k) choices have this one as their largest
    share = np.zeros(n)
    can = rank >= k - 1
    share[can] = np.exp(_log_choose(rank[can], k - 1) - _log_choose(np.array(n), k))
    return share @ np.sort(values, axis=0)


def _log_choose(n: NDArray[np.int64], k: int) -> Array:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

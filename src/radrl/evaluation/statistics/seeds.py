"""Several training runs as a second level: a figure that speaks of the method, not of one lucky run.

All runs answer the same test patients, so seeds and patients are crossed, as readers and cases are in a reader study.
The hierarchical bootstrap draws seeds, then patients. With the few seeds there are in practice its percentiles are far
too narrow: three seeds can be drawn in ten ways only, and their spread comes out too small by a third. Its variance is
kept here, corrected by n / (n - 1), which gives a sum of two parts, and the interval is Student's t:

    variance = variance over patients of the mean over seeds + (variance between seeds) / seeds

with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946). Coverage is in docs/evaluation.md.

What n seeds support: one says nothing of training luck, and the interval is one over patients alone. Two cover about
90% where seeds rule, by intervals too wide to be of use. Three keep 95% by wide intervals (t of 4.3 where seeds rule),
and their standard deviation may be off by a factor of 2 to 6 (`spread_range`). From five on a difference of about two
standard deviations between runs can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from radrl.evaluation.metrics.set_statistics import Array
from radrl.evaluation.statistics.intervals import CONFIDENCE, Resamples


def over_seeds(
    found: Resamples, by_seed: Sequence[Array], confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """Returns low, high and the two-sided p of "no difference" of the mean over seeds.

    ``found`` has one column, the mean over seeds under the bootstrap over patients; ``by_seed`` the values of each seed
    of the models that have several: one array for a model's value, two for a difference of such models. A model of one
    run brings no variance between seeds: the interval then speaks of that very run.
    """
    value, patients = float(found.values[0]), int(found.patients[0])
    parts = [(float(np.nanvar(found.draws[:, 0], ddof=1)), patients - 1)]
    parts += [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in by_seed]
    variance = sum(part for part, _ in parts)
    if variance <= 0:  # every patient says the same: the p of a test that flips signs
        return value, value, 1.0 if value == 0 else 2 * 0.5**patients
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half = float(student.ppf((1 + confidence) / 2, degrees)) * math.sqrt(variance)
    return value - half, value + half, float(2 * student.sf(abs(value) / math.sqrt(variance), degrees))


def spread_range(sd: float, seeds: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns the interval of the standard deviation between training runs, from that of a few, both above 0.

    Runs are taken to scatter normally. Three runs of deviation 1 are compatible with 0.5 to 6.3.
    """
    tail = (1 - confidence) / 2
    freedom = seeds - 1
    return tuple(sd * math.sqrt(freedom / chi2.ppf(q, freedom)) for q in (1 - tail, tail))  # type: ignore[return-value]

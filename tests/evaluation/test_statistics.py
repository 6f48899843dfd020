"""Intervals and p-values against what theory says they must be."""

from __future__ import annotations

import numpy as np
import pytest

from radrl.errors import UserError
from radrl.evaluation import statistics
from radrl.evaluation.statistics import bootstrap_mean, paired_difference


def names(n: int) -> list[str]:
    return [f"p{i}" for i in range(n)]


def test_interval_is_the_normal_one_on_a_large_sample():
    values = np.random.default_rng(1).normal([0.5, 3.0], [0.2, 1.0], (2000, 2))
    found = bootstrap_mean(values, names(2000), samples=8000)
    half = 1.96 * values.std(0) / np.sqrt(2000)
    assert found.mean == pytest.approx(values.mean(0))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.04)
    assert (found.high + found.low) / 2 == pytest.approx(found.mean, abs=0.1 * half.max())


def test_interval_covers_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(2)
    covered = 0
    for k in range(400):  # 60 patients with 1 to 4 cases each, cases of a patient alike
        cases = draw.integers(1, 5, 60)
        patient = np.repeat(np.arange(60), cases)
        values = draw.normal(0, 1, 60)[patient] + draw.normal(0, 0.5, len(patient))
        found = bootstrap_mean(values[:, None], [f"p{i}" for i in patient], samples=400, seed=k)
        covered += bool(found.low[0] <= 0 <= found.high[0])
    assert 0.90 <= covered / 400 <= 0.98


def test_repeated_patients_widen_the_interval():
    once = np.random.default_rng(3).normal(size=(100, 1))
    four = np.repeat(once, 4, axis=0)
    known = bootstrap_mean(four, [f"p{i // 4}" for i in range(400)])
    naive = bootstrap_mean(four, names(400))
    ratio = (known.high - known.low) / (naive.high - naive.low)
    assert ratio[0] == pytest.approx(2.0, rel=0.1)
    assert known.mean == pytest.approx(naive.mean)


def test_missing_values_do_not_count():
    values = np.array([[1.0, np.nan], [0.0, 5.0], [np.nan, 7.0], [0.5, np.nan]])
    found = bootstrap_mean(values, ["a", "b", "c", "d"], samples=500)
    assert found.mean == pytest.approx([0.5, 6.0])
    assert (found.low >= [0.0, 5.0]).all()
    assert (found.high <= [1.0, 7.0]).all()


def test_numbers_depend_on_the_seed_alone(monkeypatch):
    values = np.random.default_rng(4).normal(size=(50, 3))
    first = bootstrap_mean(values, names(50), seed=5)
    assert np.array_equal(first, bootstrap_mean(values, names(50), seed=5))
    assert not np.array_equal(first.low, bootstrap_mean(values, names(50), seed=6).low)
    monkeypatch.setattr(statistics, "_CELLS", 50 * 64)  # other pieces, same draws
    assert np.array_equal(first, bootstrap_mean(values, names(50), seed=5))


def test_paired_difference_of_alike_series_is_tight():
    draw = np.random.default_rng(6)
    a = draw.normal(size=(300, 1))
    b = a - 0.05 + draw.normal(0, 0.02, (300, 1))
    found = paired_difference(a, b, names(300))
    alone = bootstrap_mean(a, names(300))
    assert found.mean == pytest.approx((a - b).mean(0))
    assert found.low[0] > 0.04
    assert (found.high - found.low)[0] < 0.1 * (alone.high - alone.low)[0]
    assert found.p[0] == pytest.approx(1 / 2001)
    assert np.array_equal(paired_difference(a, np.zeros_like(a), names(300))[:3], alone)  # the same resamples


def test_p_is_uniform_when_nothing_differs():
    draw = np.random.default_rng(7)
    patient = np.repeat(np.arange(30), 3)
    shared = draw.normal(size=(30, 400))[patient]  # a difference that is the patient's, not the case's
    a = shared + draw.normal(0, 0.3, shared.shape)
    p = paired_difference(a, np.zeros_like(a), [f"p{i}" for i in patient], samples=999).p
    assert 0.02 <= (p < 0.05).mean() <= 0.08
    assert 0.44 <= (p < 0.5).mean() <= 0.56
    same = paired_difference(a, a, [f"p{i}" for i in patient], samples=99)
    assert (same.p == 1).all()


@pytest.mark.parametrize(
    ("values", "groups", "says"),
    [
        (np.empty((0, 1)), [], "no cases"),
        (np.ones((3, 1)), ["a", "a", "a"], "1 patient"),
        (np.array([[1.0, np.nan], [2.0, np.nan]]), ["a", "b"], "column 1 has values of 0 patient"),
    ],
)
def test_no_interval_from_too_little(values, groups, says):
    with pytest.raises(UserError, match=says):
        bootstrap_mean(values, groups)
    with pytest.raises(UserError, match=says):
        paired_difference(values, values, groups)


def test_infinite_values_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        bootstrap_mean(np.array([[np.inf], [1.0]]), ["a", "b"])

"""Intervals and p-values against what theory says they must be. benchmarks/intervals.py has the large simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from radrl.errors import UserError
from radrl.evaluation.metrics.set_statistics import Auroc, SumStatistic, mean
from radrl.evaluation.statistics import intervals
from radrl.evaluation.statistics.intervals import (
    Resamples,
    bootstrap_mean,
    holm,
    interval,
    paired_difference,
    patients_needed,
    permutation_p,
    resample,
    swapped,
)
from radrl.evaluation.statistics.seeds import over_seeds, spread_range


def names(n: int) -> list[str]:
    return [f"p{i}" for i in range(n)]


def test_interval_is_the_normal_one_on_a_large_sample():
    values = np.random.default_rng(1).normal([0.5, 3.0], [0.2, 1.0], (2000, 2))
    found = bootstrap_mean(values, names(2000), samples=8000)
    half = 1.96 * values.std(0) / np.sqrt(2000)
    assert found.mean == pytest.approx(values.mean(0))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.04)
    assert (found.high + found.low) / 2 == pytest.approx(found.mean, abs=0.1 * half.max())


@pytest.mark.parametrize("kind", ["binary", "skewed", "clustered"])
def test_interval_covers_the_truth_as_often_as_it_says(kind):
    draw = np.random.default_rng(2)
    many, n = 600, 80
    patient = np.arange(n)
    if kind == "binary":
        truth, values = 0.8, (draw.random((n, many)) < 0.8).astype(float)
    elif kind == "skewed":
        truth, values = 0.2, draw.beta(0.5, 2, (n, many))
    else:  # patients with 1 to 4 cases each, cases of a patient alike
        patient = np.repeat(np.arange(n), draw.integers(1, 5, n))
        truth, values = 0.0, draw.normal(0, 1, (n, many))[patient] + draw.normal(0, 0.5, (len(patient), many))
    low, high = interval(resample([mean(column) for column in values.T], patient, 1000, 0))
    assert 0.93 <= ((low <= truth) & (truth <= high)).mean() <= 0.97


def test_bca_is_efrons():
    bootstrap = pytest.importorskip("scipy.stats").bootstrap
    values = np.random.default_rng(3).lognormal(0, 0.5, 60)
    theirs = bootstrap((values,), np.mean, n_resamples=20000, method="BCa", random_state=1).confidence_interval
    low, high = interval(resample([mean(values)], np.arange(60), 20000, 0))
    assert (low[0], high[0]) == pytest.approx(tuple(theirs), rel=0.02)
    plain = interval(resample([mean(values)], np.arange(60), 20000, 0), method="percentile")
    assert plain[0][0] < low[0]
    assert plain[1][0] < high[0]


def test_where_nothing_varies_the_interval_holds_what_could_have_been():
    found = resample([mean(np.ones(100)), mean(np.full(100, 7.0))], np.arange(100), 50, 0)
    low, high = interval(found, np.array([[0.0, 1.0], [0.0, np.inf]]))
    assert low == pytest.approx([0.05 ** (1 / 100), 7])  # the rule of three: 0.97
    assert high == pytest.approx([1, 7])
    assert interval(found)[0] == pytest.approx([1, 7])


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


def test_a_metric_of_the_set_is_computed_anew_in_each_resample():
    draw = np.random.default_rng(5)
    table = draw.integers(0, 4, (30, 3)).astype(float)
    f1 = SumStatistic(table, lambda s: 2 * s[..., 0] / (2 * s[..., 0] + s[..., 1] + s[..., 2]))
    auroc = Auroc(draw.random(30), draw.random(30) < 0.5)
    patient = np.arange(30) // 2
    found = resample([f1, auroc], patient, 40, 9)
    again = np.random.default_rng([9, 0]).integers(0, 15, (40, 15))
    for k, drawn in enumerate(again):
        weights = np.bincount(drawn, minlength=15)[patient][None].astype(float)
        assert found.draws[k] == pytest.approx([f1.at(weights)[0], auroc.at(weights)[0]])
    kept = np.flatnonzero(patient != 4)
    assert found.left_out[4] == pytest.approx([s.take(kept).at(np.ones((1, 28)))[0] for s in (f1, auroc)])


def test_numbers_depend_on_the_seed_alone(monkeypatch):
    values = np.random.default_rng(4).normal(size=(50, 3))
    first = bootstrap_mean(values, names(50), seed=5)
    assert np.array_equal(first, bootstrap_mean(values, names(50), seed=5))
    assert not np.array_equal(first.low, bootstrap_mean(values, names(50), seed=6).low)
    monkeypatch.setattr(intervals, "CHUNK", 50 * 64)  # other pieces, same draws
    assert np.allclose(first, bootstrap_mean(values, names(50), seed=5), rtol=0, atol=1e-12)


def test_paired_difference_of_alike_series_is_tight():
    draw = np.random.default_rng(6)
    a = draw.normal(size=(300, 1))
    b = a - 0.05 + draw.normal(0, 0.02, (300, 1))
    found = paired_difference(a, b, names(300))
    alone = bootstrap_mean(a, names(300))
    assert found.mean == pytest.approx((a - b).mean(0))
    assert found.low[0] > 0.04
    assert (found.high - found.low)[0] < 0.1 * (alone.high - alone.low)[0]
    assert found.p[0] == pytest.approx(1 / 10001)
    assert np.array_equal(paired_difference(a, np.zeros_like(a), names(300))[:3], alone)  # the same resamples


def test_p_is_uniform_when_nothing_differs():
    draw = np.random.default_rng(7)
    patient = np.repeat(np.arange(30), 3)
    shared = draw.normal(size=(30, 600))[patient]  # a difference that is the patient's, not the case's
    a = shared + draw.normal(0, 0.3, shared.shape)
    p = paired_difference(a, np.zeros_like(a), [f"p{i}" for i in patient], samples=999).p
    assert kstest(p, "uniform").pvalue > 0.01
    same = paired_difference(a, a, [f"p{i}" for i in patient], samples=99)
    assert (same.p == 1).all()


def test_swapping_models_leaves_what_both_agree_on():
    draw = np.random.default_rng(8)
    table = draw.integers(0, 3, (40, 3)).astype(float)
    f1 = lambda s: 2 * s[..., 0] / (2 * s[..., 0] + s[..., 1] + s[..., 2])  # noqa: E731
    a, b = SumStatistic(table, f1), SumStatistic(draw.integers(0, 3, (40, 3)).astype(float), f1)
    scores, positive = draw.random((2, 40)), draw.random(40) < 0.5
    pairs = [(a, b), (a, a), (Auroc(scores[0], positive), Auroc(scores[1], positive))]
    patient = np.arange(40) // 2
    gaps = swapped(pairs, patient, 300, 3)
    assert gaps[0, 0] == pytest.approx((a.at(np.ones((1, 40))) - b.at(np.ones((1, 40))))[0])
    assert (gaps[:, 1] == 0).all()
    stay = np.random.default_rng([3, 1]).integers(0, 2, (301, 20), dtype=np.int8)[7][patient].astype(float)
    kept = (
        SumStatistic(np.where(stay[:, None] > 0, a.table, b.table), f1),
        SumStatistic(np.where(stay[:, None] > 0, b.table, a.table), f1),
    )
    assert gaps[7, 0] == pytest.approx((kept[0].at(np.ones((1, 40))) - kept[1].at(np.ones((1, 40))))[0])
    p = permutation_p(gaps)
    assert p[1] == 1
    assert abs(gaps[1:, 2].mean()) < 0.03


def test_holm_is_the_textbooks():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).size == 0


def test_patients_needed_quarter_the_width():
    assert patients_needed(100, 0.4, 0.6, 0.1) == 400
    with pytest.raises(UserError, match="should be above 0"):
        patients_needed(100, 0.4, 0.6, 0)
    with pytest.raises(ValueError, match="no width"):
        patients_needed(100, 0.4, 0.4, 0.1)


def test_seeds_are_a_second_level():
    draw = np.random.default_rng(9)
    covered = naive = 0
    for k in range(300):  # 5 runs on 60 patients; runs scatter as much as patients do
        runs = draw.normal(0, 0.25, 5)[:, None] + draw.normal(0, 1, 60) + draw.normal(0, 0.3, (5, 60))
        found = resample([mean(runs.mean(axis=0))], np.arange(60), 400, k)
        low, high, _ = over_seeds(found, [runs.mean(axis=1)])
        covered += low <= 0 <= high
        inner = interval(found)
        naive += bool(inner[0][0] <= 0 <= inner[1][0])
    assert 0.93 <= covered / 300 <= 0.985
    assert naive / 300 < 0.93  # patients alone do not cover the luck of training
    one = Resamples(np.array([0.2]), np.full((9, 1), 0.2), np.full((8, 1), 0.2), np.array([8]))
    assert over_seeds(one, []) == (0.2, 0.2, 2 / 256)
    low, high = spread_range(1.0, 3)
    assert (low, high) == (pytest.approx(0.52, abs=0.01), pytest.approx(6.28, abs=0.01))


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

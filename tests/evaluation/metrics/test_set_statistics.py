"""Metrics of weighted sets: a case of weight 2 counts as two cases."""

from __future__ import annotations

import numpy as np
import pytest

from radrl.evaluation.metrics.set_statistics import Auroc, mean, ranks


def test_auroc_is_scikit_learns_also_with_ties_and_copies():
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    draw = np.random.default_rng(0)
    for _ in range(100):
        scores, positive = draw.integers(0, 6, 30).astype(float), draw.random(30) < 0.4
        weights = draw.integers(0, 4, 30)
        found = Auroc(scores, positive).at(np.vstack([np.ones(30), weights]))
        assert found[0] == pytest.approx(roc_auc_score(positive, scores))
        copied = np.repeat(np.arange(30), weights)
        if len(set(positive[copied])) == 2:
            assert found[1] == pytest.approx(roc_auc_score(positive[copied], scores[copied]))


def test_auroc_leaves_out_cases_without_a_score_and_says_when_it_is_undefined():
    scores, positive = np.array([0.1, np.nan, 0.9, np.nan]), np.array([False, True, True, False])
    one = Auroc(scores, positive)
    assert one.at(np.ones((1, 4))) == [1.0]
    assert one.there.tolist() == [True, False, True, False]
    assert np.isnan(one.at(np.array([[1.0, 1, 0, 1]])))[0]
    beside = one.beside(Auroc(100 - 100 * scores, positive))  # a model that is always wrong, on another scale
    assert beside.at(np.ones((1, 8)))[0] == pytest.approx(0.5)


def test_means_and_ranks():
    column = mean(np.array([1.0, np.nan, 3.0]))
    assert column.at(np.array([[1.0, 1, 1], [3, 0, 1], [0, 5, 0]])) == pytest.approx([2, 1.5, np.nan], nan_ok=True)
    assert column.take(np.array([0, 1])).at(np.ones((1, 2))) == [1.0]
    assert ranks(np.array([5.0, 5, np.nan, 9])).tolist()[:2] == pytest.approx([1 / 3, 1 / 3])

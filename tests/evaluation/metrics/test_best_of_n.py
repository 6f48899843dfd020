"""pass@k and best of k against counting."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from radrl.evaluation.metrics.best_of_n import best_of
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.example import Answer, Example


def test_best_of_is_the_mean_over_all_choices():
    values = np.random.default_rng(0).random((6, 3))
    for k in range(1, 7):
        every = np.array([values[list(chosen)].max(axis=0) for chosen in combinations(range(6), k)])
        assert best_of(values, k) == pytest.approx(every.mean(axis=0))
    with pytest.raises(ValueError, match="best of 7 of 6"):
        best_of(values, 7)


def test_of_right_and_wrong_answers_it_is_pass_at_k():
    for n, c, k in ((10, 3, 1), (10, 3, 4), (10, 8, 5), (8, 0, 8)):
        values = np.array([1.0] * c + [0.0] * (n - c))[:, None]
        assert best_of(values, k)[0] == pytest.approx(1 - comb(n - c, k) / comb(n, k))


def test_several_samples_give_their_mean_and_the_best():
    examples = [
        Example(id=f"{i}", task="vqa_closed", question="?", reference="yes", choices=("yes", "no")) for i in range(3)
    ]
    yes, no = Answer("yes", choice=0), Answer("no", choice=1)
    found = score_cases(examples, [[yes, no, no], [yes, yes, no], [yes, no, no], [yes, yes, no]])
    assert found.columns["vqa_closed accuracy"].by_case.tolist() == [1, 0.5, 0]
    assert found.columns["vqa_closed accuracy pass@2"].by_case == pytest.approx([1, 5 / 6, 0])
    assert found.columns["vqa_closed accuracy pass@4"].by_case == pytest.approx([1, 1, 0])
    assert found.samples == 4

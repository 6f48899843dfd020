"""What holds for every scorer: only its own tasks, the worst value for no answer, nothing outside its range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radrl.example import Answer, Example, Score
from radrl.scoring import registry

REPORT = Example(id="r", task="report", question="q")
OPEN = Example(id="o", task="vqa_open", question="q")


@pytest.fixture
def register(monkeypatch):
    """Registers a scorer of reports that gives fixed values, for this test only."""
    monkeypatch.setattr(registry, "_SCORERS", dict(registry._SCORERS))

    def add(*values, **settings):
        left = list(values)

        def give(examples, answers):
            assert all(e.task == "report" for e in examples)  # it never sees another task
            return [Score(left.pop(0)) for _ in examples]

        registry.scorer("errors", tasks=("report",), **settings)(give)
        return registry.get("errors")

    return add


@pytest.mark.parametrize(("higher_is_better", "worst"), [(True, 0.0), (False, 9.0)])
def test_no_answer_gets_the_worst_value_and_other_tasks_none(register, higher_is_better, worst):
    scorer = register(1.0, 2.0, high=9.0, higher_is_better=higher_is_better)
    answers = [Answer("a"), Answer("a"), Answer(" \n"), Answer("b")]
    scores = scorer([REPORT, OPEN, REPORT, REPORT], answers)
    assert [score and score.value for score in scores] == [1.0, None, worst, 2.0]


@pytest.mark.parametrize("value", [math.nan, 1.1, -0.1, math.inf])
def test_a_value_outside_the_range_is_an_error(register, value):
    with pytest.raises(ValueError, match=r"scorer errors gave .* for r"):
        register(value)([REPORT], [Answer("a")])


def test_a_scorer_that_answers_for_too_few_is_an_error(register, monkeypatch):
    register()
    monkeypatch.setitem(
        registry._SCORERS, "errors", registry.Scorer("errors", lambda e, a: [], ("report",), 0, 1, True)
    )
    with pytest.raises(ValueError, match="shorter"):
        registry.get("errors")([REPORT], [Answer("a")])


def test_an_unknown_name_is_told_the_nearest(refusal):
    import radrl.scoring  # noqa: F401

    assert "did you mean 'finding_f1'?" in refusal(registry.get, "findings_f1")


def test_a_case_without_a_score_adds_nothing_to_its_set():
    def table(examples, answers):
        assert all(answer.text != "left out" for answer in answers)
        return np.array([[len(answer.text), 1.0] for answer in answers])

    pooled = registry.Pooled(table, lambda sums: sums[..., 0] / sums[..., 1])
    scorer = registry.Scorer("lengths", lambda e, a: [], ("report",), 0.0, 9.0, True, pooled=pooled)
    answers, scores = [Answer("left out"), Answer("ab"), Answer("abcd")], [None, Score(0.0), Score(0.0)]
    np.testing.assert_equal(scorer.sums([REPORT] * 3, answers, scores), [[0, 0], [2, 1], [4, 1]])
    assert scorer.corpus_value([REPORT] * 3, answers, scores) == 3
    assert scorer.corpus_value([REPORT], answers[:1], [None]) is None

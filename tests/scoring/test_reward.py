"""Rewards as TRL calls them: each Example by its own task's scorers, None elsewhere."""

from __future__ import annotations

import math

import pytest

import radrl.scoring  # noqa: F401  registers the scorers
from radrl.example import Box, Example, Score
from radrl.prompt import PromptStyle
from radrl.scoring import registry
from radrl.scoring.reward import completion_text, load_rewards

EXAMPLES = [
    Example(id="r", task="report", question="q", reference="Left pleural effusion."),
    Example(id="b", task="grounding", question="q", boxes=(Box(xyxy=(0, 0, 0.4, 0.4), label="heart"),)),
    Example(id="c", task="vqa_closed", question="q", choices=("yes", "no"), reference="no"),
    Example(id="r2", task="report", question="q", reference="The heart is enlarged."),
    Example(id="b2", task="grounding", question="q"),  # nothing to find
]
REWARDS = {
    "report": [("finding_f1", 1.0), ("format", 0.1)],
    "grounding": [("soft_f1", 2.0), ("format", 0.5)],
    "vqa_closed": [("vqa_accuracy", 1.0)],
}


def rewards(completions, style, wanted=REWARDS):
    functions, weights = load_rewards(wanted, style)
    values = [f(prompts=None, completions=completions, example=EXAMPLES, trainer_state=None) for f in functions]
    return {f.__name__: (w, v) for f, w, v in zip(functions, weights, values, strict=True)}


def test_a_mixed_batch_is_scored_task_by_task():
    said = ["Left pleural effusion.", "heart [0.0, 0.0, 0.4, 0.2]", "No.", "Clear.", "none [0.1, 0.2"]
    completions = [[{"role": "assistant", "content": text}] for text in said]
    none = None
    assert rewards(completions, PromptStyle()) == {
        "report/finding_f1": (1.0, [1, none, none, 0, none]),
        "report/format": (0.1, [1, none, none, 1, none]),
        "grounding/soft_f1": (2.0, [none, pytest.approx(0.5), none, none, 1]),
        "grounding/format": (0.5, [none, 1, none, none, 0]),
        "vqa_closed/vqa_accuracy": (1.0, [none, none, 1, none, none]),
    }


def test_thinking_that_never_ends_earns_nothing():
    found = rewards(["<think>Left pleural effusion. No. heart [0.0, 0.0, 0.4, 0.2]"] * 5, PromptStyle(thinking=True))
    assert all(value in (None, 0) for _, values in found.values() for value in values)
    found = rewards(["<think>No findings.</think>Left pleural effusion."] * 5, PromptStyle(thinking=True))
    assert found["report/finding_f1"][1][0] == 1


def test_fewer_errors_are_rewarded_and_nan_is_an_error(monkeypatch):
    monkeypatch.setattr(registry, "_SCORERS", dict(registry._SCORERS))
    value = 3.0
    registry.scorer("errors", tasks=("report",), high=9.0, higher_is_better=False)(
        lambda examples, answers: [Score(value) for _ in examples]
    )
    wanted = {"report": [("errors", 0.5)]}
    assert rewards(["x"] * 5, PromptStyle(), wanted) == {"report/errors": (-0.5, [3, None, None, 3, None])}
    value = math.nan
    with pytest.raises(ValueError, match="errors gave nan for r"):
        rewards(["x"] * 5, PromptStyle(), wanted)


def test_text_of_a_completion():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert [completion_text(c) for c in ("ab", [{"content": "ab"}], [{"content": parts}])] == ["ab"] * 3

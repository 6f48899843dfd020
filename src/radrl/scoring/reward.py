"""A recipe's rewards as TRL reward functions: each Example is scored by the scorers of its own task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from radrl.example import Example, Task
from radrl.prompt import PromptStyle, parse
from radrl.scoring import registry

RewardFunction = Callable[..., list[float | None]]


def load_rewards(
    rewards: Mapping[Task, Sequence[tuple[str, float]]], style: PromptStyle
) -> tuple[list[RewardFunction], list[float]]:
    """Returns TRL reward functions and their weights, one for each scorer and weight of each task.

    A function returns None for Examples of other tasks, so TRL sums only what applies. The trainer's rows must carry
    the column ``example``. A scorer is rewarded in the direction its metric improves: one where lower is better counts
    with the sign turned.
    """
    functions, weights = [], []
    for task, items in rewards.items():
        for name, weight in items:
            scorer = registry.get(name)
            functions.append(_function(task, scorer, style))
            weights.append(weight if scorer.higher_is_better else -weight)
    return functions, weights


def _function(task: Task, scorer: registry.Scorer, style: PromptStyle) -> RewardFunction:
    def reward(completions: Sequence[Any], example: Sequence[Example], **_: Any) -> list[float | None]:
        rows = [i for i, e in enumerate(example) if e.task == task]
        answers = [parse(completion_text(completions[i]), example[i], style) for i in rows]
        scores = scorer([example[i] for i in rows], answers)
        values: list[float | None] = [None] * len(example)
        for i, score in zip(rows, scores, strict=True):
            values[i] = None if score is None else score.value
        return values

    reward.__name__ = f"{task}/{scorer.name}"
    return reward


def completion_text(completion: Any) -> str:
    """Returns the text of a TRL completion, which is a string or one assistant message."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

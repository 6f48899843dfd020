"""The scorers a recipe names: its rewards, with what each makes of its scorer's value, and the columns of its tables.

A reward is ``clip(scale * gated(value))``: the value with its sign turned where lower is better, let through by the
gate, scaled and clipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from radrl.errors import UserError, one_line
from radrl.example import Task
from radrl.recipe.protocols import Column
from radrl.recipe.schema import Recipe
from radrl.recipe.sections import Reward
from radrl.scoring import own
from radrl.scoring.registry import Scorer


class RewardTerm(NamedTuple):
    """One reward of one task: its scorer, its gate's scorer, and the recipe's settings."""

    task: Task
    scorer: Scorer
    gate: Scorer | None
    settings: Reward

    def rewards(self, values: Sequence[float | None], gates: Sequence[float | None]) -> list[float | None]:
        """Returns the reward for each of a scorer's values, with the gate's values beside (not read without a gate)."""
        plain = self.gate is None and not self.turned and self.settings.scale == 1 and self.settings.clip is None
        if plain:
            return list(values)
        return [self.reward(value, gate) for value, gate in zip(values, gates, strict=True)]

    def reward(self, value: float | None, gate: float | None) -> float | None:
        """Returns the reward for a scorer's value; None where the value or the gate's is None."""
        if value is None:
            return None
        if self.turned:
            value = -value
        if self.gate is not None:
            if gate is None:
                return None
            value = self.worst + gate * (value - self.worst)  # a bad form must not lift a negative reward to 0
        value = self.settings.scale * value
        if clip := self.settings.clip:
            value = min(max(value, clip[0]), clip[1])
        return value

    @property
    def turned(self) -> bool:
        """Returns whether the value's sign is turned."""
        sign = self.settings.sign
        return sign == "turn" or (sign == "auto" and not self.scorer.higher_is_better)

    @property
    def worst(self) -> float:
        """Returns the lowest value, its sign turned or not; it may be infinite."""
        return -self.scorer.high if self.turned else self.scorer.low


def read_reward_terms(recipe: Recipe) -> list[RewardTerm]:
    """Returns the rewards of a recipe with their scorers, not yet made ready with a corpus.

    Raises:
        UserError: a scorer or option is unknown, does not score the task, or cannot be a gate or be gated.
    """
    terms = []
    for task, rewards in recipe.rewards.items():
        for index, reward in enumerate(rewards):
            at = f"{recipe.file}: key 'rewards.{task}.{index}"
            scorer = _scorer(recipe, task, reward.scorer, f"{at}.scorer'")
            try:
                scorer = scorer.with_options(reward.options)
            except UserError as error:
                raise UserError(one_line(f"{at}.options': {error}")) from None
            gate = _scorer(recipe, task, reward.gate, f"{at}.gate'") if reward.gate else None
            term = RewardTerm(task, scorer, gate, reward)
            if gate and (gate.low, gate.high, gate.higher_is_better, gate.fit) != (0.0, 1.0, True, None):
                raise UserError(one_line(f"{at}.gate': '{gate.name}' is no score of 0 to 1"))
            if gate and not math.isfinite(term.worst):
                raise UserError(one_line(f"{at}.gate': '{scorer.name}' has no worst value to be gated to"))
            terms.append(term)
    return terms


def read_columns(recipe: Recipe, columns: Sequence[Column], at: str) -> list[list[tuple[Task, Scorer]]]:
    """Returns for each column its scorer, ready for the recipe, with each task it is a figure of. ``at`` is the dotted
    key of the list.

    Raises:
        UserError: a scorer or option is unknown, or does not score the task; the line names the column's key.
    """
    found = []
    for index, column in enumerate(columns):
        key = f"{recipe.file}: key '{at}.{index}"
        scorer = ready(recipe, _named(recipe, column.scorer, f"{key}.scorer'"), f"{key}.scorer'")
        if column.task and column.task not in scorer.tasks:
            raise UserError(one_line(_scores_others(f"{key}.task'", scorer, column.task)))
        try:
            scorer = scorer.with_options(column.options)
        except UserError as error:
            raise UserError(one_line(f"{key}.options': {error}")) from None
        found.append([(task, scorer) for task in ((column.task,) if column.task else scorer.tasks)])
    return found


def _scorer(recipe: Recipe, task: Task, name: str, at: str) -> Scorer:
    """Returns a scorer of a task with the settings the recipe has for it."""
    scorer = _named(recipe, name, at)
    if task not in scorer.tasks:
        raise UserError(one_line(_scores_others(at, scorer, task)))
    return ready(recipe, scorer, at)


def _scores_others(at: str, scorer: Scorer, task: Task) -> str:
    return f"{at}: '{scorer.name}' scores {', '.join(scorer.tasks)}, not {task}"


def _named(recipe: Recipe, name: str, at: str) -> Scorer:
    try:
        return own.find(name, recipe.path)
    except UserError as error:
        raise UserError(one_line(f"{at}: {error}")) from None


def ready(recipe: Recipe, scorer: Scorer, at: str) -> Scorer:
    """Returns a scorer with what the recipe says of judge, device and weights. Raises UserError where a judge is not
    named; the line begins with ``at``."""
    if scorer.kind == "judge" and recipe.judge:
        cache = recipe.path(recipe.judge.cache) if recipe.judge.cache else recipe.path(recipe.out) / "judge.jsonl"
        prompt = str(recipe.path(recipe.judge.prompt)) if recipe.judge.prompt else None
        return scorer.with_options({"judge": recipe.judge.model_copy(update={"cache": str(cache), "prompt": prompt})})
    if scorer.kind == "judge":
        raise UserError(one_line(f"{at}: '{scorer.name}' asks a model; name it under 'judge' (url, model)"))
    if scorer.kind == "neural":
        folders = {name: str(recipe.path(folder)) for name, folder in recipe.scoring.weights.items()}
        return scorer.with_options({"weights": folders, "device": recipe.scoring.device})
    return scorer

"""Which scorers an evaluation reports besides the usual metrics: the columns of its protocol, those that the recipe
names under ``evaluation.metrics``, and the rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from radrl.errors import UserError, one_line
from radrl.example import Task
from radrl.recipe.apply_protocol import protocol_of
from radrl.recipe.schema import Recipe
from radrl.scoring.registry import Scorer
from radrl.scoring.reward_terms import read_columns, read_reward_terms


class SelectedScorer(NamedTuple):
    """A scorer to report as a metric of a task. ``place`` is the place among the columns of the protocol, None of other
    scorers; ``title`` and ``headline`` as in `radrl.recipe.protocols.Column`."""

    task: Task
    scorer: Scorer
    title: str = ""
    headline: bool = False
    place: int | None = None


class Selection(NamedTuple):
    """The scorers to report; a line for each that is named and has no case; why columns of the protocol are left out,
    by title."""

    scorers: list[SelectedScorer]
    unused: list[str]
    left_out: dict[str, str]


def select_scorers(recipe: Recipe, cases: Mapping[Task, int]) -> Selection:
    """Returns the scorers to report on test data with so many cases of each task.

    A column of the protocol is left out where a package, weights or an endpoint is missing for it; what the recipe
    itself names must be there.

    Raises:
        UserError: a scorer of the recipe is unknown, not installed, or has a wrong option.
    """
    selected, left_out = _of_protocol(recipe, cases)
    unused = []
    columns = recipe.evaluation.metrics
    for index, named in enumerate(read_columns(recipe, columns, "evaluation.metrics")):
        column, scorer = columns[index], named[0][1]
        if problem := scorer.missing(**scorer.options):
            raise UserError(one_line(f"{recipe.file}: key 'evaluation.metrics.{index}': {problem}"))
        mine: list[tuple[Task, Scorer]] = [(task, one) for task, one in named if cases.get(task)]
        if not mine:
            tasks = ", ".join(task for task, _ in named)
            unused.append(f"evaluation.metrics.{index}: '{scorer.name}' scores {tasks}; the test data has no such case")
        selected += [SelectedScorer(task, one, column.title, column.headline) for task, one in mine]
    items = read_reward_terms(recipe)
    selected += [SelectedScorer(item.task, one) for item in items for one in (item.scorer, item.gate) if one]
    return Selection(selected, unused, left_out)


def _of_protocol(recipe: Recipe, cases: Mapping[Task, int]) -> tuple[list[SelectedScorer], dict[str, str]]:
    protocol = protocol_of(recipe)
    selected: list[SelectedScorer] = []
    left_out: dict[str, str] = {}
    for place, column in enumerate(protocol.columns if protocol else ()):
        title = column.title or column.scorer
        try:
            (named,) = read_columns(recipe, [column], "protocol")
        except UserError as error:  # a judge without an endpoint
            left_out[title] = str(error).partition("': ")[2]
            continue
        for task, scorer in named:
            if not cases.get(task):
                continue
            problem = scorer.missing(**scorer.options)
            if scorer.fit and cases[task] < 2:
                problem = f"scorer '{scorer.name}' weighs words by how many references have them; there is one"
            if problem:
                left_out[title] = problem
            else:
                selected.append(SelectedScorer(task, scorer, column.title, column.headline, place))
    return selected, left_out

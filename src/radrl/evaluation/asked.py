"""Which scorers an evaluation reports besides the usual metrics: the columns of its protocol, those that the recipe
names under ``evaluation.metrics``, and the rewards; and what a reader must know of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from radrl import protocols
from radrl.errors import UserError
from radrl.example import Task
from radrl.protocols import Column
from radrl.recipe import Recipe
from radrl.recipe_yaml import one_line
from radrl.scoring.items import read_columns, read_items
from radrl.scoring.registry import Scorer


class Asked(NamedTuple):
    """A scorer to report as a metric of a task. ``place`` is the place among the columns of the protocol, None of other
    scorers; ``title`` and ``headline`` as in `protocols.Column`."""

    task: Task
    scorer: Scorer
    title: str = ""
    headline: bool = False
    place: int | None = None


def asked(recipe: Recipe, cases: Mapping[Task, int]) -> tuple[list[Asked], list[str]]:
    """Returns the scorers to report on test data with so many cases of each task, and a line for each that is left out.

    A column of the protocol is left out where a package, weights or an endpoint is missing for it; what the recipe
    itself names must be there.

    Raises:
        UserError: a scorer of the recipe is unknown, not installed, or has a wrong option.
    """
    found, lines = _of_protocol(recipe, cases)
    columns = recipe.evaluation.metrics
    for index, (column, of_column) in enumerate(
        zip(columns, read_columns(recipe, columns, "evaluation.metrics"), strict=True)
    ):
        key = f"{recipe.file}: key 'evaluation.metrics.{index}'"
        scorer = of_column[0][1]
        if problem := scorer.missing(**scorer.options):
            raise UserError(one_line(f"{key}: {problem}"))
        mine = [(task, one) for task, one in of_column if cases.get(task)]
        if not mine:
            tasks = ", ".join(task for task, _ in of_column)
            lines.append(f"evaluation.metrics.{index}: '{scorer.name}' scores {tasks}; the test data has no such case")
        found += [Asked(task, one, column.title, column.headline) for task, one in mine]
    items = read_items(recipe)
    return found + [Asked(item.task, one) for item in items for one in (item.scorer, item.gate) if one], lines


def _of_protocol(recipe: Recipe, cases: Mapping[Task, int]) -> tuple[list[Asked], list[str]]:
    protocol = protocols.of(recipe)
    found: list[Asked] = []
    lines: list[str] = []
    for place, column in enumerate(protocol.columns if protocol else ()):
        tasks = [task for task in cases if cases[task] and column.task in (None, task)]
        left_out, mine = _ready(recipe, column, tasks)
        if mine and any(one.fit and cases[task] < 2 for task, one in mine):
            left_out = f"scorer '{column.scorer}' needs at least 2 cases"
        if left_out:
            lines.append(f"column {column.title or column.scorer} of the protocol is left out: {left_out}")
            continue
        found += [Asked(task, one, column.title, column.headline, place) for task, one in mine]
    return found, lines


def _ready(recipe: Recipe, column: Column, tasks: list[Task]) -> tuple[str | None, list[tuple[Task, Scorer]]]:
    """Returns what a column of the protocol lacks, and its scorer with each of the tasks that it scores."""
    try:
        (of_column,) = read_columns(recipe, [column], f"protocol.{recipe.evaluation.protocol}")
    except UserError as error:
        return str(error).removeprefix(f"{recipe.file}: "), []
    mine = [(task, scorer) for task, scorer in of_column if task in tasks]
    return (mine[0][1].missing(**mine[0][1].options) if mine else None), mine


def protocol_facts(recipe: Recipe, left_out: list[str]) -> dict[str, str]:
    """Returns what a reader must know of the protocol, empty where the recipe names none."""
    protocol = protocols.of(recipe)
    if protocol is None:
        return {}
    facts = {
        "name": f"{recipe.evaluation.protocol}: {protocol.about}",
        "columns": ", ".join(dict.fromkeys(column.title or column.scorer for column in protocol.columns)),
        "set otherwise by the recipe": "; ".join(protocols.overridden(recipe)) or "nothing",
    }
    if protocol.prompt is None:
        facts["prompts"] = "the protocol prescribes none"
    if not protocol.evaluation:
        facts["decoding"] = "the protocol prescribes none"
    facts |= {f"left out {k}": line for k, line in enumerate(left_out, 1)}
    return facts | {f"not as published {k}": line for k, line in enumerate(protocol.differs, 1)}


def protocol_notes(recipe: Recipe) -> list[str]:
    """Returns the lines that stand above the tables: which protocol, and what the recipe sets otherwise."""
    protocol = protocols.of(recipe)
    if protocol is None:
        return []
    changed = protocols.overridden(recipe)
    said = f"protocol {recipe.evaluation.protocol}: {protocol.about}; its columns stand first"
    return [f"{said}; set otherwise by the recipe: {'; '.join(changed)}" if changed else said]

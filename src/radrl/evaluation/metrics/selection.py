"""Which scorers an evaluation reports besides the usual metrics: the columns of its protocol, those that the recipe
names under ``evaluation.metrics``, and the rewards; and what a reader must know of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from radrl.errors import UserError, one_line
from radrl.evaluation.answers.header import Header
from radrl.example import Task
from radrl.recipe import protocols
from radrl.recipe.protocols import Protocol
from radrl.recipe.schema import Recipe
from radrl.scoring.registry import Scorer
from radrl.scoring.reward_terms import read_columns, read_items


class Asked(NamedTuple):
    """A scorer to report as a metric of a task. ``place`` is the place among the columns of the protocol, None of other
    scorers; ``title`` and ``headline`` as in `protocols.Column`."""

    task: Task
    scorer: Scorer
    title: str = ""
    headline: bool = False
    place: int | None = None


class Asking(NamedTuple):
    """The scorers to report; a line for each that is named and has no case; why columns of the protocol are left out,
    by title."""

    scorers: list[Asked]
    unused: list[str]
    left_out: dict[str, str]


def asked(recipe: Recipe, cases: Mapping[Task, int]) -> Asking:
    """Returns the scorers to report on test data with so many cases of each task.

    A column of the protocol is left out where a package, weights or an endpoint is missing for it; what the recipe
    itself names must be there.

    Raises:
        UserError: a scorer of the recipe is unknown, not installed, or has a wrong option.
    """
    found, left_out = _of_protocol(recipe, cases)
    unused = []
    columns = recipe.evaluation.metrics
    for index, named in enumerate(read_columns(recipe, columns, "evaluation.metrics")):
        column, scorer = columns[index], named[0][1]
        if problem := scorer.missing(**scorer.options):
            raise UserError(one_line(f"{recipe.file}: key 'evaluation.metrics.{index}': {problem}"))
        mine = [(task, one) for task, one in named if cases.get(task)]
        if not mine:
            tasks = ", ".join(task for task, _ in named)
            unused.append(f"evaluation.metrics.{index}: '{scorer.name}' scores {tasks}; the test data has no such case")
        found += [Asked(task, one, column.title, column.headline) for task, one in mine]
    items = read_items(recipe)
    found += [Asked(item.task, one) for item in items for one in (item.scorer, item.gate) if one]
    return Asking(found, unused, left_out)


def _of_protocol(recipe: Recipe, cases: Mapping[Task, int]) -> tuple[list[Asked], dict[str, str]]:
    protocol = protocols.of(recipe)
    found: list[Asked] = []
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
                found.append(Asked(task, scorer, column.title, column.headline, place))
    return found, left_out


def protocol_facts(recipe: Recipe, left_out: Mapping[str, str]) -> dict[str, str]:
    """Returns what a reader must know of the protocol, for the page; empty where the recipe names none."""
    protocol = protocols.of(recipe)
    if protocol is None:
        return {}
    facts = {
        "name": f"{recipe.evaluation.protocol}: {protocol.about}",
        "columns": ", ".join(dict.fromkeys(column.title or column.scorer for column in protocol.columns)),
        "prompts": f"preset {protocol.prompt}" if protocol.prompt else "none is prescribed",
        "decoding": ", ".join(f"{k} {v}" for k, v in protocol.evaluation.items()) or "none is prescribed",
        "set otherwise by the recipe": "; ".join(protocols.overridden(recipe)) or "nothing",
    }
    facts |= {f"left out: {title}": problem for title, problem in left_out.items()}
    return facts | {f"not as published, {k}": line for k, line in enumerate(protocol.differs, 1)}


def protocol_notes(recipe: Recipe, left_out: Mapping[str, str], headers: Mapping[str, Header]) -> list[str]:
    """Returns the lines that stand above the tables: which protocol, what is left out of it, what the recipe sets
    otherwise, and which models were decoded otherwise."""
    protocol = protocols.of(recipe)
    if protocol is None:
        return []
    lines = [f"protocol {recipe.evaluation.protocol}: {protocol.about}; its columns stand first"]
    if left_out:
        lines.append(f"columns of the protocol left out (why: see the page): {', '.join(left_out)}")
    if changed := protocols.overridden(recipe):
        lines.append(f"set otherwise by the recipe than by the protocol: {'; '.join(changed)}")
    return lines + [line for name, header in headers.items() if (line := _otherwise(recipe, protocol, name, header))]


def _otherwise(recipe: Recipe, protocol: Protocol, name: str, header: Header) -> str | None:
    """Returns a line where a model was decoded as neither the protocol nor the recipe says."""
    if "temperature" not in header.decoding:
        return None  # not known; that is a line of its own
    found = []
    for key, value in protocol.evaluation.items():
        told = header.decoding.get(key, value)
        if key in ("max_new_tokens", "thinking_max_new_tokens"):
            longer = "thinking_max_new_tokens" in protocol.evaluation and header.prompt.get("thinking", False)
            if longer == (key == "max_new_tokens"):
                continue
            told = header.decoding.get("max_new_tokens", value)
        if told not in (value, getattr(recipe.evaluation, key)):
            found.append(f"{key.removeprefix('thinking_')} {told}, not {value}")
    return f"{name} was decoded otherwise than the protocol says: {'; '.join(found)}" if found else None

"""What an evaluation takes from the training data, where the recipe names some: the trivial baselines, and whether the
test is held out. It can do without; then the table and the page say what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from radrl.errors import UserError
from radrl.evaluation.controls import baselines
from radrl.evaluation.metrics.records import CaseScores, Column
from radrl.example import TASKS, Answer, Example, Task
from radrl.manifest import leaks
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.from_recipe import load_examples
from radrl.recipe.schema import Recipe
from radrl.support.progress import progress_bar

# the task whose cases each table of counts in CaseScores is about
COUNTED = {"findings": "report", "labels": "report", "empty": "grounding", "classes": "classification"}
NONE = Answer("(no baseline: no training Example of this task)")


class FromTraining(NamedTuple):
    """The baselines' Answers by name, in the order of the test Examples, `NONE` where a task has no baseline; the tasks
    that have one; lines a reader must see first; facts of the run."""

    answers: dict[str, list[Answer]]
    tasks: tuple[Task, ...]
    notes: list[str]
    facts: dict[str, str]

    def into(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the page's facts with these, the notes among its warnings."""
        warnings = [*facts.get("Warnings", {}).values(), *self.notes]
        return {
            **facts,
            "Run": {**facts.get("Run", {}), **self.facts},
            **({"Warnings": {str(k): note for k, note in enumerate(warnings, 1)}} if warnings else {}),
        }


def baselines_and_leaks(recipe: Recipe, test: ExampleSet) -> FromTraining:
    """Makes the baselines and looks for leaks.

    Raises:
        UserError: the training data are named and cannot be read.
    """
    if not recipe.data.train:
        return _without("the recipe names no training data ('data.train')")
    try:
        train = load_examples(recipe, "train", needed=False)
    except UserError as error:
        raise UserError(f"{error}; or judge without training data: --set 'data.train=[]'") from None
    if not len(train):
        return _without("'data.train' has no Example that the section 'data' keeps")
    leak = leaks.find_leaks(test, train)
    notes, facts = [], {"held out from data.train": _held_out(leak)}
    if leak.examples:
        notes.append(
            f"{leak.examples} of {len(test)} test Examples are not held out: they share {leak.in_words} with "
            f"'data.train' (first: '{leak.first}')"
        )
    tasks: tuple[Task, ...] = tuple(task for task in TASKS if task in test.tasks & train.tasks)
    if lacking := [task for task in TASKS if task in test.tasks - train.tasks]:
        notes.append(f"no trivial baseline of {', '.join(lacking)}: 'data.train' has no Example of it")
    return FromTraining(_answers(train, test, tasks, recipe.seed) if tasks else {}, tasks, notes, facts)


def _without(why: str) -> FromTraining:
    note = f"no trivial baselines, and not checked whether the test is held out: {why}"
    return FromTraining({}, (), [note], {"held out from data.train": f"not checked: {why}"})


def _held_out(leak: leaks.Leak) -> str:
    if leak.examples:
        return f"no: shares {leak.in_words}"
    how = "patients, studies and image files differ"
    if leak.compared < leak.files:
        return f"{how}; bytes of {leak.compared} of {leak.files} images were compared"
    return f"{how}, also in their bytes" if leak.files else how


def _answers(train: ExampleSet, test: ExampleSet, tasks: Sequence[Task], seed: int) -> dict[str, list[Answer]]:
    rows = [i for i, example in enumerate(test) if example.task in tasks]
    with progress_bar() as bar:
        task = bar.add_task("Nearest images", total=None, note="")
        found = baselines.baseline_answers(
            train, test.take(rows), seed, lambda done, total: bar.update(task, completed=done, total=total)
        )
    given: dict[str, list[Answer]] = {name: [NONE] * len(test) for name in found}
    for name, answers in found.items():
        for i, answer in zip(rows, answers, strict=True):
            given[name][i] = answer
    return given


def only_tasks(scores: CaseScores, examples: Sequence[Example], tasks: Sequence[Task]) -> CaseScores:
    """Returns the scores as far as they are of these tasks."""
    if all(example.task in tasks for example in examples):
        return scores
    other = np.array([example.task not in tasks for example in examples])
    columns = {}
    for name, column in scores.columns.items():
        if set(column.metric.tasks) <= set(tasks):
            columns[name] = column
        elif set(column.metric.tasks) & set(tasks) and column.values is not None and not column.own:
            columns[name] = Column(column.metric, np.where(other, np.nan, column.values))
    counts = {one.name: {} for one in fields(scores) if one.name in COUNTED and COUNTED[one.name] not in tasks}
    return replace(scores, columns=columns, **counts)

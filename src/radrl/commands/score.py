"""Scores a file of predictions, JSONL of ``{"id", "text"}`` or a file of ours, against a file of references: JSONL of
the same, or a manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from radrl.answers.parsing import parse
from radrl.boxes.misfit import misfit
from radrl.errors import UserError
from radrl.example import Example, Task
from radrl.manifest.jsonl import read_manifest
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe
from radrl.scoring import find_scorer, own, registry
from radrl.scoring.registry import Scorer
from radrl.support.files import numbered_lines
from radrl.support.texts import read_texts

FORM = "radrl.scoring.form"  # its scorers look at no reference; they are only given when asked for


def score_files(
    predictions: Path, references: Path, names: Sequence[str] | None = None, recipe: Recipe | None = None
) -> dict[str, Any]:
    """Returns ``{scorer: value of the whole set, ..., "cases": {id: {scorer: value}}}``; None where a scorer does not
    apply. A name may have options: ``bleu_4(words=split)``. Texts are reports, or answers or lists of labels where a
    scorer knows only those; the Examples of a manifest are of their own tasks. Without names: every installed scorer
    of these that reads the reference, but for neural ones. ``recipe`` says which judge, weights and device are used.

    Raises:
        UserError: a file or line is wrong, ids are missing or unknown, a scorer is unknown, not installed or not for
            what the references are.
    """
    completions = read_texts(predictions)
    known = read_manifest(references) if _is_manifest(references) else None
    texts = read_texts(references) if known is None else {}
    ids = list(texts) if known is None else [example.id for example in known]
    _same_ids(predictions, list(completions), references, ids)
    tasks: set[Task] = {"report"} if known is None else {example.task for example in known}
    if names:
        scorers = {name: named_scorer(name, recipe) for name in names}
    else:
        scorers = {scorer.name: scorer for scorer in usual_scorers(tasks)}
    asked: dict[str, list[Example]] = {}
    made: dict[Task, list[Example]] = {}
    for name, scorer in scorers.items():
        if known is not None:
            asked[name] = _examples_of_manifest(references, known, scorer)
        elif (task := _task(scorer)) not in made:
            made[task] = asked[name] = _examples_of_texts(references, texts, task)
        else:
            asked[name] = made[task]
    style = _style_of(predictions)
    _check_boxes(predictions, style, [completions[e.id] for e in known or () if e.task == "grounding"])
    answers = {id(e): parse(completions[e.id], e, style) for of_scorer in asked.values() for e in of_scorer}
    values: dict[str, float | None] = {}
    cases: dict[str, dict[str, float | None]] = {name: dict.fromkeys(scorers) for name in ids}
    for called, scorer in scorers.items():
        if scorer.fit and not names and len(asked[called]) < 2:  # CIDEr weighs words by how many references have them
            values[called] = None
            continue
        ready = scorer.fitted(asked[called])
        given = [answers[id(example)] for example in asked[called]]
        scores = ready(asked[called], given)
        values[called] = ready.corpus_value(asked[called], given, scores)
        for example, score in zip(asked[called], scores, strict=True):
            cases[example.id][called] = None if score is None else score.value
    return {**values, "cases": cases}


def _style_of(predictions: Path) -> PromptStyle:
    """Returns how a model was asked, of the header that ``radrl evaluate`` wrote beside its file; radrl's own else."""
    from radrl.evaluation.answers.header import read_header  # late: scoring is loaded without evaluation

    try:
        return read_header(predictions.with_suffix(".json")).style
    except UserError:
        return PromptStyle()


def _check_boxes(predictions: Path, style: PromptStyle, texts: Sequence[str]) -> None:
    """Raises UserError where boxes would be read in another convention than they are in."""
    if texts and style.box_format == "pixel":
        raise UserError(f"{predictions}: boxes in pixels need the images; judge this file with radrl evaluate")
    if texts and misfit("A", texts, style.box_format):
        raise UserError(
            f"{predictions}: its boxes do not fit '{style.box_format}'; judge this file with radrl evaluate, "
            "where evaluation.models.NAME.box_format says what they are in"
        )


def _is_manifest(path: Path) -> bool:
    """Returns whether the first line of a file is an Example."""
    try:
        first = json.loads(next((line for _, line in numbered_lines(path)), b"{}"))
    except (UserError, ValueError, RecursionError):  # said by whoever reads the file
        return False
    return isinstance(first, dict) and {"task", "question"} <= first.keys()


def _examples_of_manifest(path: Path, examples: Sequence[Example], scorer: Scorer) -> list[Example]:
    """Returns the Examples that a scorer scores. Raises UserError where there are none."""
    scored = [example for example in examples if example.task in scorer.tasks]
    if not scored:
        raise UserError(f"scorer '{scorer.name}' scores {', '.join(scorer.tasks)}; {path} has no such Example")
    return scored


def _examples_of_texts(path: Path, texts: Mapping[str, str], task: Task) -> list[Example]:
    """Returns an Example of a task for each reference. Raises UserError where a text is none of that task."""
    examples = []
    for name, text in texts.items():
        try:
            examples.append(Example(id=name, task=task, question="text", reference=text))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UserError(f"{path}: id {name!r}: {reason}") from None
    return examples


def split_names(text: str) -> list[str]:
    """Returns the scorers of a list such as ``bleu_1, bleu_4(words=split)``."""
    return [name.strip() for name in re.findall(r"[^,()]+(?:\([^()]*\)?)?", text) if name.strip()]


def named_scorer(text: str, recipe: Recipe | None = None) -> Scorer:
    """Returns the scorer of a name that may have options, with the judge, weights and device of a recipe. Raises
    UserError where there is none, or no such option."""
    name, bracket, rest = text.partition("(")
    options = {}
    for part in rest.removesuffix(")").split(",") if bracket else ():
        key, equals, value = part.partition("=")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise UserError(f"scorer {text!r}: write options as {name}(option=value)")
    return find_scorer(name.strip(), options, recipe=recipe)


def scorer_lines() -> list[str]:
    """Returns a line for each scorer: name, tasks, range, which way is better, the package it is of, and what it lacks
    here. A package's that cannot be used has the reason instead."""
    rows: list[tuple[str, ...]] = [("scorer", "tasks", "range", "better", "")]
    for name in sorted({*registry.names(), *own.in_packages()}):
        try:
            scorer = own.find(name, Path)
        except UserError as error:
            rows.append((name, "", "", "", f"cannot be used: {error}"))
            continue
        better = "higher" if scorer.higher_is_better else "lower"
        notes = filter(None, (scorer.package, scorer.missing(**scorer.options)))
        rows.append((name, ", ".join(scorer.tasks), f"{scorer.low:g} to {scorer.high:g}", better, "; ".join(notes)))
    widths = [max(len(row[k]) for row in rows) + 2 for k in range(4)]
    return ["".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + row[4] for row in rows]


def usual_scorers(tasks: Collection[Task] = ("report",)) -> list[Scorer]:
    """Returns the scorers of these tasks that are meant where none is named."""
    every = (registry.get(name) for name in registry.names())
    return [
        s
        for s in every
        if set(tasks) & set(s.tasks) and s.kind == "cpu" and s.function.__module__ != FORM and s.missing() is None
    ]


def _task(scorer: Scorer) -> Task:
    """Returns the task whose Examples can be made of plain texts. Raises UserError where a scorer has none."""
    of_texts: tuple[Task, ...] = ("report", "vqa_open", "classification")
    for task in of_texts:
        if task in scorer.tasks:
            return task
    raise UserError(f"scorer '{scorer.name}' scores {', '.join(scorer.tasks)}: name a manifest as references")


def _same_ids(predictions: Path, given: Collection[str], references: Path, wanted: Collection[str]) -> None:
    """Raises UserError where an id of one file is missing in the other."""
    given, wanted = dict.fromkeys(given), dict.fromkeys(wanted)
    for path, other, lacking in (
        (predictions, references, [name for name in wanted if name not in given]),
        (references, predictions, [name for name in given if name not in wanted]),
    ):
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise UserError(f"{path}: no line for id {lacking[0]!r}{more} of {other}")

"""Scores a file of predictions against a file of references, both JSONL of ``{"id", "text"}``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from radrl.answers import parse
from radrl.errors import UserError
from radrl.example import Example
from radrl.prompt import PromptStyle
from radrl.scoring import own, registry
from radrl.scoring.registry import Scorer

FORM = "radrl.scoring.form"  # its scorers look at no reference; they are only given when asked for


def read_texts(path: Path) -> dict[str, str]:
    """Returns the texts of a JSONL file by id, in its order.

    Raises:
        UserError: the file cannot be read, or a line is no ``{"id", "text"}`` or repeats an id.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name, text = record["id"], record["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f'{path}:{number}: not a line {{"id": ..., "text": ...}}') from None
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not isinstance(text, str):
            raise UserError(f"{path}:{number}: 'id' and 'text' should be text")
        if name in lines:
            raise UserError(f"{path}:{number}: id {name!r} stands already in line {lines[name]}")
        found[name], lines[name] = text, number
    if not found:
        raise UserError(f'{path}: no line; a line is {{"id": ..., "text": ...}}')
    return found


def score_files(predictions: Path, references: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns ``{scorer: value of the whole set, ..., "cases": {id: {scorer: value}}}``; None where a scorer does not
    apply. A name may have options: ``bleu_4(words=split)``. Without names: every installed scorer of reports that reads
    the reference, but for neural ones.

    Raises:
        UserError: a file or line is wrong, ids are missing or unknown, a scorer is unknown, not installed or not for
            texts.
    """
    said, wanted = read_texts(predictions), read_texts(references)
    _same_ids(predictions, said, references, wanted)
    scorers = {name: named(name) for name in names} if names else {scorer.name: scorer for scorer in usual()}
    tasks = {name: _task(scorer) for name, scorer in scorers.items()}
    examples = {
        task: [Example(id=name, task=task, question="text", reference=text) for name, text in wanted.items()]
        for task in set(tasks.values())
    }
    answers = {task: [parse(said[e.id], e, PromptStyle()) for e in of_task] for task, of_task in examples.items()}
    values: dict[str, float | None] = {}
    cases: dict[str, dict[str, float | None]] = {name: {} for name in wanted}
    for called, scorer in scorers.items():
        asked = examples[tasks[called]]
        ready = scorer.fitted(asked)
        given = answers[tasks[called]]
        scores = ready(asked, given)
        values[called] = ready.corpus_value(asked, given, scores)
        for name, score in zip(wanted, scores, strict=True):
            cases[name][called] = None if score is None else score.value
    return {**values, "cases": cases}


def split_names(text: str) -> list[str]:
    """Returns the scorers of a list such as ``bleu_1, bleu_4(words=split)``."""
    return [name.strip() for name in re.findall(r"[^,()]+(?:\([^()]*\)?)?", text) if name.strip()]


def named(text: str) -> Scorer:
    """Returns the scorer of a name that may have options. Raises UserError where there is none, or no such option."""
    name, bracket, rest = text.partition("(")
    scorer = own.find(name.strip(), Path)
    options = {}
    for part in rest.removesuffix(")").split(",") if bracket else ():
        key, equals, value = part.partition("=")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise UserError(f"scorer {text!r}: write options as {name}(option=value)")
    return scorer.with_options(options)


def usual() -> list[Scorer]:
    """Returns the scorers of reports that are meant where none is named."""
    every = (registry.get(name) for name in registry.names())
    return [
        s
        for s in every
        if "report" in s.tasks and s.kind == "cpu" and s.function.__module__ != FORM and s.missing() is None
    ]


def _task(scorer: Scorer) -> Any:
    for task in ("report", "vqa_open"):
        if task in scorer.tasks:
            return task
    raise UserError(f"scorer '{scorer.name}' scores {', '.join(scorer.tasks)}, not texts alone")


def _same_ids(predictions: Path, said: Mapping[str, str], references: Path, wanted: Mapping[str, str]) -> None:
    for path, other, lacking in (
        (predictions, references, [name for name in wanted if name not in said]),
        (references, predictions, [name for name in said if name not in wanted]),
    ):
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise UserError(f"{path}: no line for id {lacking[0]!r}{more} of {other}")

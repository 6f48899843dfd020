"""Asks models the controls of `bias`, and writes its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.asked_examples import ChangedExamples
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.predictions import Collected
from radrl.evaluation.answers.sources import Shard, Source
from radrl.evaluation.controls import bias
from radrl.example import Answer, Example
from radrl.manifest.example_set import ExampleSet
from radrl.output import bias_tables
from radrl.recipe.schema import Recipe

Controls = dict[str, tuple[ChangedExamples, dict[str, Collected]]]


def collect_controls(
    recipe: Recipe, sources: Sequence[Source], test: ExampleSet, folder: Path, shard: Shard | None
) -> Controls:
    """Asks every model that is not a file the questions of each control; what is there already is taken up."""
    seen = bias.with_images(test)
    sets = {
        bias.ROTATED: bias.rotated(test),
        bias.BLANK: bias.blank(seen),
        bias.SWAPPED: bias.swapped(seen, recipe.seed),
    }
    found: Controls = {name: (examples, {}) for name, examples in sets.items() if len(examples)}
    for name, (examples, said) in found.items():
        for source in sources:
            if source.is_file:
                continue  # a file answers what it was asked
            collected = ask_model(recipe, source, examples, folder, control=name, shard=shard)
            if collected is not None:
                said[source.name] = collected
    return found


def write(
    out: Path,
    test: ExampleSet,
    models: Mapping[str, list[list[Answer]]],
    controls: Controls,
    values_of: Callable[[Sequence[Example], Sequence[Sequence[Answer]]], Mapping[str, np.ndarray]],
    seed: int,
) -> None:
    """Writes bias.md, bias.json and length.csv.

    ``models`` holds each model's Answers by sample; ``values_of`` scores Answers to Examples, one value a case by
    metric.
    """
    examples = list(test)
    seen = [i for i, example in enumerate(examples) if example.images]
    tables: dict[str, dict[str, list[bias.Row]]] = {}
    cases = {}
    for name, rows in models.items():
        values = values_of(examples, rows)
        mine = tables[name] = {}
        if bias.ROTATED in controls and name in controls[bias.ROTATED][1]:
            turned, said = controls[bias.ROTATED]
            parsed = parse_predictions(said[name].samples[:1], turned, said[name].header)[0]
            mine["positions"] = bias.positions(examples, rows[0], list(turned), parsed, seed)
        without = {}
        for control in (bias.BLANK, bias.SWAPPED):
            if control in controls and name in controls[control][1]:
                changed, said = controls[control]
                answers = parse_predictions(said[name].samples, changed, said[name].header)
                without[control] = values_of(list(changed), answers)
        if without:
            own = {metric: column[seen] for metric, column in values.items()}
            mine["controls"] = bias.controls([examples[i] for i in seen], own, without, seed)
        mine["lengths"], cases[name] = bias.lengths(examples, rows[0], values)
        mine["subgroups"] = bias.subgroups(examples, values, seed)
    bias_tables.write(out, tables, cases)

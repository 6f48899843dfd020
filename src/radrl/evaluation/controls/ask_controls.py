"""Asks models the controls of `bias`, and makes its tables of what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.asked_examples import ChangedExamples
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.predictions import Collected
from radrl.evaluation.answers.sources import Shard, Source
from radrl.evaluation.controls import bias
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.example import Answer, Example
from radrl.manifest.example_set import ExampleSet
from radrl.recipe.schema import Recipe


class Control(NamedTuple):
    """The changed Examples of one control, and what each model that was asked said to them."""

    examples: ChangedExamples
    collected: dict[str, Collected]


class BiasTables(NamedTuple):
    """Of each model: its tables by name, and the rows of answer lengths, one a case."""

    tables: dict[str, dict[str, list[bias.Row]]]
    lengths: dict[str, list[bias.Row]]


def ask_controls(
    recipe: Recipe, sources: Sequence[Source], test: ExampleSet, folder: Path, shard: Shard | None
) -> dict[str, Control]:
    """Asks every model that is not a file the questions of each control; what is there already is not asked again."""
    seen = bias.with_images(test)
    sets = {
        bias.ROTATED: bias.rotated(test),
        bias.BLANK: bias.blank(seen),
        bias.SWAPPED: bias.swapped(seen, recipe.seed),
    }
    controls = {name: Control(examples, {}) for name, examples in sets.items() if len(examples)}
    for name, control in controls.items():
        for source in sources:
            if source.is_file:
                continue  # a file answers what it was asked
            collected = ask_model(recipe, source, control.examples, folder, control=name, shard=shard)
            if collected is not None:
                control.collected[source.name] = collected
    return controls


def bias_tables(
    test: ExampleSet, models: Mapping[str, list[list[Answer]]], controls: Mapping[str, Control], seed: int
) -> BiasTables:
    """Returns the tables of each model, whose Answers ``models`` holds by sample."""
    examples = list(test)
    seen = [i for i, example in enumerate(examples) if example.images]
    made = BiasTables({}, {})
    for name, samples in models.items():
        values = _headline_values(examples, samples)
        mine = made.tables[name] = {}
        asked = {kind: control for kind, control in controls.items() if name in control.collected}
        if rotated := asked.get(bias.ROTATED):
            answers = _parsed(rotated, name, samples=1)[0]
            mine["positions"] = bias.positions(examples, samples[0], list(rotated.examples), answers, seed)
        without = {
            kind: _headline_values(list(asked[kind].examples), _parsed(asked[kind], name))
            for kind in (bias.BLANK, bias.SWAPPED)
            if kind in asked
        }
        if without:
            own = {metric: column[seen] for metric, column in values.items()}
            mine["controls"] = bias.controls([examples[i] for i in seen], own, without, seed)
        mine["lengths"], made.lengths[name] = bias.lengths(examples, samples[0], values)
        mine["subgroups"] = bias.subgroups(examples, values, seed)
    return made


def _parsed(control: Control, model: str, samples: int | None = None) -> list[list[Answer]]:
    collected = control.collected[model]
    return parse_predictions(collected.samples[:samples], control.examples, collected.header)


def _headline_values(examples: Sequence[Example], samples: Sequence[Sequence[Answer]]) -> bias.Values:
    """Returns each headline metric's value a case, the mean over samples."""
    columns = score_cases(examples, samples).columns
    return {name: c.case_values for name, c in columns.items() if c.metric.headline and c.values is not None}

"""Models side by side: every metric with its interval, and paired differences to one or two base models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from radrl.errors import UserError, nearest
from radrl.evaluation.controls import baselines as trivial
from radrl.evaluation.metrics.records import CaseScores, Column, Metric, metrics_of
from radrl.evaluation.statistics.cells import (
    add_counts,
    cases_with_value,
    cell_of,
    correct,
    difference_of,
    on_common_cases,
    sd_of_samples,
)
from radrl.evaluation.statistics.intervals import SAMPLES, units
from radrl.evaluation.statistics.keys import PairKey, SideKey, ValueKey
from radrl.evaluation.statistics.resampling import (
    Resampled,
    SeedStatistics,
    permutation_p_values,
    resample_all,
    seed_statistics,
)
from radrl.evaluation.statistics.result import Cell, Comparison, Difference
from radrl.example import TASKS, Example
from radrl.manifest.independence import unit_of, units_in_words

TYPED = ("vqa_closed accuracy", "vqa_open accuracy", "token_f1", "token_recall", "label_f1", "label_f1_micro")
KINDS = {"vqa_closed": "closed", "vqa_open": "open", "classification": "labels"}


def compare(
    examples: Sequence[Example],
    models: Mapping[str, CaseScores | Sequence[CaseScores]],
    base: str,
    others_base: str | None = None,
    *,
    baselines: Collection[str] = (trivial.NAME,),
    samples: int = SAMPLES,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compares models on the same Examples.

    Args:
        examples: the cases.
        models: for each model its scores, or those of several training runs that differ in their seed.
        base: the model that all others are compared with; ``others_base`` a second one.
        baselines: the names among the models that are trivial; they stand first, and a model that does not reach one
            is marked.
        samples: resamples, and swaps of the permutation test.
        seed: the same one gives the same resamples for every model and metric.
        notes: lines a reader must see first: models were not decoded alike, say.

    Raises:
        UserError: a base is not among the models, or there are no cases.
        ValueError: a model was scored on another number of Examples.
    """
    for name in filter(None, (base, others_base)):
        if name not in models:
            raise UserError(f"no model '{name}'{nearest(name, models)} to compare with; there are: {', '.join(models)}")
    runs = {name: (one,) if isinstance(one, CaseScores) else tuple(one) for name, one in models.items()}
    for name, of_model in runs.items():
        for scores in of_model:
            if scores.cases != len(examples):
                raise ValueError(f"{name}: scores of {scores.cases} cases for {len(examples)} examples")
    patient = units([unit_of(example) for example in examples])
    trivials = tuple(name for name in runs if name in baselines)
    runs = dict(sorted(runs.items(), key=lambda item: item[0] not in trivials))  # else the order is kept
    metrics = metrics_of([scores for of_model in runs.values() for scores in of_model])
    bases = tuple(name for name in (base, others_base) if name)
    plan = _plan(runs, metrics, tuple(dict.fromkeys((*bases, *trivials))))
    resampled = resample_all(plan.figures, patient, samples, seed)
    p_values = permutation_p_values(plan.pairs, patient, samples, seed)
    differences = _differences(plan, metrics, resampled, p_values, trivials)
    cells = {
        name: {m.name: _cell_of(name, m, runs[name], plan, resampled, differences, bases, trivials) for m in metrics}
        for name in runs
    }
    return Comparison(
        base=base,
        others_base=others_base,
        models=tuple(runs),
        baselines=trivials,
        metrics=tuple(m for m in metrics if any(cells[name][m.name] for name in runs)),
        cells=cells,
        findings={name: add_counts([s.findings for s in of_model]) for name, of_model in runs.items()},
        labels={name: add_counts([s.labels for s in of_model]) for name, of_model in runs.items()},
        classes={name: add_counts([s.classes for s in of_model]) for name, of_model in runs.items()},
        empty={name: _add_numbers([s.empty for s in of_model]) for name, of_model in runs.items()},
        types=by_group(examples, runs, [question_type(e) for e in examples], TYPED, seed=seed),
        cases={task: count for task in TASKS if (count := sum(e.task == task for e in examples))},
        patients=int(patient.max()) + 1,
        units=units_in_words(examples),
        samples=samples,
        seed=seed,
        answers={name: sum(s.samples for s in of_model) for name, of_model in runs.items()},
        notes=tuple(notes),
    )


class Plan(NamedTuple):
    """What is resampled, and which columns of two models are compared."""

    figures: dict[ValueKey | SideKey, SeedStatistics]
    pairs: dict[PairKey, tuple[list[Column], list[Column]]]


def _plan(runs: Mapping[str, Sequence[CaseScores]], metrics: Sequence[Metric], targets: Sequence[str]) -> Plan:
    """Returns every metric that all training runs of a model have, and the pairs of models with the ``targets``."""
    plan = Plan({}, {})
    for metric in metrics:
        columns = {
            name: [s.columns[metric.name] for s in of_model if metric.name in s.columns]
            for name, of_model in runs.items()
        }
        columns = {name: own for name, own in columns.items() if own and len(own) == len(runs[name])}
        for name, mine in columns.items():
            plan.figures[ValueKey(name, metric.name)] = seed_statistics(mine)
            for to in targets:
                if to == name or to not in columns:
                    continue
                key = PairKey(name, to, metric.name)
                plan.pairs[key] = on_common_cases(mine, columns[to])
                for side, of_side in enumerate(plan.pairs[key]):
                    if of_side is not columns[(name, to)[side]]:  # not the same cases: resampled anew
                        plan.figures[SideKey(key, side)] = seed_statistics(of_side)
    return plan


def _differences(
    plan: Plan,
    metrics: Sequence[Metric],
    resampled: Mapping[ValueKey | SideKey, Resampled],
    p_values: Mapping[PairKey, float],
    trivials: Collection[str],
) -> dict[PairKey, Difference]:
    """Returns the difference of each pair that has one, its p corrected within its family."""
    by_name = {metric.name: metric for metric in metrics}
    raw: dict[PairKey, Difference] = {}
    for key, (mine, others) in plan.pairs.items():
        a = resampled.get(SideKey(key, 0)) or resampled[ValueKey(key.model, key.metric)]
        b = resampled.get(SideKey(key, 1)) or resampled[ValueKey(key.to, key.metric)]
        cases = min(cases_with_value(mine), cases_with_value(others))
        if one := difference_of(by_name[key.metric], key.to, a, b, cases, p_values.get(key)):
            raw[key] = one
    families: dict[tuple[str, bool, bool], list[PairKey]] = {}  # comparisons of baselines are families of their own
    for key in raw:
        families.setdefault((key.to, by_name[key.metric].headline, key.model in trivials), []).append(key)
    return {
        key: one
        for family in families.values()
        for key, one in zip(family, correct([raw[k] for k in family], [by_name[k.metric] for k in family]), strict=True)
    }


def _cell_of(
    name: str,
    metric: Metric,
    runs: Sequence[CaseScores],
    plan: Plan,
    resampled: Mapping[ValueKey | SideKey, Resampled],
    differences: Mapping[PairKey, Difference],
    bases: Sequence[str],
    trivials: Sequence[str],
) -> Cell | None:
    """Returns one model on one metric; None where the metric applies to no case."""
    key = ValueKey(name, metric.name)
    cell = cell_of(resampled[key], plan.figures[key].bounds) if key in plan.figures else None
    if cell is None:
        return None
    to_bases = [differences.get(PairKey(name, to, metric.name)) for to in bases]
    to_trivials = [differences.get(PairKey(name, to, metric.name)) for to in trivials] if not metric.trivial else []
    own = [scores.columns[metric.name] for scores in runs]
    return cell._replace(
        n=cases_with_value(own),
        differences=tuple(dict.fromkeys(one for one in to_bases if one)),
        below=tuple(one for one in to_trivials if one and metric.gain(one.mean) < 0),
        sample_sd=sd_of_samples(own),
    )


def question_type(example: Example) -> str | None:
    """Returns the kind of a question, ``meta['type']`` up to its colon; None where it has none or is no question."""
    kind = str(example.meta.get("type", "")).split(":")[0]
    return f"{KINDS[example.task]}: {kind}" if kind and example.task in KINDS else None


def by_group(
    examples: Sequence[Example],
    models: Mapping[str, CaseScores | Sequence[CaseScores]],
    groups: Sequence[str | None],
    metrics: Collection[str],
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Cell | None]]]:
    """Returns each model's metrics within groups of cases, ``[group][model][metric]``, with intervals over patients.

    ``groups`` names the group of each case (sex, view, question type), None for those of no group. A cell is None where
    the metric applies to no case of the group.
    """
    unit = units([unit_of(example) for example in examples])
    cells: dict[str, dict[str, dict[str, Cell | None]]] = {}
    for group in sorted({group for group in groups if group is not None}):
        rows = np.array([i for i, one in enumerate(groups) if one == group])
        figures: dict[ValueKey, SeedStatistics] = {}
        for name, one in models.items():
            runs = (one,) if isinstance(one, CaseScores) else tuple(one)
            for metric in metrics:
                columns = [scores.columns[metric] for scores in runs if metric in scores.columns]
                if columns and len(columns) == len(runs):
                    every = seed_statistics(columns)
                    of_group = tuple(tuple(s.take(rows) for s in of_seed) for of_seed in every.seeds)
                    figures[ValueKey(name, metric)] = every._replace(seeds=of_group)
        resampled = resample_all(figures, np.unique(unit[rows], return_inverse=True)[1], samples, seed)
        cells[group] = {name: dict.fromkeys(metrics) for name in models}
        for key, figure in figures.items():
            cases = int(max(statistic.there.sum() for of_seed in figure.seeds for statistic in of_seed))
            cell = cell_of(resampled[key], figure.bounds) if cases else None
            cells[group][key.model][key.metric] = cell._replace(n=cases) if cell else None
    return cells


def _add_numbers(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(one.get(name, 0) for one in counts) for name in counts[0]}

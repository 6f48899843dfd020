"""Models side by side: every metric with its interval, and paired differences to one or two base models."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from radrl.errors import UserError, nearest
from radrl.evaluation.controls import baselines as trivial
from radrl.evaluation.metrics.records import CaseScores, Column, FindingCounts, Metric, metrics_of
from radrl.evaluation.metrics.set_statistics import mean
from radrl.evaluation.statistics.intervals import SAMPLES, Resamples, holm, interval, units
from radrl.evaluation.statistics.resampling import Job, Resampled, job_of, permute, run
from radrl.evaluation.statistics.result import SIGNIFICANT, Cell, Comparison, Difference
from radrl.evaluation.statistics.seeds import over_seeds
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
    targets = tuple(dict.fromkeys(name for name in (base, others_base, *trivials) if name))
    jobs: dict[tuple[str, ...], Job] = {}
    pairs: dict[tuple[str, str, str], tuple[list[Column], list[Column]]] = {}
    for metric in metrics:
        columns = {
            name: [s.columns[metric.name] for s in of_model if metric.name in s.columns]
            for name, of_model in runs.items()
        }
        columns = {name: found for name, found in columns.items() if found and len(found) == len(runs[name])}
        for name, mine in columns.items():
            jobs[name, metric.name] = job_of(mine)
            for to in targets:
                if to != name and to in columns:
                    pairs[name, to, metric.name] = _common(mine, columns[to])
                    for side, of_side in enumerate(pairs[name, to, metric.name]):
                        if of_side is not columns[(name, to)[side]]:  # not the same cases: resampled anew
                            jobs[name, to, metric.name, str(side)] = job_of(of_side)
    resampled = run(jobs, patient, samples, seed)
    p_values = permute(pairs, patient, samples, seed)
    by_name = {metric.name: metric for metric in metrics}
    raw = {key: _difference(by_name[key[2]], key, pairs[key], resampled, p_values.get(key)) for key in pairs}
    raw = {key: one for key, one in raw.items() if one}
    corrected = _correct(raw, by_name, trivials)
    cells: dict[str, dict[str, Cell | None]] = {name: dict.fromkeys(by_name) for name in runs}
    for name in runs:
        for metric in metrics:
            if (name, metric.name) not in jobs:
                continue
            cell = _cell(resampled[name, metric.name], jobs[name, metric.name])
            if cell is None:
                continue
            to_base = [corrected.get((name, to, metric.name)) for to in (base, others_base) if to]
            to_trivial = [corrected.get((name, to, metric.name)) for to in trivials] if not metric.trivial else []
            own = [s.columns[metric.name] for s in runs[name]]
            cells[name][metric.name] = cell._replace(
                n=_cases(own),
                differences=tuple(dict.fromkeys(d for d in to_base if d)),
                below=tuple(d for d in to_trivial if d and metric.gain(d.mean) < 0),
                sample_sd=_sample_sd(own),
            )
    return Comparison(
        base=base,
        others_base=others_base,
        models=tuple(runs),
        baselines=trivials,
        metrics=tuple(m for m in metrics if any(cells[name][m.name] for name in runs)),
        cells=cells,
        findings={name: _add([s.findings for s in of_model]) for name, of_model in runs.items()},
        labels={name: _add([s.labels for s in of_model]) for name, of_model in runs.items()},
        classes={name: _add([s.classes for s in of_model]) for name, of_model in runs.items()},
        empty={name: _sum([s.empty for s in of_model]) for name, of_model in runs.items()},
        types=by_group(examples, runs, [question_type(e) for e in examples], TYPED, seed=seed),
        cases={task: count for task in TASKS if (count := sum(e.task == task for e in examples))},
        patients=int(patient.max()) + 1,
        units=units_in_words(examples),
        samples=samples,
        seed=seed,
        answers={name: sum(s.samples for s in of_model) for name, of_model in runs.items()},
        notes=tuple(notes),
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
    unit = np.asarray(units([unit_of(example) for example in examples]))
    found: dict[str, dict[str, dict[str, Cell | None]]] = {}
    for group in sorted({group for group in groups if group is not None}):
        rows = np.array([i for i, one in enumerate(groups) if one == group])
        jobs = {}
        cases = {}
        for name, one in models.items():
            runs = (one,) if isinstance(one, CaseScores) else tuple(one)
            for metric in metrics:
                columns = [one_run.columns[metric] for one_run in runs if metric in one_run.columns]
                if columns and len(columns) == len(runs):
                    job = job_of(columns)
                    taken = tuple(tuple(s.take(rows) for s in of_seed) for of_seed in job.seeds)
                    jobs[name, metric] = job._replace(seeds=taken)
                    cases[name, metric] = int(max(s.there.sum() for of_seed in taken for s in of_seed))
        resampled = run(jobs, np.unique(unit[rows], return_inverse=True)[1], samples, seed)
        found[group] = {name: dict.fromkeys(metrics) for name in models}
        for (name, metric), job in jobs.items():
            cell = _cell(resampled[name, metric], job) if cases[name, metric] else None
            found[group][name][metric] = cell._replace(n=cases[name, metric]) if cell else None
    return found


def _common(mine: list[Column], others: list[Column]) -> tuple[list[Column], list[Column]]:
    """Returns the columns of two models with only the cases both have a value for; themselves where these are all."""
    if any(column.own for column in (*mine, *others)):
        return mine, others
    known = [~np.isnan(column.by_case) for column in (*mine, *others)]
    every = np.logical_and.reduce(known)
    if all((every == one).all() for one in known):
        return mine, others
    return tuple(
        [Column(column.metric, np.where(every, column.by_case, np.nan)[None]) for column in side]
        for side in (mine, others)
    )  # type: ignore[return-value]


def _cell(one: Resampled, job: Job) -> Cell | None:
    value, count = float(one.found.values[0]), int(one.found.patients[0])
    if math.isnan(value):
        return None
    sd = float(np.std(one.by_seed, ddof=1)) if len(one.by_seed) > 1 else None
    if len(one.by_seed) > 1 and count > 1:
        low, high, _ = over_seeds(one.found, [one.by_seed])
        low, high = max(low, job.bounds[0]), min(high, job.bounds[1])
    else:
        low, high = (float(end[0]) for end in interval(one.found, np.array([job.bounds])))
    if math.isnan(low):
        return Cell(0, count, value, None, None, seeds=len(one.by_seed), seed_sd=sd)
    return Cell(0, count, value, low, high, seeds=len(one.by_seed), seed_sd=sd)


def _difference(
    metric: Metric,
    key: tuple[str, str, str],
    columns: tuple[list[Column], list[Column]],
    resampled: Mapping[tuple[str, ...], Resampled],
    p: float | None,
) -> Difference | None:
    """Returns a difference with its p not yet corrected; None where fewer than two patients have a say."""
    name, to, _ = key
    a = resampled.get((*key, "0"), resampled[name, metric.name])
    b = resampled.get((*key, "1"), resampled[to, metric.name])
    count = min(int(a.found.patients[0]), int(b.found.patients[0]))
    found = Resamples(
        a.found.values - b.found.values, a.found.draws - b.found.draws, a.found.left_out - b.found.left_out,
        np.array([count]),
    )  # fmt: skip
    if count < 2 or np.isnan(found.values[0]):
        return None
    test = "permutation over patients"
    seeds = [one.by_seed for one in (a, b) if len(one.by_seed) > 1]
    reach = metric.high - metric.low
    if seeds:
        low, high, p = over_seeds(found, seeds)
        test = "t over seeds and patients"
    else:
        low, high = (float(end[0]) for end in interval(found, np.array([[-reach, reach]])))
        if p is None:  # another number of samples or labels, so nothing can be swapped
            p, test = over_seeds(found, [])[2], "t over patients"
    n = min(_cases(side) for side in columns)
    return Difference(to, n, float(found.values[0]), low, high, p, p, "unclear", test)


def _correct(
    raw: Mapping[tuple[str, str, str], Difference], metrics: Mapping[str, Metric], trivials: Collection[str]
) -> dict[tuple[str, str, str], Difference]:
    """Returns the differences with p corrected in their family; comparisons of baselines are a family of their own."""
    families: dict[tuple[str, bool, bool], list[tuple[str, str, str]]] = {}
    for name, to, metric in raw:
        families.setdefault((to, metrics[metric].headline, name in trivials), []).append((name, to, metric))
    found = {}
    for keys in families.values():
        for key, p in zip(keys, holm([raw[key].p for key in keys]).tolist(), strict=True):
            gain = metrics[key[2]].gain(raw[key].mean)
            way = "unclear" if p >= SIGNIFICANT or not gain else "better" if gain > 0 else "worse"
            found[key] = raw[key]._replace(p_holm=p, way=way)
    return found


def _cases(columns: Sequence[Column]) -> int:
    """Returns how many cases have a say."""
    counts = [
        (~np.isnan(column.by_case)).sum() if column.values is not None else max(s.there.sum() for s in column.own)
        for column in columns
    ]
    return int(min(counts))


def _sample_sd(columns: Sequence[Column]) -> float | None:
    """Returns the standard deviation between samples of the value of the set, its mean over training runs."""
    found = []
    for column in columns:
        if column.values is None or len(column.values) < 2:
            return None
        rows = column.own or [mean(row) for row in column.values]
        ones = np.ones((1, column.values.shape[1]))
        found.append(np.std([s.at(ones)[0] for s in rows], ddof=1))
    return float(np.mean(found))


def _add(counts: Sequence[Mapping[str, FindingCounts]]) -> dict[str, FindingCounts]:
    names = sorted({name for one in counts for name in one}) if len(counts) > 1 else list(counts[0])
    none = FindingCounts(0, 0, 0)
    return {
        name: FindingCounts(*map(sum, zip(*(one.get(name, none) for one in counts), strict=True))) for name in names
    }


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(one.get(name, 0) for one in counts) for name in counts[0]}

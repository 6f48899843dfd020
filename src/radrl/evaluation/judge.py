"""What answers are worth: every model's answers scored, and the models compared. Nothing is asked or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from typing import NamedTuple

from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.predictions import Collected
from radrl.evaluation.controls.from_training import FromTraining, only_tasks
from radrl.evaluation.metrics.records import CaseScores
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.metrics.select_scorers import SelectedScorer
from radrl.evaluation.statistics.comparison import compare
from radrl.evaluation.statistics.result import Comparison
from radrl.example import Answer, Example, Task
from radrl.manifest.example_set import ExampleSet
from radrl.recipe.schema import Recipe
from radrl.scoring.registry import Scorer

Runs = list[list[list[Answer]]]  # by training seed, by sample, in the order of the Examples


class AnsweredModel(NamedTuple):
    """All answers of one model: by training seed (mostly one) and sample; the Header of the first seed."""

    header: Header
    runs: Runs


@dataclass(frozen=True)
class Judgement:
    """The result of an evaluation: the comparison, and behind it each model's answers and their scores by training
    seed, the trivial baselines among the models."""

    examples: list[Example]
    comparison: Comparison
    runs: dict[str, Runs]
    scores: dict[str, list[CaseScores]]


def answered_model(collected: Sequence[Collected], test: ExampleSet) -> AnsweredModel:
    """Returns the parsed answers of one model, whose training seeds are ``collected``."""
    runs = [parse_predictions(one.samples, test, one.header) for one in collected]
    return AnsweredModel(collected[0].header, runs)


def judge(
    recipe: Recipe,
    test: ExampleSet,
    models: Mapping[str, AnsweredModel],
    trivial: FromTraining,
    scorers: Sequence[SelectedScorer],
    *,
    second_base: str | None = None,
    notes: Sequence[str] = (),
) -> Judgement:
    """Scores and compares models and trivial baselines; differences are to the first model and to ``second_base``.
    ``notes`` are lines a reader must see first."""
    examples, workers = list(test), recipe.scoring.workers
    runs = {name: model.runs for name, model in models.items()}
    runs |= {name: [[row]] for name, row in trivial.answers.items()}
    scores = score_models(examples, runs, scorers, workers if isinstance(workers, int) else 0)
    scores |= {name: [only_tasks(one, examples, trivial.tasks) for one in scores[name]] for name in trivial.answers}
    comparison = compare(
        examples,
        scores,
        base=next(iter(models)),
        others_base=second_base,
        baselines=tuple(trivial.answers),
        seed=recipe.seed,
        notes=notes,
    )
    return Judgement(examples, comparison, runs, scores)


def score_models(
    examples: Sequence[Example],
    runs: Mapping[str, Runs],
    scorers: Sequence[SelectedScorer | tuple[Task, Scorer]] = (),
    workers: int = 0,
) -> dict[str, list[CaseScores]]:
    """Returns the scores of every training seed of every model.

    With ``workers`` above 1 they are scored in so many processes. Neural scorers and judges stay in this one: each
    process would load the model again.
    """
    named_runs = [(name, run) for name, of_model in runs.items() for run in of_model]
    every_run = [run for _, run in named_runs]
    if workers > 1 and all(scorer.kind == "cpu" for _, scorer, *_ in scorers):
        with ProcessPoolExecutor(min(workers, len(every_run)), get_context("spawn")) as pool:
            scored = list(pool.map(score_cases, repeat(examples), every_run, repeat(scorers)))
    else:
        scored = [score_cases(examples, run, scorers) for run in every_run]
    scores: dict[str, list[CaseScores]] = {name: [] for name in runs}
    for (name, _), one in zip(named_runs, scored, strict=True):
        scores[name].append(one)
    return scores

"""One evaluation: every model answers the same held-out questions, decoded alike; a table and a page come out.

Answers are collected here (`collect`, `baselines`, `bias`); what they are worth is said by `metrics`, `comparison` and
the page, all of which are called in `judge` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from radrl.boxes.notation import misfit
from radrl.commands import evaluate_bias
from radrl.errors import UserError, nearest
from radrl.evaluation.answers import judged
from radrl.evaluation.answers import predictions as store
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.header import RECIPE, Header
from radrl.evaluation.answers.parsed import parse_predictions
from radrl.evaluation.answers.predictions import Collected
from radrl.evaluation.answers.sources import Shard, Source
from radrl.evaluation.controls import baselines, from_training
from radrl.evaluation.controls.from_training import FromTraining, only
from radrl.evaluation.metrics.records import CaseScores
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.metrics.select_scorers import SelectedScorer, select_scorers
from radrl.evaluation.statistics.comparison import compare
from radrl.example import Answer, Example, Task
from radrl.images.sizes import seen_size
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.from_recipe import load_examples
from radrl.output import page
from radrl.output.protocol_notes import protocol_facts, protocol_notes
from radrl.output.result_files import write_outputs
from radrl.output.run_facts import decoding_differs, run_facts
from radrl.recipe import protocols
from radrl.recipe.schema import Recipe
from radrl.recipe.sections import ColdStart
from radrl.scoring.registry import Scorer
from radrl.support.files import write_text

Runs = list[list[list[Answer]]]  # by training seed, by sample, in the order of the Examples


class Model(NamedTuple):
    """All answers of one model: by training seed (mostly one) and sample; the Header of the first seed."""

    header: Header
    runs: Runs


def run_evaluation(
    recipe: Recipe,
    models: Mapping[str, tuple[str, bool]],
    out: Path,
    *,
    second_base: str | None = None,
    title: str = "Evaluation",
    extra_facts: Mapping[str, Any] | None = None,
    shard: Shard | None = None,
    look_for_bias: bool = False,
) -> Path:
    """Judges models on the recipe's test data and writes predictions, table and page to ``out``.

    What ``out`` holds of an earlier, stopped call is taken up.

    Args:
        models: for each name where its answers come from (see `collect.Source`) and whether it is asked to think.
            Differences are to the first one.
        second_base: another model that all are compared with.
        title: heading of the page.
        extra_facts: groups of facts for the page.
        shard: collect this part of the predictions only; nothing is scored.
        look_for_bias: ask each model the controls of `bias` too, and write bias.md, bias.json and length.csv.

    Returns:
        The page; with ``shard`` the folder of predictions.

    Raises:
        UserError: names collide, predictions lack cases or were made otherwise, a backend fails for good.
    """
    recipe = protocols.apply(recipe)
    test, folder = load_examples(recipe, "test"), out / "predictions"
    # what is missing is said before anything is generated
    select_scorers(recipe, Counter(example.task for example in test))
    sources = [Source(name, start, thinking) for name, (start, thinking) in models.items()]
    _check_names(list(models), second_base)
    judged.check_names(recipe, models)
    if shard is not None and any(source.is_file for source in sources):
        raise UserError("--shard is for models that are asked; leave files of predictions to the last call")
    _keep_recipe(recipe, folder)
    found: dict[str, Model] = {}
    for source in sources:
        collected = ask_model(recipe, source, test, folder, shard=shard)
        if collected is not None:
            found[source.name] = _model([collected], test)
    if look_for_bias:
        controls = evaluate_bias.collect_controls(recipe, sources, test, folder, shard)
    if shard is not None:
        return folder
    trivial = from_training.look(recipe, test)
    if look_for_bias:
        rows = {name: model.runs[0] for name, model in found.items()}
        evaluate_bias.write(out, test, rows, controls, _values, recipe.seed)
    facts = {
        "title": title,
        **_facts(recipe, test, found),
        **(extra_facts or {}),
    }
    return judge(recipe, test, found, trivial, out, facts, second_base=second_base, logs=_logs(models))


def run_comparison(
    models: Mapping[str, Sequence[tuple[Path, bool]]],
    out: Path,
    recipe: Recipe,
    *,
    title: str = "Comparison",
    second_base: str | None = None,
) -> Path:
    """Compares finished evaluations of the recipe's test data; nothing is generated.

    Args:
        models: for each name its files of predictions, one a training seed, and whether they were asked to think
            (only looked at for files without a Header). Differences are to the first one.
        out: folder for table and page.
        recipe: names the test data, and maybe the training data the trivial baselines come from.

    Returns:
        The page.

    Raises:
        UserError: as in `run_evaluation`, or the seeds of a model were decoded differently.
    """
    recipe = protocols.apply(recipe)
    test = load_examples(recipe, "test")
    _check_names(list(models), second_base)
    found = {}
    for name, files in models.items():
        folder = out / "predictions"
        many = len(files) > 1
        each = [
            ask_model(recipe, Source(f"{name} seed {k}" if many else name, str(file), thinking, name), test, folder)
            for k, (file, thinking) in enumerate(files, 1)
        ]
        runs = [one for one in each if one is not None]
        for one in runs[1:]:
            if differing := decoding_differs(runs[0].header, one.header):
                raise UserError(
                    f"--model {name}: its seeds were decoded differently ({differing}); evaluate them alike"
                )
        found[name] = _model(runs, test)
    _keep_recipe(recipe, out / "predictions")
    facts = {"title": title, **_facts(recipe, test, found)}
    return judge(recipe, test, found, from_training.look(recipe, test), out, facts, second_base=second_base, logs={})


def _keep_recipe(recipe: Recipe, folder: Path) -> None:
    """Writes what of the recipe an evaluation depends on beside the predictions."""
    kept = recipe.model_copy(update={"sft": {}, "grpo": {}, "coldstart": ColdStart()})
    write_text(folder / RECIPE, kept.to_yaml())


def judge(
    recipe: Recipe,
    test: ExampleSet,
    models: Mapping[str, Model],
    trivial: FromTraining,
    out: Path,
    facts: Mapping[str, Any],
    *,
    second_base: str | None,
    logs: Mapping[str, list[dict[str, Any]]],
) -> Path:
    """Scores and compares what was collected, and writes comparison, table and page. The one place that calls the
    half of evaluation that knows metrics and statistics."""
    examples, workers, facts = list(test), recipe.scoring.workers, trivial.into(facts)
    runs = {name: model.runs for name, model in models.items()}
    runs |= {name: [[row]] for name, row in trivial.answers.items()}
    selection = select_scorers(recipe, Counter(example.task for example in examples))
    scores = score_all(examples, runs, selection.scorers, workers if isinstance(workers, int) else 0)
    scores |= {name: [only(one, examples, trivial.tasks) for one in scores[name]] for name in trivial.answers}
    if told := protocol_facts(recipe, selection.left_out):
        facts = {**facts, "Protocol": told}
    notes = protocol_notes(recipe, selection.left_out, {name: model.header for name, model in models.items()})
    comparison = compare(
        examples,
        scores,
        base=next(iter(models)),
        others_base=second_base,
        baselines=tuple(trivial.answers),
        seed=recipe.seed,
        notes=(*notes, *selection.unused, *facts.get("Warnings", {}).values()),
    )
    headers = {name: asdict(model.header) for name, model in models.items()}
    write_outputs(out, comparison, examples, scores, {**facts, "Predictions": headers})
    file = out / "page.html"
    first = {name: of_model[0][0] for name, of_model in runs.items()}
    of_first = {name: of_model[0] for name, of_model in scores.items()}
    page.write(file, comparison, examples, first, of_first, logs, test.roots, facts)
    return file


def score_all(
    examples: Sequence[Example],
    runs: Mapping[str, Runs],
    scorers: Sequence[SelectedScorer | tuple[Task, Scorer]] = (),
    workers: int = 0,
) -> dict[str, list[CaseScores]]:
    """Returns the scores of every training seed of every model.

    With ``workers`` above 1 they are scored in so many processes. Neural scorers and judges stay in this one: each
    process would load the model again.
    """
    jobs = [(name, run) for name, of_model in runs.items() for run in of_model]
    if workers > 1 and all(scorer.kind == "cpu" for _, scorer, *_ in scorers):
        with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
            found = list(pool.map(score_cases, repeat(examples), [run for _, run in jobs], repeat(scorers)))
    else:
        found = [score_cases(examples, run, scorers) for _, run in jobs]
    scores: dict[str, list[CaseScores]] = {name: [] for name in runs}
    for (name, _), one in zip(jobs, found, strict=True):
        scores[name].append(one)
    return scores


def _values(examples: Sequence[Example], rows: Sequence[Sequence[Answer]]) -> dict[str, np.ndarray]:
    """Returns each headline metric's value a case, the mean over samples."""
    found = score_cases(list(examples), rows).columns
    return {name: c.by_case for name, c in found.items() if c.metric.headline and c.values is not None}


def _model(collected: Sequence[Collected], examples: Sequence[Example]) -> Model:
    runs = [parse_predictions(one.samples, examples, one.header) for one in collected]
    return Model(collected[0].header, runs)


def _facts(recipe: Recipe, test: ExampleSet, models: Mapping[str, Model]) -> dict[str, Any]:
    """Returns the facts of the run."""
    headers = {name: model.header for name, model in models.items()}
    return run_facts(recipe.seed, test, headers, _misfits(test, models))


def _misfits(test: ExampleSet, models: Mapping[str, Model]) -> list[str]:
    """Returns a line for each model most of whose boxes lie outside its convention and fit another."""
    asked = [i for i, example in enumerate(test) if example.task == "grounding"]
    lines = []
    for name, model in models.items():
        rows = [row for run in model.runs for row in run]
        texts = [row[i].text for row in rows for i in asked]
        images, box_format = model.header.images, model.header.style.box_format
        if box_format != "pixel" and misfit(name, texts, box_format) is None:
            continue  # which is mostly so; then no image is opened
        sizes = [seen_size(test.sizes(i), images) for i in asked] * len(rows)
        lines.append(misfit(name, texts, box_format, sizes))
    return [line for line in lines if line]


def _check_names(names: Sequence[str], second_base: str | None) -> None:
    if second_base is not None and second_base not in names:
        near = nearest(second_base, names)
        raise UserError(f"--against {second_base}: no such model{near}; there are: {', '.join(names)}")
    files: dict[str, str] = {}
    for name in names:
        if name in baselines.NAMES:
            raise UserError(f"--model {name}=…: that is the name of a trivial baseline; choose another")
        other = files.setdefault(store.file_name(name), name)
        if other != name:
            raise UserError(f"--model: '{other}' and '{name}' would share a file; change one name")


def _logs(models: Mapping[str, tuple[str, bool]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the training log of each model that is a stage's."""
    from radrl.training.stage import Stage

    found = {name: Stage(Path(start).parent, name).log() for name, (start, _) in models.items()}
    return {name: log for name, log in found.items() if log}

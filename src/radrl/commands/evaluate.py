"""One evaluation: every model answers the same held-out questions, decoded alike; tables and a page come out.

The way of the data: recipe, Examples, answers (`ask_model`), their worth (`judge`), files (`write_evaluation`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.boxes.misfit import misfit
from radrl.commands import trained_models
from radrl.errors import UserError, nearest
from radrl.evaluation.answers import model_settings
from radrl.evaluation.answers.ask_model import ask_model
from radrl.evaluation.answers.header import RECIPE
from radrl.evaluation.answers.predictions import file_name
from radrl.evaluation.answers.sources import Shard, Source
from radrl.evaluation.controls import baselines, from_training
from radrl.evaluation.controls.ask_controls import ask_controls, bias_tables
from radrl.evaluation.judge import AnsweredModel, answered_model, judge
from radrl.evaluation.metrics.select_scorers import Selection, select_scorers
from radrl.images.sizes import seen_size
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.from_recipe import load_examples
from radrl.output.bias_tables import write_bias_tables
from radrl.output.page.first_look import Training
from radrl.output.protocol_notes import protocol_facts, protocol_notes
from radrl.output.run_facts import decoding_differs, run_facts
from radrl.output.write_evaluation import write_evaluation
from radrl.recipe.apply_protocol import with_protocol
from radrl.recipe.schema import Recipe
from radrl.recipe.sections import ColdStart
from radrl.support.files import write_text


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

    Answers that an earlier, stopped call has left in ``out`` are not asked for again.

    Args:
        models: for each name where its answers come from (a ``Source``) and whether it is asked to think.
            Differences are to the first one.
        second_base: another model that all are compared with.
        title: heading of the page.
        extra_facts: groups of facts for the page.
        shard: collect this part of the predictions only; nothing is scored.
        look_for_bias: ask each model the controls too, and write bias.md, bias.json and length.csv.

    Returns:
        The page; with ``shard`` the folder of predictions.

    Raises:
        UserError: names collide, predictions lack cases or were made otherwise, a backend fails for good.
    """
    recipe = with_protocol(recipe)
    test, folder = load_examples(recipe, "test"), out / "predictions"
    selection = _select_scorers(recipe, test)  # what is missing is said before anything is generated
    sources = [Source(name, start, thinking) for name, (start, thinking) in models.items()]
    _check_names(list(models), second_base)
    model_settings.check_model_names(recipe, models)
    if shard is not None and any(source.is_file for source in sources):
        raise UserError("--shard is for models that are asked; leave files of predictions to the last call")
    _keep_recipe(recipe, folder)
    collected = {source.name: ask_model(recipe, source, test, folder, shard=shard) for source in sources}
    answered = {name: answered_model([one], test) for name, one in collected.items() if one is not None}
    controls = ask_controls(recipe, sources, test, folder, shard) if look_for_bias else {}
    if shard is not None:
        return folder
    trivial = from_training.baselines_and_leaks(recipe, test)
    if look_for_bias:
        first_runs = {name: model.runs[0] for name, model in answered.items()}
        write_bias_tables(out, bias_tables(test, first_runs, controls, recipe.seed))
    facts = {"title": title, **_facts(recipe, test, answered), **(extra_facts or {})}
    headers = {name: model.header for name, model in answered.items()}
    training = trained_models.of_stages({name: start for name, (start, _) in models.items()}, headers)
    return _finish(recipe, test, answered, trivial, selection, out, facts, second_base, _logs(models), training)


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
    recipe = with_protocol(recipe)
    test = load_examples(recipe, "test")
    _check_names(list(models), second_base)
    answered = {name: _finished_model(recipe, name, files, test, out) for name, files in models.items()}
    _keep_recipe(recipe, out / "predictions")
    facts = {"title": title, **_facts(recipe, test, answered)}
    trivial = from_training.baselines_and_leaks(recipe, test)
    headers = {name: model.header for name, model in answered.items()}
    training = trained_models.kept({name: of_seeds[0][0] for name, of_seeds in models.items()}, headers)
    selection = _select_scorers(recipe, test)
    return _finish(recipe, test, answered, trivial, selection, out, facts, second_base, {}, training)


def _finished_model(
    recipe: Recipe, name: str, files: Sequence[tuple[Path, bool]], test: ExampleSet, out: Path
) -> AnsweredModel:
    """Returns the answers of a model whose training seeds have a file of predictions each."""
    sources = [
        Source(f"{name} seed {k}" if len(files) > 1 else name, str(file), thinking, name)
        for k, (file, thinking) in enumerate(files, 1)
    ]
    each = [ask_model(recipe, source, test, out / "predictions") for source in sources]
    runs = [one for one in each if one is not None]
    for one in runs[1:]:
        if differing := decoding_differs(runs[0].header, one.header):
            raise UserError(f"--model {name}: its seeds were decoded differently ({differing}); evaluate them alike")
    return answered_model(runs, test)


def _finish(
    recipe: Recipe,
    test: ExampleSet,
    models: Mapping[str, AnsweredModel],
    trivial: from_training.FromTraining,
    selection: Selection,
    out: Path,
    facts: Mapping[str, Any],
    second_base: str | None,
    logs: Mapping[str, list[dict[str, Any]]],
    training: Mapping[str, Training],
) -> Path:
    """Judges what was answered, and writes all that comes of it; returns the page."""
    headers = {name: model.header for name, model in models.items()}
    facts = trivial.into(facts)
    if of_protocol := protocol_facts(recipe, selection.left_out):
        facts = {**facts, "Protocol": of_protocol}
    notes = protocol_notes(recipe, selection.left_out, headers)
    notes += [*selection.unused, *facts.get("Warnings", {}).values()]
    judgement = judge(recipe, test, models, trivial, selection.scorers, second_base=second_base, notes=notes)
    return write_evaluation(out, judgement, test, headers, facts, logs, training)


def _select_scorers(recipe: Recipe, test: ExampleSet) -> Selection:
    return select_scorers(recipe, Counter(example.task for example in test))


def _keep_recipe(recipe: Recipe, folder: Path) -> None:
    """Writes what of the recipe an evaluation depends on beside the predictions."""
    kept = recipe.model_copy(update={"sft": {}, "grpo": {}, "coldstart": ColdStart()})
    write_text(folder / RECIPE, kept.to_yaml())


def _facts(recipe: Recipe, test: ExampleSet, models: Mapping[str, AnsweredModel]) -> dict[str, Any]:
    """Returns the facts of the run."""
    headers = {name: model.header for name, model in models.items()}
    return run_facts(recipe.seed, test, headers, _misfits(test, models))


def _misfits(test: ExampleSet, models: Mapping[str, AnsweredModel]) -> list[str]:
    """Returns a line for each model most of whose boxes lie outside its convention and fit another."""
    grounding = [i for i, example in enumerate(test) if example.task == "grounding"]
    lines = []
    for name, model in models.items():
        rows = [row for run in model.runs for row in run]
        texts = [row[i].text for row in rows for i in grounding]
        images, box_format = model.header.images, model.header.style.box_format
        if box_format != "pixel" and misfit(name, texts, box_format) is None:
            continue  # which is mostly so; then no image is opened
        sizes = [seen_size(test.sizes(i), images) for i in grounding] * len(rows)
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
        other = files.setdefault(file_name(name), name)
        if other != name:
            raise UserError(f"--model: '{other}' and '{name}' would share a file; change one name")


def _logs(models: Mapping[str, tuple[str, bool]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the training log of each model that is a stage's."""
    from radrl.training.stage import Stage

    found = {name: Stage(Path(start).parent, name).log() for name, (start, _) in models.items()}
    return {name: log for name, log in found.items() if log}

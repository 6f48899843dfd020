"""Asks one model and keeps what it says in files that survive a stop: finished cases are never asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from radrl.evaluation.answers.asked_examples import AskedExamples
from radrl.evaluation.answers.backend import Ask, Backend, Completion
from radrl.evaluation.answers.copy_file import copy_file
from radrl.evaluation.answers.header import begin
from radrl.evaluation.answers.predictions import (
    Collected,
    Prediction,
    arrange_by_sample,
    file_name,
    prediction_writer,
    read_predictions,
    write_predictions,
)
from radrl.evaluation.answers.sources import Shard, Source
from radrl.recipe.schema import Recipe
from radrl.support.progress import progress_bar


def ask_model(
    recipe: Recipe,
    source: Source,
    examples: AskedExamples,
    folder: Path,
    *,
    control: str | None = None,
    shard: Shard | None = None,
) -> Collected | None:
    """Returns what a model says to the Examples, asking for what is not yet in ``folder``; None for one shard.

    Several processes may each take a shard; the call without one reads what they have finished, asks for the rest
    and leaves one file in the manifest's order. ``control`` names a changed set of Examples (blank images, say).

    Raises:
        UserError: predictions there were made with other settings; a file of predictions lacks cases, has one twice or
            has unknown ones; a backend fails for good.
    """
    path = folder / f"{file_name(source.name + (f' ~ {control}' if control else ''))}.jsonl"
    if source.is_file:
        return copy_file(recipe, source, examples, path)
    backend = open_backend(recipe, source, examples)
    header = backend.header
    if control:
        header = replace(header, images={**header.images, "control": control})
    mine = path if shard is None else path.with_name(f"{path.stem}.shard-{shard.k}-of-{shard.n}.jsonl")
    begin(mine, header)
    with prediction_writer(mine) as append:
        parts = [mine, *(part for part in _parts(path) if part != mine)]
        for part in parts[1:]:
            begin(part, header)
            if shard is None:
                with prediction_writer(part):  # refused while another process writes it
                    pass
        answered = {(one.id, one.sample) for part in parts for one in read_predictions(part, torn_line_ends=True)}
        rows = range(len(examples)) if shard is None else range(shard.k - 1, len(examples), shard.n)
        asks = [(i, sample) for i in rows for sample in range(header.samples)]
        unanswered = [(i, sample) for i, sample in asks if (examples[i].id, sample) not in answered]
        if unanswered:
            name = f"{source.name} ({control})" if control else source.name
            _ask(backend, name, examples, unanswered, len(asks), header.settings, append)
    if shard is not None:
        return None
    predictions = chain.from_iterable(read_predictions(part, torn_line_ends=True) for part in parts)
    samples = arrange_by_sample(predictions, examples, header.samples, path)
    if unanswered or len(parts) > 1:
        write_predictions(path, samples)
        for part in parts[1:]:
            part.unlink()
            part.with_suffix(".json").unlink(missing_ok=True)
    return Collected(header, samples)


def open_backend(recipe: Recipe, source: Source, examples: AskedExamples) -> Backend:
    """Returns what asks a model: its endpoint, or the recipe's ``evaluation.backend``. No weights are loaded yet.

    Raises:
        UserError: the model cannot be asked as the recipe says.
    """
    # Imported late, as they need torch: to read files of predictions takes a second and little memory without it.
    if source.is_endpoint:
        from radrl.evaluation.answers.endpoint_backend import EndpointBackend as Chosen
    elif recipe.evaluation.backend == "vllm":
        from radrl.evaluation.answers.vllm_backend import VllmBackend as Chosen
    else:
        from radrl.evaluation.answers.transformers_backend import TransformersBackend as Chosen
    return Chosen(recipe, source, examples)


def _ask(
    backend: Backend,
    name: str,
    examples: AskedExamples,
    unanswered: Sequence[Ask],
    total: int,
    settings: str,
    append: Callable[[Iterable[Prediction]], None],
) -> None:
    """Has the backend answer, and appends each batch of completions as soon as it is there."""
    with progress_bar() as bar:
        task = bar.add_task(f"Evaluate {name}", total=total, completed=total - len(unanswered), note="")

        def done(batch: Sequence[Completion]) -> None:
            append(Prediction(examples[c.index].id, c.sample, c.text, c.tokens, settings) for c in batch)
            bar.advance(task, len(batch))

        backend.answer(unanswered, done)


def _parts(path: Path) -> list[Path]:
    return [p for p in [path, *sorted(path.parent.glob(f"{path.stem}.shard-*-of-*.jsonl"))] if p.is_file()]

"""Answers that are read from a file of predictions, and kept beside those of the models that are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from radrl.evaluation.answers import model_settings
from radrl.evaluation.answers.digests import manifest_digest
from radrl.evaluation.answers.foreign import read_foreign
from radrl.evaluation.answers.header import begin, read_header
from radrl.evaluation.answers.predictions import Collected, arrange_by_sample, write_predictions
from radrl.evaluation.answers.sources import Source
from radrl.example import Example
from radrl.recipe.schema import Recipe


def copy_file(recipe: Recipe, source: Source, examples: Sequence[Example], path: Path) -> Collected:
    """Returns the predictions of a file, and writes them to ``path`` in our form, their Header beside it.

    Raises:
        UserError: the file lacks cases, has one twice or unknown ones; its Header says otherwise than the recipe; or
            ``path`` holds answers that a model was asked for.
    """
    file, name = Path(source.start), source.known_as
    header, rows = read_foreign(file, examples, model_settings.prompt_style(recipe, name, source.thinking))
    if header.backend == "file":
        header = replace(header, images={**header.images, **model_settings.file_image_facts(recipe, name)})
    else:
        model_settings.check_prompt_style(recipe, name, header, file)
    header = replace(header, model=source.name, hashes={**header.hashes, "manifest": manifest_digest(examples)})
    samples = arrange_by_sample(rows, examples, header.samples, file)
    settings = header.settings
    samples = [[one._replace(settings=settings) for one in row] for row in samples]
    beside = path.with_suffix(".json")
    if beside.is_file() and read_header(beside).backend != "file":
        begin(path, header)  # answers that a model was asked for are not overwritten by others
    if not (path.is_file() and path.samefile(file)):
        write_predictions(path, samples)
        header.save(beside)
    return Collected(header, samples)

"""``radrl evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.commands.cli.options import Against, Overrides, RecipeFile, read_and_check
from radrl.errors import UserError


def evaluate(
    recipe: RecipeFile,
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PLACE",
            help="a model to judge: a folder, a hub id, endpoint:NAME or a file of predictions; "
            "NAME=PLACE/think asks it to think",
        ),
    ],
    out: Annotated[Path, typer.Option(help="the folder for table, page and predictions; a stopped run goes on there")],
    overrides: Overrides = [],  # noqa: B006
    samples: Annotated[int | None, typer.Option(help="completions of each Example (evaluation.samples)")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy (evaluation.temperature)")] = None,
    against: Against = None,
    shard: Annotated[str | None, typer.Option(metavar="K/N", help="only collect this part of the predictions")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="look for shortcuts too: bias.md")] = False,
) -> None:
    """Judge models on the recipe's test data; differences are to the first one, and to --against."""
    from radrl.commands.evaluate import run_evaluation
    from radrl.evaluation.answers.sources import Shard

    models = _models(model)
    given = {"samples": samples, "temperature": temperature}
    overrides = [*overrides, *(f"evaluation.{key}={value}" for key, value in given.items() if value is not None)]
    part = Shard.parse(shard) if shard is not None else None
    checked = read_and_check(recipe, overrides)
    page = run_evaluation(checked, models, out, second_base=against, shard=part, look_for_bias=bias)
    print(f"Predictions: {page}" if part else f"Page: {page}")


def _models(given: list[str]) -> dict[str, tuple[str, bool]]:
    """Returns for each name of ``--model`` its place and whether it is asked to think. Raises UserError."""
    models: dict[str, tuple[str, bool]] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not equals or not name or not place:
            raise UserError(f"--model {text}: write NAME=FOLDER, such as sft=runs/lungs/sft/model")
        if name in models:
            raise UserError(f"--model {text}: there is a model '{name}' already; choose another name")
        models[name] = (place.removesuffix("/think"), place.endswith("/think"))
    return models

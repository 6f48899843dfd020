"""``radrl check-run``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from radrl.commands.cli.options import Overrides, RecipeFile, Start, read_and_check


class StageName(StrEnum):
    """What a recipe can be checked for."""

    sft = "sft"
    coldstart = "coldstart"
    grpo = "grpo"
    evaluate = "evaluate"


def check_run(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    stage: Annotated[
        StageName | None, typer.Option(help="the stage to check; without it, those that the recipe has a section of")
    ] = None,
    start: Start = None,
    name: Annotated[str | None, typer.Option(help="the stage's folder below the recipe's out")] = None,
    processes: Annotated[int, typer.Option(help="how many GPUs it will run on", min=1)] = 1,
) -> None:
    """Look for mistakes before a run, without a GPU and without weights: the checks that training begins with."""
    checked = read_and_check(recipe, overrides, start, training=stage is not StageName.evaluate)
    from radrl.commands.check_run import print_checks

    print_checks(checked, None if stage is None else stage.value, name, processes)

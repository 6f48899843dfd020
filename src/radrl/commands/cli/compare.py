"""``radrl compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.commands.cli.options import Against, Overrides, read_and_check


def compare(
    out: Annotated[Path, typer.Option(help="the folder for table and page")],
    folders: Annotated[list[Path] | None, typer.Argument(metavar="FOLDER", help="finished evaluations")] = None,
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PLACE,…", help="an evaluation folder or a file of predictions; several are training seeds"
        ),
    ] = [],  # noqa: B006
    recipe: Annotated[
        Path | None, typer.Option(help="names the data; without it the recipe of the first evaluation")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    against: Against = None,
) -> None:
    """Compare finished evaluations over the same test data; differences are to the first model, and to --against."""
    from radrl.commands.evaluate import run_comparison
    from radrl.evaluation.answers.finished_runs import find_predictions, recipe_of

    files = find_predictions(folders or [], model)
    file = recipe_of(folders or [], files) if recipe is None else recipe
    print(f"Page: {run_comparison(files, out, read_and_check(file, overrides), second_base=against)}")

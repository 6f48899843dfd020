"""What several commands share: options, and how the recipe that a command names is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from radrl.recipe.schema import Recipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="the recipe, a YAML file")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="change a key of the recipe")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint of this run")]
Restart = Annotated[
    bool, typer.Option("--restart", help="delete this run's checkpoints and model and start from the beginning")
]
Start = Annotated[str | None, typer.Option(help="the model to start from, instead of the recipe's model.start")]
Against = Annotated[str | None, typer.Option(metavar="NAME", help="a second model that all are compared with")]


def read_and_check(file: Path, overrides: list[str], start: str | None = None, *, training: bool = False) -> Recipe:
    """Returns the recipe of a command with its ``--set`` and ``--start``, checked.

    ``training``: its manifests begin to be read in the background, while the libraries are imported.

    Raises:
        UserError: something in it is wrong, or a training command was started in a wrong way.
    """
    from radrl.commands.load_recipe import check_recipe
    from radrl.manifest.from_recipe import begin_reading
    from radrl.recipe.schema import read_recipe
    from radrl.support import processes

    if start is not None:
        folder = Path(start).expanduser()
        place = str(folder.resolve()) if folder.is_dir() else start
        with_start = [*overrides, f"model.start={json.dumps(place, ensure_ascii=False)}"]
        if (folder.is_dir() or start != "tiny") and read_recipe(file, overrides).model.image_size is not None:
            with_start.append("model.image_size=null")  # it is for 'tiny' only
        overrides = with_start
    recipe = read_recipe(file, overrides)
    if training:
        processes.check_launch()
        begin_reading(recipe)
    no_foreign_bars()
    check_recipe(recipe)
    return recipe


def no_foreign_bars() -> None:
    """Switches transformers' bars for loading and saving off: they would break ours."""
    import transformers

    transformers.utils.logging.disable_progress_bar()

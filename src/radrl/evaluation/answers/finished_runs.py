"""Which files `radrl compare` means: the predictions in finished evaluation folders, or files named one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from radrl.errors import UserError, nearest
from radrl.evaluation.answers.header import RECIPE, read_header

Files = dict[str, list[tuple[Path, bool]]]  # by model; a file a training seed, and whether it was asked to think


def find_predictions(folders: Sequence[Path], named: Sequence[str]) -> Files:
    """Returns the models of finished evaluations, then those named ``NAME=PLACE[,PLACE…]``, several being seeds.

    A place is a file of predictions (``/think`` after it where it was asked to think and has no Header), or an
    evaluation folder: its model of that name, or its only one. A model of the same name in two folders gets the
    folder's name after its own.

    Raises:
        UserError: a place holds no predictions, or not those that are asked for.
    """
    files: Files = {}
    each = [(folder, models_in(folder)) for folder in folders]
    times = [name for _, models in each for name in models]
    for folder, models in each:
        for name, file in models.items():
            full = name if times.count(name) == 1 else f"{name} ({folder.resolve().name})"
            if full in files:
                raise UserError(f"{folder}: '{full}' stands twice; name the models with --model NAME=FOLDER")
            files[full] = [(file, False)]
    for item in named:
        name, equals, places = item.partition("=")
        if not equals or not name or not places:
            raise UserError(f"--model {item}: write NAME=FOLDER, or NAME=FOLDER1,FOLDER2 for training seeds")
        if name in files:
            raise UserError(f"--model {item}: there is a model '{name}' already; choose another name")
        files[name] = [_place(name, place) for place in places.split(",")]
        if len({path.resolve() for path, _ in files[name]}) < len(files[name]):
            raise UserError(f"--model {item}: one file stands twice; seeds are different training runs")
    if not files:
        raise UserError("name finished evaluations to compare: radrl compare runs/a runs/b --out runs/compared")
    return files


def _place(name: str, place: str) -> tuple[Path, bool]:
    thinking = place.endswith("/think")
    path = Path(place.removesuffix("/think"))
    if not path.is_dir():
        return path, thinking
    models = models_in(path)
    if name in models or len(models) == 1:
        return models.get(name) or next(iter(models.values())), thinking
    raise UserError(f"--model {name}={place}: no '{name}'{nearest(name, models)} there, only {', '.join(models)}")


def models_in(folder: Path) -> dict[str, Path]:
    """Returns the file of predictions of each model that was evaluated in a folder, as its table orders them; controls
    are left out.

    Raises:
        UserError: there is none, or a shard is not yet put together with the others.
    """
    models = {}
    for path in sorted((folder / "predictions").glob("*.json")):
        header = read_header(path)
        if "control" in header.images:
            continue
        if ".shard-" in path.name and header.model != path.stem:
            raise UserError(f"{path}: a shard; run 'radrl evaluate' without --shard to put them together first")
        models[header.model] = path.with_suffix(".jsonl")
    if not models:
        raise UserError(f"{folder}: holds no finished evaluation (predictions/*.jsonl with headers); evaluate first")
    order = _order(folder)
    return dict(sorted(models.items(), key=lambda item: order.get(item[0], len(order))))


def _order(folder: Path) -> dict[str, int]:
    """Returns the place of each model in the table that was made then; nothing where there is none."""
    try:
        models = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["models"]
        return {name: place for place, name in enumerate(models)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def recipe_of(folders: Sequence[Path], files: Files) -> Path:
    """Returns the file of the recipe that the first evaluation was made with, which names the test and training data.

    Raises:
        UserError: there is none.
    """
    places = [folder / "predictions" for folder in folders] + [f.parent for each in files.values() for f, _ in each]
    for place in places:
        if (place / RECIPE).is_file():
            return place / RECIPE
    raise UserError("no evaluation folder with its recipe is named; give the recipe with --recipe")

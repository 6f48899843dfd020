"""One question to one model, outside any evaluation: how the model is asked, the films, the answer and its picture.

The way of the data: a recipe (the trained model's own, one that is named, or a preset alone), an `Asker`, the films,
an Answer, what was read from it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from PIL import Image
from pydantic import ValidationError

from radrl.errors import UserError, one_line
from radrl.evaluation.answers.one_question import Asker, question_example
from radrl.evaluation.answers.sources import ENDPOINT, Source
from radrl.example import Answer, Example
from radrl.images.files import read_image
from radrl.models import adapters
from radrl.output.page.text import clean
from radrl.output.read_out import ReadOut, draw_boxes, read_out
from radrl.recipe import own_files
from radrl.recipe.apply_protocol import with_protocol
from radrl.recipe.explain import first_mistake
from radrl.recipe.schema import Recipe, read_recipe
from radrl.recipe.yaml_file import apply_overrides
from radrl.support.files import replacing
from radrl.training.run_folder.stage_folder import RECIPE

SERVER = "server"  # the name of an endpoint that only its address names
SENT_PIXELS = (256 * 256, 1024 * 1024)  # area of the pictures for it: which model it serves is not known here
GREEDY = "evaluation.temperature=0"
ONE_ANSWER = ("evaluation.samples=1", "evaluation.backend=transformers")
BOXES = {"unit": "in 0-1", "thousand": "in 0-1000", "pixel": "in pixels", "qwen2": "in 0-1000, Qwen2-VL's signs"}


class Model(NamedTuple):
    """A model that can be asked: its recipe, where it is, and where its prompt settings are from."""

    recipe: Recipe
    source: Source
    prompt_from: str

    def describe(self, asker: Asker) -> list[tuple[str, str]]:
        """Returns the facts of how it is asked: a name and a text each."""
        header = asker.header
        style, decoding = header.style, header.decoding
        mode = "thinking" if style.thinking else "direct"
        how = "greedy" if not decoding["temperature"] else f"temperature {decoding['temperature']:g}"
        facts = [
            ("Model", header.source),
            ("Prompt", f"{self.prompt_from}; boxes {BOXES[style.box_format]}"),
            ("Decoding", f"{how}, {mode}, at most {decoding['max_new_tokens']} tokens"),
        ]
        if self.source.is_endpoint:
            facts.append(("Sent out", "the pixels of the films and the question go to this address"))
        return facts


def find_model(
    model: str,
    *,
    recipe: Path | None = None,
    preset: str | None = None,
    served: str | None = None,
    thinking: bool | None = None,
    temperature: float | None = None,
    overrides: Sequence[str] = (),
) -> Model:
    """Returns a model by what the user calls it: a folder, a hub id, an endpoint of a recipe or an address.

    A model that a stage has trained (``recipe.yaml`` beside its folder) is asked by its recipe's ``prompt``, others by
    ``recipe`` or ``preset``, or plainly. Thinking is asked for where ``thinking``, or else that prompt, says so.

    Raises:
        UserError: the model or its settings cannot be read, or two of them say how it is asked.
    """
    changes = [GREEDY, *overrides, *ONE_ANSWER]
    if temperature is not None:
        changes.append(f"evaluation.temperature={temperature}")
    if recipe is not None and preset is not None:
        raise UserError("--recipe and --preset: give one; the recipe's prompt section may name a preset")
    address = model.startswith(("http://", "https://"))
    folder = None if address or model.startswith(ENDPOINT) else Path(model).expanduser()
    if folder is not None and folder.is_file():
        raise UserError(f"{model}: a file cannot be asked; give a model folder, a hub id or an endpoint")
    if served is not None and not address:
        raise UserError("--served is the name of a model at an address http://…; leave it out")
    own = _own_recipe(folder)
    if own is not None:
        if recipe is not None or preset is not None:
            said = "--recipe" if recipe is not None else "--preset"
            raise UserError(f"{said}: {model} is asked as it was trained, by {own}; leave it out, or use --set")
        found, prompt_from = read_recipe(own, changes), f"{own}, by which it was trained"
    elif recipe is not None:
        found, prompt_from = with_protocol(read_recipe(recipe, changes)), str(recipe)
    else:
        found = _plain_recipe(preset, changes)
        prompt_from = f"preset {preset}" if preset else "radrl's plain form (none is named: --preset, --recipe)"
    name, start = model, model
    if address:
        found, name = _with_address(found, model, served, known=recipe is not None), SERVER
        start = f"{ENDPOINT}{SERVER}"
    elif model.startswith(ENDPOINT):
        name = model.removeprefix(ENDPOINT)
        if recipe is None:
            raise UserError(f"{model}: add --recipe FILE, whose 'evaluation.endpoints' has '{name}'")
    elif folder is not None and folder.is_dir():
        start = str(folder.resolve())
    wanted = found.prompt.thinking if thinking is None else thinking
    return Model(found, Source(name, start, wanted), prompt_from)


def _own_recipe(folder: Path | None) -> Path | None:
    """Returns the recipe of the stage that has trained a model folder; None where no stage has."""
    if folder is None or not any((folder / name).is_file() for name in ("config.json", adapters.CONFIG)):
        return None
    recipe = folder.resolve().parent / RECIPE
    return recipe if recipe.is_file() else None


def _plain_recipe(preset: str | None, overrides: Sequence[str]) -> Recipe:
    """Returns a recipe that says nothing but how a model is asked."""
    values: dict[str, Any] = {"out": "."}
    if preset is not None:
        values["prompt"] = {"preset": preset}
    apply_overrides(values, overrides)
    try:
        return Recipe.model_validate(values, context={"path": own_files.below(Path.cwd())})
    except ValidationError as error:
        raise UserError(one_line(f"--preset or --set: {first_mistake(error, Recipe)}")) from None


def _with_address(recipe: Recipe, url: str, served: str | None, *, known: bool) -> Recipe:
    """Returns the recipe with the model at an address as its endpoint. Where no recipe says which model that is
    (``known``), its pictures keep to `SENT_PIXELS`."""
    if not known and recipe.prompt.box_format == "pixel":
        raise UserError(
            f"{url}: boxes in pixels are of the image as the served model resizes it; name that model as 'model.start' "
            "in a recipe, and give --recipe"
        )
    values = recipe.model_dump(exclude_unset=True)
    wanted = values.setdefault("evaluation", {})
    model = served or _only_model(url)
    wanted["endpoints"] = {SERVER: {"url": url, "model": model, "retries": 1}}
    if not known:
        values["model"] = {**values.get("model", {}), "start": "tiny"}  # a Qwen-VL image processor, with these bounds
        least, most = SENT_PIXELS
        wanted["models"] = {SERVER: {"min_pixels": least, "max_pixels": most}}
    try:
        found = Recipe.model_validate(values, context={"path": own_files.below(recipe.file.parent)})
    except ValidationError as error:
        raise UserError(one_line(f"{url}: {first_mistake(error, Recipe)}")) from None
    found._file = recipe.file
    return found


def _only_model(url: str) -> str:
    """Returns the name of the one model that an address serves. Raises UserError; no line holds what it replied."""
    place = f"{url.rstrip('/')}/models"
    try:
        reply = httpx.get(place, timeout=10)
        names = [str(one["id"]) for one in reply.json()["data"]] if reply.status_code == 200 else []
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(one_line(f"{url}: {type(error).__name__}; is the server up, and the address right?")) from None
    except (ValueError, KeyError, TypeError):
        names = []
    if len(names) != 1:
        raise UserError(one_line(f"{url}: serves {len(names) or 'no'} models that it names; name one with --served"))
    return names[0]


def read_films(paths: Sequence[str]) -> tuple[list[Image.Image], list[str]]:
    """Returns the pictures of the films, DICOM or any other file that is read, and what looks wrong with them.

    Raises:
        UserError: one cannot be read.
    """
    pictures, notes = [], []
    for path in paths:
        file, seen = Path(path).expanduser().resolve(), []
        if not file.is_file():
            raise UserError(
                one_line(f"{path}: no such film; the last argument is the question, the ones before are films")
            )
        pictures.append(read_image(file.parent, file.name, seen))
        notes += [f"{path}: {note}" for note in seen]
    return pictures, notes


def run_ask(
    model: Model,
    films: Sequence[str],
    question: str,
    *,
    task: str | None = None,
    choices: Sequence[str] = (),
    out: Path | None = None,
) -> None:
    """Asks, and prints the answer, its thinking apart, and what was read from it.

    A picture with the boxes is written to ``out``, or to ``answer.png`` (``answer-2.png``, …) where there are boxes.

    Raises:
        UserError: a film, the model or the question is wrong, or the picture cannot be written.
    """
    if os.path.isfile(question):
        raise UserError(f'{question}: a film and no question; write it last, such as "Where is the nodule?"')
    _check_out(out, films)
    asked = question_example(question, len(films), task, choices)
    pictures, notes = read_films(films)
    notes += [] if films else ["no film was given; the model sees the question only"]
    asker = Asker(model.recipe, model.source)
    for name, text in [*model.describe(asker), ("Task", f"{asked.example.task}: {asked.why}")]:
        _print(name, text)
    for note in notes:
        _print("Note", note)
    answer = asker.ask(asked.example, pictures)
    size = pictures[0].size if pictures else None
    read = read_out(answer, asked.example, size, asker.header.decoding["max_new_tokens"])
    _print_answer(answer, asked.example, read, size)
    if pictures and (out is not None or read.boxes):
        _print("Picture", str(_write_picture(pictures[0], read, out or _free_name(Path("answer.png")))))


def _print_answer(answer: Answer, example: Example, read: ReadOut, size: tuple[int, int] | None) -> None:
    if answer.thinking:
        _print("Thinking", answer.thinking)
    _print("Answer", answer.text or "(none)")
    _print("Read", f"{read.kind}: {read.said}" if read.kind != "text" else read.said)
    for box in read.boxes:
        x1, y1, x2, y2 = box.pixels
        unit = ", ".join(f"{value:.3f}" for value in box.unit)
        of = f" of {size[0]} x {size[1]}" if size else ""
        _print("", f"{box.label or '(no label)'}: pixels {x1}, {y1}, {x2}, {y2}{of}; 0-1 {unit}")
    for note in read.notes:
        _print("Note", note)


def _print(name: str, text: str) -> None:
    """Prints a fact; the text is a model's, so no sign of it may steer the terminal."""
    lines = clean(text).split("\n")
    print("\n".join([f"{name + ':' if name else '':<10}{lines[0]}", *(f"{'':<10}{line}" for line in lines[1:])]))


def _check_out(out: Path | None, films: Sequence[str]) -> None:
    """Raises UserError where the picture would not be a PNG, or would take a film's place."""
    if out is None:
        return
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    if not films:
        raise UserError(f"--out {out}: there is no film to draw on")
    if any(Path(film).expanduser().resolve() == out.resolve() for film in films):
        raise UserError(f"--out {out}: that is the film itself; choose another name")


def _free_name(path: Path) -> Path:
    names = (path.with_stem(f"{path.stem}-{k}") if k > 1 else path for k in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _write_picture(picture: Image.Image, read: ReadOut, path: Path) -> Path:
    with replacing(path, sync=False) as file:
        draw_boxes(picture, read.boxes).save(file, "PNG")
    return path

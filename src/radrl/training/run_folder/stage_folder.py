"""A stage's folder that is not empty: when it is overwritten, gone on with, or refused (docs/training.md).

What was dear is never overwritten unasked: a whole checkpoint, a finished model, a teacher's traces. A run that died
before it had any of them locks nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from radrl.errors import UserError, one_line
from radrl.recipe import schema as recipes
from radrl.recipe.schema import Recipe, StageKind
from radrl.recipe.yaml_file import as_number
from radrl.support import processes
from radrl.support.files import lock, write_errors

RECIPE = "recipe.yaml"
TRACES = "traces.jsonl"  # a teacher's, who was paid for them
# What a stage and its libraries leave in the folder. The traces are not among them.
OURS = re.compile(
    r"recipe\.yaml|run\.json|(log|done|audit)\.json|log\.jsonl|watch\.html|samples(\.jsonl)?|given_up_traces\.jsonl|checkpoint-\d+|model"
    r"|completions|runs|wandb|README\.md"
)
# Keys that change nothing of what is trained. In TRL's sections: what is logged, saved and reported, how often.
OF_TRL = (
    r"logging_.*|log_.*|save_steps|save_strategy|save_total_limit|report_to|run_name|project|trackio_.*|num_completions_to_print"
    r"|hub_.*|push_to_hub|disable_tqdm"
    # how a step's rows are split over processes and passes; that they stay as many, resuming.check_batch sees to
    r"|per_device_train_batch_size|gradient_accumulation_steps|steps_per_generation"
)
REACHED = r"url|api_key_env|concurrency|timeout|retries|backoff"  # how a teacher or judge is reached, not what it says
FREE = re.compile(
    rf"out|samples_every|guards\..*|evaluation\..*|data\.test(\..*)?|data\.(train|dev)\.\d+\.images|scoring\.workers"
    rf"|(sft|coldstart\.sft|grpo)\.({OF_TRL})|(coldstart\.teacher|judge)\.({REACHED})"
)
# of these, how held-out Examples are answered: figures of two ways would choose the best checkpoint
ANSWERED = re.compile(
    r"evaluation\.((thinking_)?max_new_tokens|min_new_tokens|repetition_penalty|stop.*|generation_config|protocol)"
)
SECTIONS: dict[StageKind, str] = {"sft": "sft.", "coldstart": "coldstart.", "grpo": "grpo."}


def clear(folder: Path) -> None:
    """Removes what an earlier run has left in its folder, but for a teacher's traces and what is not ours."""
    if not (folder / RECIPE).is_file():  # no folder of ours
        return
    for path in folder.iterdir():
        if not OURS.fullmatch(path.name) or path.name == RECIPE:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a stage's folder while the block runs; a kill lets go of it too.

    Raises:
        UserError: another run is in it.
    """
    if processes.rank() > 0:  # the first process of the same run is in it
        yield
        return
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("ab")
    with file:
        lock(file, f"{folder}: another run is at work in it; wait for it, or choose another 'out'")
        yield


# --- is it the same run? ----------------------------------------------------------------------------------------------


def in_force(recipe: Recipe) -> dict[str, Any]:
    """Returns all keys of a recipe, its defaults too, paths absolute."""
    return Recipe.model_validate(yaml.safe_load(recipe.to_yaml())).model_dump(mode="json")


def first_difference(folder: Path, recipe: Recipe, kind: StageKind, *, hashes: list[str] | None = None) -> str | None:
    """Returns the first key in which a recipe trains otherwise than the one that was begun in ``folder``, with both
    values; None where there is none.

    A manifest that has moved is the same one: with ``hashes``, those of the run's training and held-out manifests in
    their order, contents are compared and not paths.
    """
    try:
        before = _flat(in_force(recipes.read_recipe(folder / RECIPE)))
    except UserError as error:  # of another version, or changed by hand
        return one_line(error)
    now = _flat(in_force(recipe))
    places = sorted(key for key in before.keys() & now.keys() if re.fullmatch(r"data\.(train|dev)\.\d+\.manifest", key))
    if hashes is not None and len(hashes) == len(places):
        places.sort(key=lambda key: (key.split(".")[1] == "dev", int(key.split(".")[2])))
        for place, hash_before in zip(places, hashes, strict=True):
            path = now[place]
            if file_hash(Path(path)) != hash_before:
                return f"key '{place}': the contents of {path} have changed"
            before[place] = path
    others = tuple(section for other, section in SECTIONS.items() if other != kind)
    for key in [*now, *(key for key in before if key not in now)]:
        answered = recipe.data.dev and ANSWERED.fullmatch(key)
        if (FREE.fullmatch(key) and not answered) or key.startswith(others):
            continue
        if before.get(key, _UNSET) != now.get(key, _UNSET):
            return f"key '{key}' was {_said(before, key)}, is {_said(now, key)}"
    return None


def check_traces(folder: Path, recipe: Recipe) -> None:
    """Checks that the traces in a folder, where there are some, lead to answers in the recipe's box format. (Those of
    another teacher or prompt are found when they are read.)

    Raises:
        UserError: they were written for another one.
    """
    if recipe.coldstart.teacher is None or not (folder / TRACES).is_file() or not (folder / RECIPE).is_file():
        return
    before, now = recipes.read_recipe(folder / RECIPE).style().box_format, recipe.style().box_format
    if before != now:
        raise UserError(
            f"{folder / TRACES}: was written for another key 'prompt.box_format', which was {before!r}, is {now!r}; "
            "move the file away, or choose another 'out'"
        )


_UNSET = object()


def _said(values: dict[str, Any], key: str) -> str:
    return reprlib.repr(values[key]) if key in values else "not set"


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Returns the leaves of a recipe by their dotted keys."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    leaves: dict[str, Any] = {}
    for name, part in parts:
        leaves |= _flat(part, f"{key}.{name}" if key else str(name))
    return leaves if leaves or isinstance(value, dict | list) else {key: as_number(value)}


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file. Raises UserError where it cannot be read."""
    try:
        state = path.stat()
        return _hash(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes_of(run_file: Path) -> list[str] | None:
    """Returns the manifests' hashes that the last start of a run has noted; None where there are none."""
    try:
        return [one["sha256"] for one in json.loads(run_file.read_text())["starts"][-1]["data"]]
    except (OSError, ValueError, LookupError, TypeError):
        return None

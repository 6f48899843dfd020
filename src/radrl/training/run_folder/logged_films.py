"""Films beside completions in TensorBoard and W&B, where TRL's ``log_completions`` asks for completions and its
``log_multimodal`` for pictures.

TRL 1.16 itself shows them in Trackio's tables alone: it writes nothing of both to TensorBoard, and of the lists of
pictures that it puts into W&B's tables W&B 0.30 keeps the word "Image".
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from transformers.integrations.integration_utils import TensorBoardCallback

from radrl.models.library_internals import GRPOSteps

GROUPS = 4  # a logged step


class Group(NamedTuple):
    """One group of the last rollout: its prompt, the table of its completions in Markdown, the completion of the
    greatest advantage, and the first picture."""

    prompt: str
    table: str
    best: str
    film: Image.Image | None


def log_films(trainer: GRPOSteps) -> None:
    """Writes the first groups of the last rollout: to TensorBoard ``completions/K`` and ``films/K``, to W&B the
    pictures with prompt and best completion, ``films``. Nothing where the run has neither."""
    boards = [one for one in trainer.callback_handler.callbacks if isinstance(one, TensorBoardCallback)]
    board: Any = boards[0].tb_writer if boards else None
    wandb: Any = sys.modules.get("wandb") if "wandb" in (trainer.args.report_to or ()) else None
    if not trainer.is_world_process_zero():
        return
    step = trainer.state.global_step
    if board is not None:
        for number, group in enumerate(_groups(trainer), 1):
            board.add_text(f"completions/{number}", f"{group.prompt}\n\n{group.table}", step)
            if group.film is not None:
                board.add_image(f"films/{number}", np.asarray(group.film.convert("RGB")), step, dataformats="HWC")
    if wandb is not None and wandb.run is not None:
        films = [
            wandb.Image(group.film, caption=f"{group.prompt} | {group.best}")
            for group in _groups(trainer)
            if group.film is not None
        ]
        if films:
            wandb.log({"films": films, "train/global_step": step})


def _groups(trainer: GRPOSteps) -> Iterator[Group]:
    logs, size = trainer.texts_to_log, trainer.num_generations
    prompts, completions, advantages, pictures = (
        list(logs[what]) for what in ("prompt", "completion", "advantages", "images")
    )
    rewards = {name: list(values) for name, values in logs["rewards"].items()}
    for first in range(0, min(len(completions), GROUPS * size), size):
        group = range(first, first + size)
        shown = {name: values for name, values in rewards.items() if any(values[k] == values[k] for k in group)}
        rows = [["completion", *shown, "advantage"], ["---"] * (len(shown) + 2)]
        rows += [
            [_cell(completions[k]), *(f"{values[k]:.3g}" for values in shown.values()), f"{advantages[k]:.3g}"]
            for k in group
        ]
        of_group = pictures[first] if first < len(pictures) else None
        yield Group(
            prompt=_cell(prompts[first]),
            table="\n".join(f"| {' | '.join(row)} |" for row in rows),
            best=_cell(completions[max(group, key=lambda k: advantages[k])]),
            film=of_group[0] if of_group else None,
        )


def _cell(text: str) -> str:
    """Returns a text so that it cannot break a row of a table."""
    return " ".join(text.replace("|", "\\|").split())

"""What every training stage shares: its folder, checkpoints that survive a kill, the clock, the progress bar."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.errors import UserError
from radrl.recipe.schema import Recipe, StageKind
from radrl.support import processes
from radrl.support.files import write_json, write_text
from radrl.support.progress import progress_bar
from radrl.training.run_folder import stage_folder
from radrl.training.run_folder.live_log import FILE as LIVE_LOG
from radrl.training.run_folder.record import FILE as RECORD
from radrl.training.run_folder.resuming import batch_of, check_batch
from radrl.training.run_folder.stage_folder import RECIPE

MARKER = "radrl.json"  # written last into a checkpoint: without it the checkpoint is half-written
DONE = "done.json"


class Stage:
    """One training stage: a folder with the recipe, checkpoints while it runs, and at the end ``model/``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.callbacks: list[TrainerCallback] = []

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def done(self) -> dict[str, Any] | None:
        """Returns what was noted when the stage ended, or None when it has not ended."""
        path = self.folder / DONE
        return json.loads(path.read_text()) if path.is_file() and self.model.is_dir() else None

    def begin(self, recipe: Recipe, kind: StageKind, *, resume: bool, restart: bool = False) -> Path | None:
        """Prepares the folder; returns the checkpoint to go on from, or None to start anew.

        Raises:
            UserError: the folder holds a checkpoint or a model, and neither ``resume`` nor ``restart`` is asked for, or
                the recipe to resume with trains otherwise.
        """
        if processes.rank() > 0:  # of several processes the first one looks after the folder
            return last_checkpoint(self.folder, repair=False) if resume else None
        if restart and resume:
            raise UserError("--resume and --restart: choose one")
        checkpoint = None if restart else last_checkpoint(self.folder)
        if checkpoint or (self.model.is_dir() and not restart):
            if not resume:
                raise UserError(
                    f"{self.folder}: holds a run already; add --resume to go on, --restart to throw it away and begin "
                    "anew, or choose another 'out'"
                )
            hashes = stage_folder.hashes_of(self.folder / RECORD)
            if other := stage_folder.first_difference(self.folder, recipe, kind, hashes=hashes):
                raise UserError(
                    f"{self.folder}: the run was begun with another recipe: {other}; fix it, choose another 'out', or "
                    "begin anew with --restart"
                )
        else:
            stage_folder.check_traces(self.folder, recipe)
            stage_folder.clear(self.folder)
        write_text(self.folder / RECIPE, recipe.to_yaml())
        return checkpoint

    def end(self, log: list[dict[str, Any]], **notes: Any) -> None:
        """Notes that the stage has ended, and removes its checkpoints and what it logged meanwhile."""
        write_json(self.folder / "log.json", log)
        write_json(self.folder / DONE, notes)
        (self.folder / LIVE_LOG).unlink(missing_ok=True)
        for checkpoint in self.folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint, ignore_errors=True)

    def log(self) -> list[dict[str, Any]]:
        """Returns the trainer's log, one dict a step."""
        path = self.folder / "log.json"
        return json.loads(path.read_text()) if path.is_file() else []


def last_checkpoint(folder: Path, *, repair: bool = True) -> Path | None:
    """Returns the newest whole checkpoint; with ``repair``, removes newer, half-written ones."""
    checkpoints = sorted(
        (p for p in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", p.name)),
        key=lambda p: int(p.name.split("-")[1]),
    )
    while checkpoints:
        if (checkpoints[-1] / MARKER).is_file():
            return checkpoints[-1]
        half = checkpoints.pop()
        if repair:
            shutil.rmtree(half)
    return None


def checkpoint_at(args: TrainingArguments, state: TrainerState) -> Path:
    """Returns the folder of the checkpoint that is written at this step."""
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"


class Clock(TrainerCallback):
    """Counts the seconds spent in training over all resumes, and marks checkpoints as whole, with the size of a batch.

    Raises UserError where the batch is another one than the checkpoint's.
    """

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint, begun = checkpoint, json.loads((checkpoint / MARKER).read_text()) if checkpoint else {}
        self.before, self.batch = begun.get("seconds", 0.0), begun.get("batch")
        self.start: float | None = None

    @property
    def seconds(self) -> float:
        return self.before + (0.0 if self.start is None else time.monotonic() - self.start)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Meanwhile no second counts: evaluation is no training."""
        begun = time.monotonic()
        yield
        if self.start is not None:
            self.start += time.monotonic() - begun

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.checkpoint is not None and self.batch is not None:
            check_batch(self.checkpoint, self.batch, batch_of(args))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.start = time.monotonic()
        # of a checkpoint transformers takes the old intervals of logging and saving too
        state.compute_steps(args, state.max_steps)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes files of its own
        if state.is_world_process_zero:
            write_json(
                checkpoint_at(args, state) / MARKER, {"seconds": round(self.seconds, 3), "batch": batch_of(args)}
            )


class Progress(TrainerCallback):
    """Shows one stage as a rich progress bar: step, remaining time, and the numbers of the last step. ``place`` tells
    how much is done and how much there is to do; without it these are steps."""

    def __init__(
        self, title: str, shown: tuple[str, ...], place: Callable[[TrainerState], tuple[int, int]] | None = None
    ) -> None:
        self.title, self.shown = title, shown
        self.place = place or (lambda state: (state.global_step, state.max_steps))
        self.bar = progress_bar()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar.start()
            done, total = self.place(state)
            self.task = self.bar.add_task(self.title, total=total, completed=done, note="")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar.update(self.task, completed=self.place(state)[0])

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if state.is_world_process_zero:
            note = "  ".join(f"{k.split('/')[-1]} {logs[k]:.3g}" for k in self.shown if isinstance(logs.get(k), float))
            if note:
                self.bar.update(self.task, note=note)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.stop()

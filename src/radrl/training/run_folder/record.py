"""A run's own record, ``run.json`` in the stage's folder: with what, on what, from when to when, and how it ended.

One entry a start, the first one and every resume. It is written when the start begins, again when training does, and
at the end; a start without an end was killed. It holds ids, counts and hashes, and no text of the data.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

import radrl
from radrl.errors import UserError, one_line
from radrl.example import TASKS
from radrl.manifest.example_set import ExampleSet
from radrl.recipe.schema import Recipe, StageKind
from radrl.scoring import own
from radrl.support import processes
from radrl.support.files import write_json
from radrl.training.run_folder.stage_folder import file_hash, in_force

FILE = "run.json"
PACKAGES = (
    "torch", "transformers", "trl", "accelerate", "peft", "tokenizers", "datasets", "numpy", "pillow", "vllm",
    "deepspeed", "bitsandbytes",
)  # fmt: skip


class Record(TrainerCallback):
    """One start of a run in ``folder``, from ``checkpoint`` on where one is given."""

    def __init__(self, folder: Path, recipe: Recipe, kind: StageKind, checkpoint: Path | None) -> None:
        self.file, self.recipe = folder / FILE, recipe
        self.first = processes.rank() == 0  # of several processes the first one writes
        before = _starts(self.file) if checkpoint else []
        self.start: dict[str, Any] = {
            "kind": kind,
            "start": _now(),
            "end": None,
            "exit": None,
            "resumed_from": checkpoint and checkpoint.name,
            "steps": None,
            "versions": _versions(recipe),
            "commit": _commit(),
            "platform": platform(),
            "device": None,
            "data": [],
            "examples": {},
            "films": None,
            "recipe": in_force(recipe),
            "config": None,
        }
        self.starts = [*before, self.start]
        self._write()

    def _write(self) -> None:
        if self.first:
            write_json(self.file, {"starts": self.starts})

    def note_data(self, examples: ExampleSet) -> None:
        """Notes what is trained on: the manifests' hashes, the number of Examples of each task, and of
        different images (or sets of images that one Example shows)."""
        if not self.first:
            return
        self.start["data"] = [
            {"split": split, "manifest": str(path), "sha256": file_hash(path)}
            for split in ("train", "dev")
            if getattr(self.recipe.data, split)
            for path in self.recipe.manifests(split)
        ]
        counts = np.bincount(examples.task_codes, minlength=len(TASKS)).tolist()
        self.start["examples"] = {task: count for task, count in zip(TASKS, counts, strict=True) if count}
        of_images = np.unique(examples.image_hashes)  # an Example without an image has a hash too
        self.start["films"] = int(np.isin(of_images, examples.manifest_index.file_of).sum())
        self._write()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        on_gpu = args.device.type == "cuda"
        self.start["device"] = {
            "type": args.device.type,
            "names": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] if on_gpu else [],
            "processes": args.world_size,
            "threads": torch.get_num_threads(),
        }
        self.start["config"] = _plain(args.to_dict())  # which masks the tokens of hubs
        self._write()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.start["steps"] = state.global_step

    def finish(self, exit: str) -> None:
        """Notes the end of the start, and why."""
        self.start |= {"end": _now(), "exit": exit}
        self._write()


@contextmanager
def recorded(folder: Path, recipe: Recipe, kind: StageKind, checkpoint: Path | None) -> Iterator[Record]:
    """Records what runs in the block. ``exit`` is then ``finished``, ``interrupted``, ``stopped: `` with the line that
    the user was shown, or ``failed: `` with the name of an exception (its text may be of the data)."""
    record = Record(folder, recipe, kind, checkpoint)
    try:
        yield record
    except BaseException as error:
        if isinstance(error, UserError):
            exit = f"stopped: {one_line(error)}"
        else:
            exit = "interrupted" if isinstance(error, KeyboardInterrupt) else f"failed: {type(error).__name__}"
        with suppress(UserError):  # the disk may be what failed
            record.finish(exit)
        raise
    record.finish("finished")


def _starts(file: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(file.read_text())["starts"])
    except (OSError, ValueError, LookupError, TypeError):  # there is none, or it was changed by hand
        return []


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions(recipe: Recipe) -> dict[str, str]:
    """Returns the versions of what the run is computed with, also of the packages whose scorers are its rewards."""
    versions = {"python": python_version(), "radrl": radrl.__version__}
    rewards = [one for of_task in recipe.rewards.values() for one in of_task]
    scorers = {name for one in rewards for name in (one.scorer, one.gate) if name}
    others = [own.in_packages()[name][0].dist for name in scorers & own.in_packages().keys()]
    for name in (*PACKAGES, *(package.name for package in others if package)):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions | ({"cuda": torch.version.cuda} if torch.version.cuda else {})


def _commit() -> str | None:
    """Returns the commit of radrl, ``-dirty`` behind it where files differ; None where it was installed otherwise."""
    root = Path(radrl.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None


def _plain(value: Any) -> Any:
    """Returns a value as JSON holds it; what it does not hold, as text."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)

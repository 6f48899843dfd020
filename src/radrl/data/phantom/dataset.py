"""Phantom data sets on disk: images, a manifest for each split, and phantom.json, written last."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from radrl.data.phantom.film import make
from radrl.data.phantom.questions import examples
from radrl.errors import UserError
from radrl.example import Example
from radrl.manifest.jsonl import write_manifest
from radrl.support.files import write_json
from radrl.support.machine import cores

VERSION = 2  # raise it when the same seed gives another film or text: finished data sets are then made anew
_MOST = 2**24  # patients in a split: each split has its own stretch of indexes
_CHUNK = 64


class _Job(NamedTuple):
    folder: Path
    split: str
    start: int
    stop: int
    seed: int
    size: int
    silver: float


def write(
    out: Path,
    splits: dict[str, int],
    seed: int = 0,
    size: int = 192,
    progress: Callable[[int, int], None] | None = None,
    silver: Mapping[str, float] | None = None,
    workers: int | None = None,
) -> dict[str, int]:
    """Writes a data set: ``out/images/<split>/NNNNN.png`` and the manifests ``out/<split>.jsonl``.

    Args:
        out: the folder. What else lies in it stays; an older phantom data set in it is replaced, and an identical
            finished one is kept as it is.
        splits: patients (one film each) in each split. A split's films depend on its name, not on the other splits.
        seed: fixes everything; the number of workers changes nothing.
        size: pixels along each side of the square films.
        progress: called with the number of films done and the number asked for.
        silver: the share of films in a split whose report and labels are by the hurried reader.
        workers: processes; by default the cores this process may use.

    Returns:
        The number of Examples in each split.

    Raises:
        UserError: a bad argument, or the data set cannot be written.
    """
    out, silver = Path(out), dict(silver or {})
    _check(splits, size, silver)
    asked = {"version": VERSION, "seed": seed, "size": size, "splits": dict(splits), "silver": silver}
    total = sum(splits.values())
    done = _finished(out)
    whole = all((out / f"{split}.jsonl").is_file() and (out / "images" / split).is_dir() for split in splits)
    if done and whole and {key: done.get(key) for key in asked} == asked:
        if progress:
            progress(total, total)
        return done["examples"]
    if done is None and any((out / name).exists() for name in ("images", *(f"{split}.jsonl" for split in splits))):
        raise UserError(f"{out}: holds files that are not a phantom data set; give an empty or new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".phantom-") as folder:
            counts = _fill(Path(folder), splits, seed, size, silver, workers, progress)
            _publish(Path(folder), out, done or {}, {**asked, "examples": counts})
    except OSError as error:
        raise UserError(f"{out}: cannot write the data set ({error.strerror or error})") from None
    return counts


def _check(splits: dict[str, int], size: int, silver: dict[str, float]) -> None:
    for split, count in splits.items():
        if not split.replace("-", "").replace("_", "").isalnum() or split == "images":
            raise UserError(f"split '{split}': a name holds letters, digits, '-' and '_' only")
        if not 0 < count <= _MOST:
            raise UserError(f"split '{split}': asks for {count} patients; give 1 to {_MOST}")
    if not 64 <= size <= 2048:
        raise UserError(f"size {size}: films are 64 to 2048 pixels wide")
    for split, share in silver.items():
        if split not in splits:
            raise UserError(f"silver: there is no split '{split}'; the splits are {', '.join(splits)}")
        if not 0 <= share <= 1:
            raise UserError(f"silver: '{split}' is {share}; give a share from 0 to 1")


def _finished(out: Path) -> dict[str, Any] | None:
    """Returns phantom.json of the data set in ``out``; empty if it was interrupted, None if there is none."""
    try:
        state = json.loads((out / "phantom.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _fill(
    folder: Path,
    splits: dict[str, int],
    seed: int,
    size: int,
    silver: dict[str, float],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, int]:
    """Makes the whole data set in ``folder``; returns the number of Examples in each split."""
    jobs = [
        _Job(folder, split, start, min(start + _CHUNK, count), seed, size, silver.get(split, 0.0))
        for split, count in splits.items()
        for start in range(0, count, _CHUNK)
    ]
    for split in splits:
        (folder / "images" / split).mkdir(parents=True)
    rows: dict[str, list[Example]] = {split: [] for split in splits}
    made = 0
    for job, found in zip(jobs, _run(jobs, workers or cores()), strict=True):
        rows[job.split] += found
        made += job.stop - job.start
        if progress:
            progress(made, sum(splits.values()))
    return {split: write_manifest(folder / f"{split}.jsonl", rows[split]) for split in splits}


def _run(jobs: list[_Job], workers: int) -> Iterator[list[Example]]:
    """Yields the Examples of each job, in the order of the jobs."""
    if min(workers, len(jobs)) <= 1:
        yield from map(_chunk, jobs)
        return
    # Forked workers need no importable main module, so this works in a notebook; they use no threads of the parent.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        try:
            yield from pool.map(_chunk, jobs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _chunk(job: _Job) -> list[Example]:
    """Draws and writes the films of a job; returns their Examples."""
    rows: list[Example] = []
    for number in range(job.start, job.stop):
        index = zlib.crc32(job.split.encode()) * _MOST + number
        phantom = make(job.seed, index, job.size)
        path = f"images/{job.split}/{number:05d}.png"
        Image.fromarray(phantom.image).save(job.folder / path, compress_level=1)
        draw = np.random.default_rng(np.random.SeedSequence([job.seed, index, 1])).random()
        quality = "silver" if draw < job.silver else "gold"
        rows += examples(phantom, f"{job.split}-{number:05d}", path, (job.seed, index, 2), quality)
    return rows


def _publish(folder: Path, out: Path, old: dict[str, Any], state: dict[str, Any]) -> None:
    """Moves the data set from ``folder`` to ``out``; phantom.json says that it is finished only at the end."""
    write_json(out / "phantom.json", {"unfinished": True, "splits": {**old.get("splits", {}), **state["splits"]}})
    for split in old.get("splits", {}):
        (out / f"{split}.jsonl").unlink(missing_ok=True)
    if (out / "images").exists():
        shutil.rmtree(out / "images")
    (folder / "images").rename(out / "images")
    for split in state["splits"]:
        (folder / f"{split}.jsonl").replace(out / f"{split}.jsonl")
    write_json(out / "phantom.json", state)

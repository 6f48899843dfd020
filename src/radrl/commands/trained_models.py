"""How the models of an evaluation were trained: what their stages say, and what an earlier evaluation kept of it.

A model that was not trained here (a hub id, an endpoint, a file of predictions of other people) has nothing of this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radrl.evaluation.answers.header import Header
from radrl.output.page.first_look import Training


def of_stages(places: Mapping[str, str], headers: Mapping[str, Header]) -> dict[str, Training]:
    """Returns how each model was trained whose place is ``model/`` of a stage that has ended."""
    found = {}
    names = {Path(place).resolve(): name for name, place in places.items()}
    for name, place in places.items():
        folder = Path(place)
        if folder.name != "model" or not folder.is_dir():
            continue
        done, record = _read(folder.parent / "done.json"), _read(folder.parent / "run.json")
        try:
            found[name] = _training(done, record["starts"][-1], names, headers[name].hashes.get("model"))
        except (LookupError, TypeError, ValueError, AttributeError):  # of another program, or changed by hand
            continue
    return found


def _training(
    done: Mapping[str, Any], start: Mapping[str, Any], names: Mapping[Path, str], digest: str | None
) -> Training:
    config, recipe, device = start.get("config") or {}, start["recipe"], start.get("device") or {}
    kind = start.get("kind") or ("grpo" if "num_generations" in config else "sft")
    began = str(recipe["model"]["start"])
    path = Path(began)
    known = names.get(path.resolve())
    said = known or (path.parent.name if path.name == "model" and path.is_absolute() else began)
    device_names = ", ".join(dict.fromkeys(device.get("names") or ())) or str(device.get("type", "")).upper()
    processes = int(device.get("processes") or 1)
    return Training(
        kind=str(kind),
        steps=int(done["steps"]),
        seconds=float(done["seconds"]),
        examples=sum(start["examples"].values()) or None,
        films=start.get("films"),
        start=said,
        device=f"{processes} x {device_names}" if processes > 1 else device_names,
        digest=digest,
    )


def kept(files: Mapping[str, Path], headers: Mapping[str, Header]) -> dict[str, Training]:
    """Returns what the evaluations that made these files of predictions have noted (``comparison.json``), of models
    whose weights are still those."""
    found = {}
    for name, file in files.items():
        header = headers[name]
        try:
            noted = _read(file.parent.parent / "comparison.json")["facts"]["Training"][_name_then(file)]
            one = Training(**noted)
            numbers = isinstance(one.steps, int) and isinstance(one.seconds, int | float)
        except (LookupError, TypeError):
            continue
        if numbers and one.digest and one.digest == header.hashes.get("model"):
            found[name] = one
    return found


def _name_then(file: Path) -> str:
    """Returns the name that the model of a file of predictions had when it was evaluated."""
    return str(_read(file.with_suffix(".json"))["model"])


def _read(file: Path) -> dict[str, Any]:
    """Returns a JSON object; an empty one where there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

"""``radrl watch``: a page of a run while it trains, written anew from the run's files until the run ends.

Only files are read, so the run may be on another machine whose file system is seen here, and may have been killed.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from radrl.errors import UserError
from radrl.output.page.first_look import STAGES
from radrl.output.page.watch_page import LiveRun, write_watch_page
from radrl.support.files import journal_lines

PAGE = "watch.html"
GROUPS = 8  # of samples on the page
RATE = 20  # logged steps from which the remaining time is told
QUIET = 120.0  # seconds without a sign that are nothing unusual
LONG = 10.0  # times the usual seconds between two logged steps that are something unusual
WAIT = 60.0  # seconds after the end of a stage in which the next one of its folder may begin


def watch(folder: Path, every: float, *, once: bool = False) -> Path:
    """Writes the page of the run in ``folder`` each ``every`` seconds until it has ended; returns the page.

    ``folder`` is a stage's, or one that holds stages: then the page is of the stage that began last.

    Raises:
        UserError: there is no run, or its folder cannot be written.
    """
    ended: float | None = None
    while True:
        stage = find_stage(folder)
        run = read_run(stage)
        over = run.exit is not None
        ended = (ended or time.monotonic()) if over else None
        last = once or (over and (stage == folder or time.monotonic() - (ended or 0.0) > WAIT))
        page = folder / PAGE
        write_watch_page(page, run, None if last else every, "" if stage == folder else f"{quote(stage.name)}/")
        if last:
            return page
        time.sleep(every)


def find_stage(folder: Path) -> Path:
    """Returns the stage's folder itself, or of the stages in a folder the one that began last.

    Raises:
        UserError: there is none.
    """
    if (folder / "run.json").is_file():
        return folder
    began = {file.parent: _last_start(file.parent).get("start") for file in folder.glob("*/run.json")}
    stages = {stage: str(start) for stage, start in began.items() if start}
    if not stages:
        raise UserError(f"{folder}: no run: neither it nor a folder in it has a run.json; name a stage's folder")
    return max(stages, key=lambda stage: (stages[stage], stage.name))


def read_run(stage: Path) -> LiveRun:
    """Returns what the files of a stage say of its run."""
    start = _last_start(stage)
    logs = _logs(stage)
    done_file = _read(stage / "done.json")
    now = next((row for row in reversed(logs) if "done" in row), {})
    config = start.get("config") or {}
    steps = max((int(row["step"]) for row in logs), default=0)
    total = int(now.get("total") or 0) or int(config.get("max_steps") or 0)
    exit = start.get("exit")
    seconds = done_file.get("seconds", now.get("seconds"))
    kind = str(start.get("kind") or ("grpo" if "num_generations" in config else "sft"))
    return LiveRun(
        name=f"{stage.resolve().parent.name}/{stage.resolve().name}",
        kind=STAGES.get(kind, kind),
        began=_local(start.get("start")),
        exit=str(exit) if exit else None,
        done=int(done_file.get("steps") or now.get("done") or steps),
        total=total if 0 < total < 10**9 and not done_file else None,
        unit="steps" if done_file else str(now.get("unit", "steps")),
        seconds=float(seconds) if seconds is not None else None,
        left=_left(logs),
        logs=logs,
        warnings=_warnings(_read(stage / "audit.json")),
        samples=_samples(stage / "samples.jsonl"),
        silent=_silent(stage, logs),
        facts=_facts(start),
    )


def _logs(stage: Path) -> list[dict[str, Any]]:
    """Returns the logged figures: of a stage that has ended, of one that trains, or as of its last checkpoint."""
    whole = _read_any(stage / "log.json")
    live = [row for _, line in journal_lines(stage / "log.jsonl") if isinstance(row := _parsed(line), dict)]
    found = whole if isinstance(whole, list) else live
    if not found:
        saved = sorted(stage.glob("checkpoint-*/trainer_state.json"), key=lambda p: p.stat().st_mtime)
        found = _read(saved[-1]).get("log_history", []) if saved else []
    return [row for row in found if isinstance(row, dict) and isinstance(row.get("step"), int | float)]


def _left(logs: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns the seconds that are left, by the pace of the last logged steps."""
    rows = [row for row in logs if "done" in row][-RATE:]
    if not rows:
        return None
    first, last = rows[0], rows[-1]
    to_do = last["total"] - last["done"]
    if last.get("unit") == "seconds":
        return float(max(0, to_do))
    if last["total"] >= 10**9 or last["done"] <= first["done"]:
        return None
    return max(0.0, to_do * (last["seconds"] - first["seconds"]) / (last["done"] - first["done"]))


def _silent(stage: Path, logs: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns how many seconds ago the run wrote last, where that is unusually long; None else."""
    files = [stage / name for name in ("run.json", "log.jsonl", "samples.jsonl", "audit.json")]
    written = [file.stat().st_mtime for file in [*files, *stage.glob("checkpoint-*")] if file.exists()]
    times = [row["seconds"] for row in logs if "seconds" in row]
    usual = statistics.median(b - a for a, b in pairwise(times)) if len(times) > 1 else QUIET
    silent = time.time() - max(written, default=time.time())
    return silent if silent > max(QUIET, LONG * usual) else None


def _warnings(audit: Mapping[str, Any]) -> list[str]:
    warnings = audit.get("warnings")
    return [str(one.get("text", "")) for one in warnings or [] if isinstance(one, dict)]


def _samples(file: Path) -> list[dict[str, Any]]:
    """Returns the last groups, newest first."""
    rows = [row for _, line in list(journal_lines(file))[-GROUPS:] if isinstance(row := _parsed(line), dict)]
    return sorted(rows, key=lambda row: -row["step"] if isinstance(row.get("step"), int) else 0)


def _facts(start: Mapping[str, Any]) -> dict[str, str]:
    device = start.get("device") or {}
    names = ", ".join(dict.fromkeys(map(str, device.get("names") or []))) or str(device.get("type", ""))
    examples = start.get("examples") or {}
    versions = start.get("versions") or {}
    facts = {
        "began": _local(start.get("start")),
        "resumed from": str(start.get("resumed_from") or ""),
        "device": f"{device.get('processes', 1)} x {names}" if names else "",
        "Examples": ", ".join(f"{count:,} {task}" for task, count in examples.items()),
        "films": f"{start['films']:,}" if start.get("films") else "",
        "start": str((start.get("recipe") or {}).get("model", {}).get("start", "")),
        "versions": ", ".join(f"{name} {versions[name]}" for name in ("radrl", "torch", "trl") if name in versions),
    }
    return {key: value for key, value in facts.items() if value}


def _last_start(stage: Path) -> dict[str, Any]:
    starts = _read(stage / "run.json").get("starts") or [{}]
    return starts[-1] if isinstance(starts[-1], dict) else {}


def _local(told: Any) -> str:
    try:
        return f"{datetime.fromisoformat(str(told)).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return "not known"


def _read(file: Path) -> dict[str, Any]:
    value = _read_any(file)
    return value if isinstance(value, dict) else {}


def _read_any(file: Path) -> Any:
    """Returns a file's JSON; None where there is none, or it is half there as on another machine's file system."""
    try:
        return _parsed(file.read_bytes())
    except OSError:
        return None


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None

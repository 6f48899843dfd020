"""The figures of a run while it trains, ``log.jsonl`` in the stage's folder: a line for each logged step, with what is
done of what and the seconds so far. ``radrl watch`` reads it; when the stage ends, log.json holds the same figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.support import processes
from radrl.support.files import journal_lines, write_bytes, write_errors

FILE = "log.jsonl"


class LiveLog(TrainerCallback):
    """Appends a line whenever figures are logged. ``place`` tells how much is done and how much there is to do (steps,
    or seconds where training ends by the clock); ``before`` are the seconds of earlier starts. Lines that an earlier
    start wrote after its last ``checkpoint`` are removed: those steps are made again."""

    def __init__(
        self,
        folder: Path,
        place: Callable[[TrainerState], tuple[int, int]],
        before: float,
        checkpoint: Path | None,
    ) -> None:
        self.file, self.place, self.begun = folder / FILE, place, time.monotonic() - before
        if processes.rank() > 0:  # of several processes the first one writes
            return
        done = int(checkpoint.name.split("-")[1]) if checkpoint else 0
        kept = [line for _, line in journal_lines(self.file) if _step(line) <= done] if done else []
        if kept or self.file.is_file():
            write_bytes(self.file, b"".join(kept))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero or not state.log_history:
            return
        done, total = self.place(state)
        unit = "steps" if total == state.max_steps else "seconds"
        row = {
            "done": done,
            "total": total,
            "unit": unit,
            "seconds": round(time.monotonic() - self.begun, 1),
            **state.log_history[-1],
        }
        with write_errors(self.file), self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _step(line: bytes) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, LookupError, TypeError):  # changed by hand
        return float("inf")

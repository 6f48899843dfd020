"""What a GRPO run writes in training, to be read: of every n-th step (``samples_every``) the completions of a few
groups, in ``samples.jsonl`` of the stage's folder, with small copies of their pictures in ``samples/``.

One group a line: step, Example, prompt, reference, image paths (relative to the manifest's image folder), and of each
completion its text, its score by each scorer (None where the scorer had none), its advantage, and the boxes that were
read of it; boxes are [x1, y1, x2, y2, label] in 0-1 of the picture. These are texts and
pictures of the data; they are written only where the recipe asks for them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from PIL import Image

from radrl.answers.parsing import parse
from radrl.boxes.notation import Size
from radrl.example import Box, Example
from radrl.models.library_internals import GRPOSteps
from radrl.prompt.messages import ANSWER_FORMATS, PromptStyle, target
from radrl.scoring.completions import completion_text
from radrl.support.files import Journal, journal_lines, replacing, write_bytes

FILE = "samples.jsonl"
GROUPS = 4  # a step
SIDE = 384  # pixels of a copy's longer side


class Samples:
    """Writes the samples of one run in ``folder``, of every ``every``-th step; those that an earlier start made after
    its last ``checkpoint`` will be made again, and are removed."""

    def __init__(self, folder: Path, style: PromptStyle, every: int, checkpoint: Path | None) -> None:
        self.folder, self.every = folder, every
        self.asked = style
        self.style = replace(style, thinking=False)
        if style.answer_format not in ANSWER_FORMATS:  # a function of the user's writes no answers
            self.style = replace(self.style, answer_format="plain")
        self.last: int | None = None
        done = int(checkpoint.name.split("-")[1]) if checkpoint else 0
        if (folder / FILE).is_file():
            kept = [line for _, line in journal_lines(folder / FILE) if 0 < _step(line) <= done]
            write_bytes(folder / FILE, b"".join(kept))

    def due(self, step: int, steps: int) -> bool:
        """Returns whether the rollout for the ``steps`` steps from ``step`` on, counted from 1, is to be written."""
        again, self.last = step == self.last, step  # several rollouts may make one step
        return not again and (step == 1 or (step + steps - 1) // self.every > (step - 1) // self.every)

    def look(self, trainer: GRPOSteps, rows: Sequence[dict[str, Any]]) -> None:
        """Takes in a rollout batch: this process's ``rows``; what was made and scored stands in the trainer's logs."""
        step = trainer.state.global_step + 1
        args = trainer.args
        a_rollout = args.num_iterations * cast(int, args.steps_per_generation)
        steps = max(1, a_rollout // args.gradient_accumulation_steps)
        if not self.due(step, steps) or not trainer.is_world_process_zero():
            return
        logs, size = trainer.texts_to_log, trainer.num_generations
        prompts, completions, advantages = (list(logs[what]) for what in ("prompt", "completion", "advantages"))
        scores = {name: list(values) for name, values in logs["rewards"].items()}
        lines = []
        for first in range(0, min(len(rows), GROUPS * size), size):
            example: Example = rows[first]["example"]
            pictures = rows[first].get("images") or []
            group = {
                "step": step,
                "id": example.id,
                "task": example.task,
                "prompt": as_text(prompts[first]),
                "reference": target(example, self.style),
                "images": list(example.images),
                "pictures": [self._copy(picture) for picture in pictures],
                "boxes": _boxes(example.boxes),
                "completions": [
                    {
                        "text": completion_text(completions[k]),
                        "scores": {name: _number(values[k]) for name, values in scores.items()},
                        "advantage": _number(advantages[k]),
                        "boxes": self._read_boxes(example, completion_text(completions[k]), rows[first].get("size")),
                    }
                    for k in range(first, first + size)
                ],
            }
            lines.append(json.dumps(group, ensure_ascii=False))
        with Journal(self.folder / FILE) as journal:
            journal.append(*lines)

    def _read_boxes(self, example: Example, text: str, size: Size | None) -> list[list[Any]]:
        return _boxes(parse(text, example, self.asked, size=size).boxes) if example.task == "grounding" else []

    def _copy(self, picture: Image.Image) -> str:
        """Writes a small copy of a picture, once, and returns its path relative to the stage's folder."""
        small = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
        small.thumbnail((SIDE, SIDE))
        name = f"samples/{hashlib.sha256(small.tobytes()).hexdigest()[:16]}.jpg"
        if not (self.folder / name).is_file():
            with replacing(self.folder / name, sync=False) as file:
                small.save(file, "JPEG", quality=85)
        return name


def as_text(messages: Any) -> str:
    """Returns TRL's messages as one text, ``[image]`` for each image; a text as it is."""
    if isinstance(messages, str):
        return messages
    parts = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = "".join("[image]" if part["type"] == "image" else part.get("text", "") for part in content)
        parts.append(f"{message['role']}: {content}")
    return "\n".join(parts)


def texts_only(logs: dict[str, Any]) -> None:
    """Turns the messages in a trainer's logs into texts: W&B's tables refuse messages (``log_completions``)."""
    for what, said in (("prompt", as_text), ("completion", completion_text)):
        logs[what] = deque(map(said, logs[what]), maxlen=logs[what].maxlen)


def _boxes(boxes: Sequence[Box]) -> list[list[Any]]:
    return [[*(round(x, 4) for x in box.xyxy), box.label] for box in boxes]


def _step(line: bytes) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError):  # changed by hand
        return 0


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

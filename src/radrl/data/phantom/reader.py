"""What a reader sees of a film's findings: all of them (gold), or what is left in a hurry (silver)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from radrl.data.phantom.findings import DEVICES, NAMES
from radrl.example import Box, Finding

Quality = Literal["gold", "silver"]
_MISSED = {"mild": 0.45, "moderate": 0.20, "severe": 0.05, None: 0.05}
_DOUBTED: dict[Quality, dict[str | None, float]] = {
    "gold": {"mild": 0.30, "moderate": 0.03},
    "silver": {"mild": 0.50, "moderate": 0.15},
}
_OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Reading:
    """What a reader saw. ``doubted`` are the names reported with doubt; questions treat them as seen."""

    seen: tuple[Finding, ...]
    doubted: frozenset[str]
    quality: Quality

    @property
    def names(self) -> set[str]:
        """The names of the findings seen."""
        return {finding.name for finding in self.seen}


def read(findings: Sequence[Finding], anatomy: Sequence[Box], quality: Quality, rng: np.random.Generator) -> Reading:
    """Returns the reading of a film with these findings."""
    seen = list(findings)
    if quality == "silver":
        seen = [_hurried(finding, rng) for finding in seen if rng.random() > _MISSED[finding.severity]]
        if rng.random() < 0.03:
            seen += _false_alarm({finding.name for finding in findings}, anatomy, rng)
        seen.sort(key=lambda finding: NAMES.index(finding.name))
    doubt = _DOUBTED[quality]
    doubted = {f.name for f in seen if f.name not in DEVICES and rng.random() < doubt.get(f.severity, 0.0)}
    return Reading(tuple(seen), frozenset(doubted), quality)


def _hurried(finding: Finding, rng: np.random.Generator) -> Finding:
    """Boxes drawn loosely, and now and then the wrong side."""
    boxes = [_loose(box, rng) for box in finding.boxes]
    side = finding.side
    if side in _OTHER and rng.random() < 0.03:
        side = _OTHER[side]
        boxes = [Box(xyxy=(1 - b.xyxy[2], b.xyxy[1], 1 - b.xyxy[0], b.xyxy[3]), label=b.label) for b in boxes]
    return finding.model_copy(update={"side": side, "boxes": tuple(boxes)})


def _loose(box: Box, rng: np.random.Generator) -> Box:
    """Grows and shifts a box by up to 15 % of its sides."""
    low, high = np.array(box.xyxy[:2]), np.array(box.xyxy[2:])
    side = high - low
    shift = rng.uniform(-0.10, 0.10, 2) * side
    low = np.clip(low + shift - rng.uniform(0, 0.075, 2) * side, 0, 1)
    high = np.clip(high + shift + rng.uniform(0, 0.075, 2) * side, 0, 1)
    x1, y1, x2, y2 = (round(float(v), 4) for v in (*low, *high))
    return Box(xyxy=(x1, y1, x2, y2), label=box.label)


def _false_alarm(known: set[str], anatomy: Sequence[Box], rng: np.random.Generator) -> list[Finding]:
    """A mild finding that is not there, on one side."""
    names = [name for name in ("pleural effusion", "consolidation", "atelectasis", "nodule") if name not in known]
    if not names:
        return []
    name = names[rng.integers(len(names))]
    side: Literal["left", "right"] = "right" if rng.random() < 0.5 else "left"
    x1, y1, x2, y2 = next(box.xyxy for box in anatomy if box.label == f"{side} lung")
    w, h = x2 - x1, y2 - y1
    box = Box(xyxy=(x1 + 0.25 * w, y1 + 0.72 * h, x1 + 0.65 * w, y1 + 0.95 * h), label=name)
    region = None if name == "pleural effusion" else "lower"
    return [Finding(name=name, side=side, region=region, severity="mild", boxes=(box,))]

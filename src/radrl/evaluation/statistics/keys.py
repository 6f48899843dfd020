"""What the figures of a comparison are kept under."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ValueKey:
    """One metric of one model."""

    model: str
    metric: str


@dataclass(frozen=True)
class PairKey:
    """One metric of two models: ``model`` is compared with ``to``."""

    model: str
    to: str
    metric: str


@dataclass(frozen=True)
class SideKey:
    """One of the two models of a pair, 0 the model and 1 the other, on the cases that both have a value for."""

    pair: PairKey
    side: int

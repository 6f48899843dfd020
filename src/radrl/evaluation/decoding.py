"""What every backend takes and gives.

A backend is a function that answers ``todo``, a list of (index of the Example, sample), and hands every batch of
answers to ``done`` as soon as it has them: `generate` with transformers, `generate_vllm`, `generate_endpoint`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

Ask = tuple[int, int]  # index of the Example, sample


class Decoding(NamedTuple):
    """How completions are decoded. ``temperature`` 0 is greedy; ``samples`` is how many an Example has. A sampled
    completion depends on ``seed``, the Example's id and the sample's number, not on what else is in its batch."""

    temperature: float = 0.0
    max_new_tokens: int = 256
    samples: int = 1
    seed: int = 0
    batch_size: int = 64


class Said(NamedTuple):
    """One completion: of which Example (its index), which sample, the text, and its length in tokens if known."""

    index: int
    sample: int
    text: str
    tokens: int | None


Done = Callable[[Sequence[Said]], None]


def case_seed(seed: int, name: str, sample: int) -> int:
    """Returns the seed (32 bits) of one sample of one Example."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}\0{sample}".encode()).digest()[:4], "big")

"""How completions are decoded, whatever backend makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

SERVERS = "the server's own"  # in a Header: a setting that no request says


class Decoding(NamedTuple):
    """How completions are decoded: every setting in force, so that nothing is left to a library's or a model folder's
    own. ``temperature`` 0 is greedy; ``samples`` is how many an Example has. A sampled completion depends on ``seed``,
    the Example's id and the sample's number, not on what else is in its batch.

    Of each step's logits: ``repetition_penalty`` first, over prompt and completion (arXiv 1909.05858), then, where it
    is sampled, ``temperature``, ``top_k`` (0: all), ``top_p``. A completion ends with a token that ends the model's
    answers or before a text of ``stop``, none of them within its first ``min_new_tokens`` tokens. ``more`` are settings
    of transformers' ``GenerationConfig`` beside these, taken from a model's folder where the recipe says so.
    """

    temperature: float = 0.0
    max_new_tokens: int = 256
    samples: int = 1
    seed: int = 0
    batch_size: int = 64
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    stop: tuple[str, ...] = ()
    more: Mapping[str, Any] = MappingProxyType({})


def case_seed(seed: int, name: str, sample: int) -> int:
    """Returns the seed (32 bits) of one sample of one Example."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}\0{sample}".encode()).digest()[:4], "big")


def stop_at(text: str, stop: Sequence[str], start: int = 0) -> int | None:
    """Returns where the first of the stop texts that ends after ``start`` characters begins; None where there is none.
    Of several the one that is complete first counts, as for vLLM."""
    ends = []
    for wanted in stop:
        at = text.find(wanted, max(0, start - len(wanted) + 1))
        if at >= 0:
            ends.append((at + len(wanted), at))
    return min(ends, key=lambda end_and_start: end_and_start[0])[1] if ends else None

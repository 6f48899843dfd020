"""Random numbers of a run that do not depend on what was looked at meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def random_state_kept(gpus: Iterable[torch.device | int]) -> Iterator[None]:
    """Leaves the random states of Python, numpy and torch, on the CPU and on these GPUs, as they were before."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=list(gpus)):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)

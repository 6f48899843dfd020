"""Scoring outside the training process: worker processes on this machine, or Ray actors on many.

Processes are spawned, never forked: a fork of a process that has torch's threads or a GPU can hang. A script that
trains with them therefore needs ``if __name__ == "__main__":``. Each worker scores whole groups, so that equal
completions to one question still meet.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from radrl.errors import UserError
from radrl.prompt.messages import PromptStyle
from radrl.scoring.completions import Completion, Values, scorer_values
from radrl.scoring.registry import Scorer


class Pool(Protocol):
    """Scores batches elsewhere, with scorers it was given at its start."""

    def submit(self, wanted: Sequence[int], completions: Sequence[Completion]) -> Callable[[], Values]:
        """Starts scoring a batch with the scorers at these places; the function it returns waits for their values,
        [wanted][completions]."""
        ...


class Scoring:
    """What a worker holds: it gets the scorers once, since a corpus's n-grams may be large."""

    def __init__(self, scorers: Sequence[Scorer], style: PromptStyle) -> None:
        self.scorers, self.style = scorers, style

    def values(self, wanted: Sequence[int], completions: Sequence[Completion]) -> Values:
        """Returns the values of the wanted scorers, [wanted][completions]."""
        return scorer_values([self.scorers[i] for i in wanted], completions, self.style)


def start(workers: int | str, scorers: Sequence[Scorer], style: PromptStyle) -> Pool:
    """Returns a pool of so many processes, or of Ray actors for ``ray``.

    Raises:
        UserError: Ray is not installed.
    """
    scoring = Scoring(scorers, style)
    return Processes(workers, scoring) if isinstance(workers, int) else RayActors(scoring)


class Processes:
    """A pool of processes that stay."""

    def __init__(self, count: int, scoring: Scoring) -> None:
        self.count = count
        self.executor = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin, initargs=(scoring,))

    def submit(self, wanted: Sequence[int], completions: Sequence[Completion]) -> Callable[[], Values]:
        with _told():  # a worker that ended while none was asked is seen here
            futures = [self.executor.submit(_work, wanted, part) for part in _parts(self.count, completions)]

        def wait() -> Values:
            with _told():
                return _joined([future.result() for future in futures])

        return wait


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise UserError(
            "a reward worker ended: out of memory, or the script that trains has no "
            "'if __name__ == \"__main__\":'; 'scoring.workers: 0' scores without workers"
        ) from None


_here: Scoring | None = None


def _begin(scoring: Scoring) -> None:
    global _here
    _here = scoring


def _work(wanted: Sequence[int], completions: Sequence[Completion]) -> Values:
    assert _here is not None
    return _here.values(wanted, completions)


class RayActors:
    """A Ray actor for each CPU of the cluster (``RAY_ADDRESS`` names it; without it, this machine)."""

    def __init__(self, scoring: Scoring) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UserError("'scoring.workers: ray' needs Ray: pip install 'radrl[ray]'") from None
        self.ray = ray
        if not ray.is_initialized():
            here = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False}
            ray.init(log_to_driver=False, **here)
        kept = ray.put(scoring)
        actor = ray.remote(num_cpus=1)(_Actor)
        self.actors = [actor.remote(kept) for _ in range(max(1, int(ray.cluster_resources().get("CPU", 1))))]

    def submit(self, wanted: Sequence[int], completions: Sequence[Completion]) -> Callable[[], Values]:
        parts = _parts(len(self.actors), completions)
        futures = [a.values.remote(wanted, part) for a, part in zip(self.actors, parts, strict=False)]

        def wait() -> Values:
            try:
                return _joined(self.ray.get(futures))
            except self.ray.exceptions.RayTaskError as error:
                raise error.cause from None  # what the scorer raised
            except self.ray.exceptions.RayActorError:
                raise UserError("a reward actor ended (out of memory, or its machine was lost)") from None

        return wait


class _Actor:
    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring

    def values(self, wanted: Sequence[int], completions: Sequence[Completion]) -> Values:
        return self.scoring.values(wanted, completions)


def _parts(count: int, completions: Sequence[Completion]) -> list[Sequence[Completion]]:
    """Cuts a batch into at most ``count`` parts of about the same size, between the groups of one Example."""
    cuts, size = [0], len(completions) / count
    for i in range(1, len(completions)):
        if i >= size * len(cuts) and completions[i].example is not completions[i - 1].example:
            cuts.append(i)
    return [completions[a:b] for a, b in zip(cuts, [*cuts[1:], len(completions)], strict=True)]


def _joined(parts: Sequence[Values]) -> Values:
    """Returns the values of all parts of a batch, from those of each part."""
    return [[value for part in of_scorer for value in part] for of_scorer in zip(*parts, strict=True)]

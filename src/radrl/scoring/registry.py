"""Scorers by name. A scorer is one function; a reward and a metric are the same scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from radrl.errors import UserError, nearest
from radrl.example import Answer, Example, Score, Task

ScoreFunction = Callable[[Sequence[Example], Sequence[Answer]], list[Score | None]]


@dataclass(frozen=True)
class Scorer:
    """A named scorer with what a table must know of it.

    ``function`` takes Examples and their Answers (same length) and returns a Score each, or None where the scorer
    does not apply; it is only called with Examples of its ``tasks``. Every value is finite and in [low, high].
    """

    name: str
    function: ScoreFunction
    tasks: tuple[Task, ...]
    low: float
    high: float
    higher_is_better: bool

    def __call__(self, examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
        """Scores each pair; None where the Example's task is not one of this scorer's.

        An Answer without text (thinking never closed, say) gets the worst value: it must not be paid for a normal
        film whose reference names no finding, nor for a question with nothing to find.
        """
        scores: list[Score | None] = [None] * len(examples)
        blank = Score(self.low if self.higher_is_better else self.high)
        chosen = []
        for i, (example, answer) in enumerate(zip(examples, answers, strict=True)):
            if example.task in self.tasks:
                if answer.text.strip():
                    chosen.append(i)
                else:
                    scores[i] = blank
        if not chosen:
            return scores
        for i, score in zip(
            chosen, self.function([examples[i] for i in chosen], [answers[i] for i in chosen]), strict=True
        ):
            if score is not None and not self.low <= score.value <= self.high:  # also catches NaN
                raise ValueError(
                    f"scorer {self.name} gave {score.value} for {examples[i].id}, outside [{self.low}, {self.high}]"
                )
            scores[i] = score
        return scores


_SCORERS: dict[str, Scorer] = {}


def scorer(
    name: str, *, tasks: tuple[Task, ...], low: float = 0.0, high: float = 1.0, higher_is_better: bool = True
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Registers a function as the scorer ``name``."""

    def register(function: ScoreFunction) -> ScoreFunction:
        _SCORERS[name] = Scorer(name, function, tasks, low, high, higher_is_better)
        return function

    return register


def get(name: str) -> Scorer:
    """Returns the scorer of that name.

    Raises:
        UserError: there is none; the nearest right name is given.
    """
    if name not in _SCORERS:
        raise UserError(f"unknown scorer '{name}'{nearest(name, _SCORERS)}; known: {', '.join(sorted(_SCORERS))}")
    return _SCORERS[name]

"""When the audit of a GRPO run warns, and in which words: a task's answers now against those of the start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from radrl.clinical.compare import ErrorKind
from radrl.example import Task
from radrl.training.audit.figures import Group, Means, means

DRIFT = 0.4  # change of length that asks for a reason
MIN_WORDS = 2.0  # "yes" against "it is" is no drift
SURE = 4.0  # standard errors: looked at on every step, a lower bar would be passed by chance


class Change(NamedTuple):
    """A task now against the start: means of both, the change of length as a share, whether it is a drift, and the
    kinds of clinical errors that have become more frequent."""

    start: Means
    now: Means
    length: float
    drift: bool
    worse: list[ErrorKind]

    @property
    def odd(self) -> bool:
        """Whether there is something that asks for a look at the clinical metric."""
        return self.drift or bool(self.worse) or rises(self.now.metric, self.start.metric)


def rises(start: tuple[float, float], now: tuple[float, float]) -> bool:
    """Returns whether a mean (with its standard error) has risen beyond chance; False where one is not known."""
    return now[0] - start[0] > SURE * math.hypot(start[1], now[1])


def change_between(first: Sequence[Group], last: Sequence[Group]) -> Change:
    """Returns the change from a task's first groups to its last ones."""
    start, now = means(first), means(last)
    length = now.length[0] / max(start.length[0], 1 / start.reference_words) - 1  # from no words: as from one
    words = abs(now.length[0] - start.length[0]) * now.reference_words
    sure = rises(start.length, now.length) or rises(now.length, start.length)
    drift = abs(length) > DRIFT and words >= MIN_WORDS and sure
    return Change(start, now, length, drift, [k for k in start.errors if rises(start.errors[k], now.errors[k])])


class Witness(NamedTuple):
    """The clinical metric that a change has to answer to: by name, of which completions, at the start, now, and the
    standard error of the difference."""

    metric: str
    of: str
    before: float
    after: float
    error: float


@dataclass
class Warned:
    """A warning: its kind, the figures behind it, and its text."""

    kind: str
    evidence: dict[str, Any]
    text: str


def warnings_of(task: Task, change: Change, witness: Witness, step: int) -> list[Warned]:
    """Returns what has changed since the start where the clinical metric does not speak for it."""
    start, now = change.start, change.now
    _, _, before, after, error = witness
    evidence = {
        "step": step, "task": task, "length_change": change.length,
        "words_over_reference_start": start.length[0], "words_over_reference_now": now.length[0],
        "errors_start": {kind: start.errors[kind][0] for kind in change.worse},
        "errors_now": {kind: now.errors[kind][0] for kind in change.worse},
        "reward_start": start.reward[0], "reward_now": now.reward[0],
        "witness": witness.of, "metric": witness.metric,
        "metric_start": before, "metric_now": after, "metric_standard_error": error,
    }  # fmt: skip
    evidence = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in evidence.items()}
    said = (
        f"({witness.metric} on {witness.of}: {before:.3g} at the start, {after:.3g} now, s.e. {error:.2g}; "
        f"reward {start.reward[0]:.3g}, now {now.reward[0]:.3g})"
    )
    followed = after > before and after - before >= error
    warnings = []
    if change.drift and not followed:
        direction = "longer" if change.length > 0 else "shorter"
        text = (
            f"{task} answers are {abs(change.length):.0%} {direction} than at the start, against their references "
            f"({now.length[0]:.2f} of a reference's words, {start.length[0]:.2f} at the start), and the clinical "
            f"metric does not follow {said}"
        )
        warnings.append(Warned(f"{direction} answers", evidence, text))
    if change.worse and not followed:
        kinds = ", ".join(
            f"{kind.replace('_', ' ')} {start.errors[kind][0]:.2f}, now {now.errors[kind][0]:.2f} a report"
            for kind in change.worse
        )
        text = (
            f"clinical errors have become more frequent on rollouts ({kinds}), and the clinical metric does not "
            f"follow {said}"
        )
        warnings.append(Warned("more clinical errors", evidence, text))
    if before - after > SURE * error:
        text = f"the clinical metric of {task} has fallen {said}"
        warnings.append(Warned("clinical metric fell", evidence, text))
    return warnings

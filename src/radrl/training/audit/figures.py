"""What the audit of a GRPO run measures: figures of one rollout batch, and means over groups with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from radrl.answers.parsing import parse
from radrl.boxes.notation import Size
from radrl.clinical.compare import KINDS, ErrorKind, compare, weighted_error
from radrl.example import TASKS, Answer, Example, Task
from radrl.prompt.messages import PromptStyle, answer_text
from radrl.scoring import registry

SCORERS: dict[Task, str] = {
    "grounding": "soft_f1",
    "vqa_closed": "vqa_accuracy",
    "vqa_open": "vqa_accuracy",
    "classification": "label_f1",
}
TASK, WORDS, REFERENCE_WORDS, METRIC, ERRORS = 0, 1, 2, 3, 4  # columns of a completion's measures

compared = lru_cache(maxsize=8192)(compare)  # completions of a rollout are often equal

Group = list[float | None]  # means of: words, words of the reference, clinical metric, errors by kind, weighted reward


def metric_name(task: Task, rewards: Sequence[str], *, held_out: bool) -> str:
    """Returns the clinical metric of a task, named as the warning names it. On rollouts it should not be one that is
    rewarded, where there is a choice. ``rewards`` are names as ``task/scorer``."""
    if task != "report":
        return SCORERS[task]
    rewarded = {name.partition("/")[2] for name in rewards if name.startswith("report/")}
    other = not held_out and "clinical_error" in rewarded and "finding_f1" not in rewarded
    return "finding_f1" if other else "1 - clinical_error"


def clinical_metric(example: Example, answer: Answer, name: str) -> float | None:
    """Returns the clinical metric, 0-1, higher is better; None where the reference report says nothing of a film."""
    if example.task == "report":
        if compared(example.reference, example.reference).silent:
            return None
        comparison = compared(example.reference, answer.text)
        return comparison.f1 if name == "finding_f1" else 1.0 - weighted_error(comparison)
    score = registry.get(name)([example], [answer])[0]
    return None if score is None else score.value


def measure(
    example: Example, completion: str, style: PromptStyle, metric: str, size: Size | None = None
) -> list[float]:
    """Returns a completion's task (number in TASKS), words, words of the reference, clinical metric, and its clinical
    errors by kind; NaN where there is nothing to compare with, and errors for reports only. Thinking is no word."""
    answer = parse(completion, example, style, size=size)
    words = [float(len(text.split())) for text in (answer.text, answer_text(example, style.box_format, size))]
    value = clinical_metric(example, answer, metric)
    if value is None or example.task != "report":
        errors = [np.nan] * len(KINDS)
    else:
        comparison = compared(example.reference, answer.text)
        errors = [float(comparison.count(kind)) for kind in KINDS]
    return [float(TASKS.index(example.task)), *words, np.nan if value is None else value, *errors]


def batch_figures(
    measured: np.ndarray, values: np.ndarray, weights: np.ndarray, names: Sequence[str], size: int
) -> dict[str, float]:
    """Returns the figures of a rollout batch by log key; those that are not defined in it are left out.

    ``measured`` is (n, 4 + kinds) as `measure` gives it, ``values`` (n, functions) the rewards before weighting, NaN
    where one does not apply, groups of ``size`` rows next to each other. For each reward, and for the weighted sum of
    each task as ``TASK/total``: ``length_correlation``, Pearson's within groups between the reward and the words
    (each less its group's mean, as in the advantage; a reward with a negative weight counts with its sign turned);
    ``group_std``, the mean standard deviation within groups; ``zero_std``, the share of groups without any spread. For
    each task its mean ``words`` and ``clinical_metric``, and for reports the mean ``errors/KIND`` a report.
    """
    words = measured[:, WORDS]
    figures: dict[str, float] = {}
    columns = {name: values[:, k] * (-1.0 if weights[k] < 0 else 1.0) for k, name in enumerate(names)}
    total = weighted_total(values, weights)
    for number in np.unique(measured[:, TASK]).astype(int):
        task, mine = TASKS[number], measured[:, TASK] == number
        columns[f"{task}/total"] = np.where(mine, total, np.nan)
        figures[f"audit/{task}/words"] = float(words[mine].mean())
        if np.isfinite(measured[mine, METRIC]).any():
            figures[f"audit/{task}/clinical_metric"] = float(np.nanmean(measured[mine, METRIC]))
        if task == "report" and np.isfinite(measured[mine, ERRORS]).any():
            counts = np.nanmean(measured[mine, ERRORS:], 0)
            figures |= {f"audit/report/errors/{k}": float(c) for k, c in zip(KINDS, counts, strict=True)}
    for name, column in columns.items():
        groups = column.reshape(-1, size)
        whole = np.isfinite(groups).all(1)
        if not whole.any():
            continue
        groups = groups[whole]
        spread = groups.std(1, ddof=1) if size > 1 else np.zeros(len(groups))
        figures[f"audit/{name}/group_std"] = float(spread.mean())
        figures[f"audit/{name}/zero_std"] = float(np.isclose(spread, 0.0).mean())
        r = correlation(groups, words.reshape(-1, size)[whole])
        if r is not None:
            figures[f"audit/{name}/length_correlation"] = r
    return figures


def correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Returns Pearson's correlation of (groups, rows) values less their group's mean; None where one has no spread."""
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    if np.abs(a).max() < 1e-7 or np.abs(b).max() < 1e-7:  # float32 rounding is no spread
        return None
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def weighted_total(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns each row's weighted sum of the rewards that apply, NaN where none does."""
    return np.where(np.isnan(values).all(1), np.nan, np.nansum(values * weights, 1))


def group_row(rows: np.ndarray) -> Group:
    """Returns a group's means from its (size, columns) values, over what is known."""
    return [float(x[np.isfinite(x)].mean()) if np.isfinite(x).any() else None for x in rows.T]


class Means(NamedTuple):
    """Over the groups of a task, each with its standard error: words as a multiple of the references' words, clinical
    metric, clinical errors by kind, weighted reward (NaN where no group has one); and the mean words of a reference."""

    length: tuple[float, float]
    metric: tuple[float, float]
    errors: dict[ErrorKind, tuple[float, float]]
    reward: tuple[float, float]
    reference_words: float


def means(groups: Sequence[Group]) -> Means:
    """Returns the means of groups; the length is the ratio of sums, with the usual standard error of a ratio."""
    table = np.array(groups, dtype=float)
    words, reference = table[:, 0], np.maximum(table[:, 1], 1.0)
    ratio = words.sum() / reference.sum()
    error = _standard_error(words - ratio * reference) / reference.mean()
    metric, *errors, reward = (_mean(column) for column in table[:, 2:].T)
    by_kind = dict(zip(KINDS, errors, strict=True))
    return Means((float(ratio), float(error)), metric, by_kind, reward, float(reference.mean()))


def _mean(x: np.ndarray) -> tuple[float, float]:
    x = x[np.isfinite(x)]
    return (float(x.mean()), _standard_error(x)) if len(x) else (np.nan, np.nan)


def _standard_error(x: np.ndarray) -> float:
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else np.inf

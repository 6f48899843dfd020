"""Shortcuts a score may come from: the place of the right option, the question without its image, length, subgroups.

- Position: a question with lettered options is asked once for every rotation of them, so that the right one stands at
  every place once. A model that reads the image is right as often at each place and picks the same option each time.
- Controls: the same questions with a grey image of the same size, and with the image of another patient. What is left
  of the score did not come from the image.
- Length: rank correlation of a report's length with its score.
- Subgroups: every metric by sex, age band, view and source, with intervals.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from radrl.choices.picking import LETTERS, is_yes_no
from radrl.evaluation.answers.asked_examples import ChangedExamples
from radrl.evaluation.statistics.intervals import bootstrap_mean, paired_difference
from radrl.example import Answer, Example
from radrl.manifest.example_set import ExampleSet
from radrl.manifest.independence import unit_of
from radrl.scoring.vqa import is_right

ROTATED, BLANK, SWAPPED = "rotated choices", "blank image", "swapped image"
AGES = ((0, 17), (18, 39), (40, 59), (60, 79), (80, 150))
UNKNOWN = "not known"
Row = dict[str, Any]
Values = Mapping[str, np.ndarray]  # by metric, one value an Example, NaN where it does not apply


def rotated(examples: ExampleSet) -> ChangedExamples:
    """Returns every other rotation of the options of each question that has lettered ones, ids ``ID ~k``."""
    changed, rows = [], []
    for i, example in enumerate(examples):
        if not _lettered(example):
            continue
        for k in range(1, len(example.choices)):
            choices = example.choices[k:] + example.choices[:k]
            changed.append(example.model_copy(update={"id": f"{example.id} ~{k}", "choices": choices}))
            rows.append(i)
    return ChangedExamples(examples, changed, rows)


def _lettered(example: Example) -> bool:
    differ = len(set(example.choices)) == len(example.choices) > 1  # of equal options none has a place of its own
    return example.task == "vqa_closed" and differ and not is_yes_no(example.choices)


def with_images(examples: ExampleSet) -> ExampleSet:
    """Returns the Examples that have an image: those that the controls are about."""
    return examples.where(lambda example: bool(example.images))


def blank(examples: ExampleSet) -> ChangedExamples:
    """Returns the Examples with grey images."""
    return ChangedExamples(examples, examples, range(len(examples)), grey=True)


def swapped(examples: ExampleSet, seed: int = 0) -> ChangedExamples:
    """Returns the Examples, each with the images of another patient's Example: patients are put in a circle by the
    seed, and all Examples of one get images of the next. With a single patient the images stay."""
    units = [unit_of(example) for example in examples]
    order = sorted(set(units))
    random.Random(seed).shuffle(order)
    after = dict(zip(order, order[1:] + order[:1], strict=True))
    rows: dict[str, list[int]] = {}
    for i, unit in enumerate(units):
        rows.setdefault(unit, []).append(i)
    given = []  # as many images as the question has where the next patient has such an Example, else its first ones
    for example, unit in zip(examples, units, strict=True):
        others = rows[after[unit]]
        given.append(next((i for i in others if len(examples[i].images) == len(example.images)), others[0]))
    changed = [
        example.model_copy(update={"images": examples[i].images}) for example, i in zip(examples, given, strict=True)
    ]
    return ChangedExamples(examples, changed, given)


def positions(
    examples: Sequence[Example], answers: Sequence[Answer], turned: Sequence[Example], said: Sequence[Answer], seed: int
) -> list[Row]:
    """Returns accuracy and picks by the place of the right option, over all rotations, and how consistent picks are.

    ``examples`` are all Examples asked, ``turned`` those of `rotated`. Rows: for each number of options and place the
    accuracy where the right option stands there, and the share of all questions for which that place was picked (1 /
    options where there is no preference); then, for each number of options, ``consistent`` (the same option was picked
    in all rotations) and ``unread`` (no option could be read). Values have 95% intervals over patients.
    """
    home = {example.id: i for i, example in enumerate(examples)}
    asked: dict[str, list[tuple[Example, Answer]]] = {}
    for example, answer in zip(turned, said, strict=True):
        name = example.id.rpartition(" ~")[0]
        first = home[name]
        asked.setdefault(name, [(examples[first], answers[first])]).append((example, answer))
    rows: list[Row] = []
    for n in sorted({len(group) for group in asked.values()}):
        groups = [group for group in asked.values() if len(group) == n]
        units = [unit_of(group[0][0]) for group in groups]
        for place in range(n):
            right = [float(is_right(e, a)) for g in groups for e, a in g if e.choices.index(e.reference) == place]
            rows.append(_row({"options": n, "what": f"right where {LETTERS[place]} is right"}, right, units, seed))
        for place in range(n):
            picks = [sum(a.choice == place for _, a in group) / n for group in groups]
            rows.append(_row({"options": n, "what": f"picked {LETTERS[place]}"}, picks, units, seed))
        same = []
        for group in groups:
            texts = {None if a.choice is None else e.choices[a.choice] for e, a in group}
            same.append(float(len(texts) == 1 and None not in texts))
        rows.append(_row({"options": n, "what": "same option in all rotations"}, same, units, seed))
        unread = [sum(a.choice is None for _, a in group) / n for group in groups]
        rows.append(_row({"options": n, "what": "no option read"}, unread, units, seed))
    return rows


def controls(examples: Sequence[Example], real: Values, without: Mapping[str, Values], seed: int) -> list[Row]:
    """Returns for each metric its mean with the image, and for each control its mean, the paired difference to the one
    with the image with interval and p, and ``left``: the control's mean as a share of the real one's."""
    units = [unit_of(example) for example in examples]
    rows = []
    for metric, values in real.items():
        known = np.isfinite(values)
        if not known.any():
            continue
        row = _row({"metric": metric, "images": "own"}, values, units, seed)
        rows.append(row)
        for name, others in without.items():
            if metric not in others:
                continue
            other = _row({"metric": metric, "images": name}, others[metric], units, seed)
            both = known & np.isfinite(others[metric])
            who = [unit for unit, yes in zip(units, both, strict=True) if yes]
            if len(set(who)) > 1:
                a, b = others[metric][both][:, None], values[both][:, None]
                found = paired_difference(a, b, who, seed=seed)
                other |= {"difference": float(found.mean[0]), "p": float(found.p[0])}
                other |= {"difference low": float(found.low[0]), "difference high": float(found.high[0])}
            if row["mean"] and other["mean"] is not None:
                other["left"] = other["mean"] / row["mean"]
            rows.append(other)
    return rows


def lengths(examples: Sequence[Example], answers: Sequence[Answer], values: Values) -> tuple[list[Row], list[Row]]:
    """Returns length against score: Spearman's rank correlation (and its p) of the words of an answer with each metric,
    where it can be had; and the table behind it, one row a case."""
    words = np.array([len(answer.text.split()) for answer in answers], dtype=float)
    wanted = np.array([len(example.reference.split()) for example in examples], dtype=float)
    rows = []
    for task in dict.fromkeys(example.task for example in examples):
        mine = np.array([example.task == task for example in examples])
        for metric, column in values.items():
            known = np.isfinite(column) & mine
            if known.sum() > 2 and np.ptp(words[known]) and np.ptp(column[known]):
                rho, p = map(float, spearmanr(words[known], column[known]))
                rows.append({"task": task, "metric": metric, "n": int(known.sum()), "spearman": rho, "p": p})
    cases = [
        {
            "id": example.id,
            "task": example.task,
            "words": int(words[i]),
            "reference words": int(wanted[i]),
            "tokens": answers[i].tokens,
            **{metric: _number(column[i]) for metric, column in values.items()},
        }
        for i, example in enumerate(examples)
    ]
    return rows, cases


def subgroups(examples: Sequence[Example], values: Values, seed: int) -> list[Row]:
    """Returns each metric's mean and 95% interval over patients within each sex, age band, view and source."""
    units = [unit_of(example) for example in examples]
    rows = []
    for by, group_of in GROUPS.items():
        groups = [group_of(example) for example in examples]
        for name in sorted(set(groups)):
            if set(groups) == {UNKNOWN}:
                continue
            mine = np.array([group == name for group in groups])
            for metric, column in values.items():
                if (mine & np.isfinite(column)).any():
                    row = {"by": by, "group": name, "metric": metric}
                    rows.append(_row(row, np.where(mine, column, np.nan), units, seed))
    return rows


def age_band(example: Example) -> str:
    """Returns the band of an Example's ``meta['age']`` in years (a number, or DICOM's ``061Y``)."""
    age = example.meta.get("age")
    if isinstance(age, str):
        text = age.strip().removesuffix("Y")
        age = float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None
    if isinstance(age, bool) or not isinstance(age, (int, float)) or not math.isfinite(age):
        return UNKNOWN
    return next((f"{low}-{high}" for low, high in AGES if low <= int(age) <= high), UNKNOWN)


def _meta(key: str) -> Callable[[Example], str]:
    return lambda example: str(example.meta.get(key) or "").strip() or UNKNOWN


GROUPS: dict[str, Callable[[Example], str]] = {
    "sex": _meta("sex"),
    "age": age_band,
    "view": _meta("view"),
    "source": lambda example: example.source or UNKNOWN,
}


def _row(told: Row, values: Iterable[float], units: Sequence[str], seed: int) -> Row:
    """Returns a row with the number of cases and patients, the mean, and its interval where there are two patients."""
    column = np.asarray(list(values) if not isinstance(values, np.ndarray) else values, dtype=float)
    known = np.isfinite(column)
    who = [unit for unit, yes in zip(units, known, strict=True) if yes]
    row = {**told, "n": int(known.sum()), "patients": len(set(who)), "mean": None, "low": None, "high": None}
    if who:
        row["mean"] = float(column[known].mean())
    if row["patients"] > 1:
        _, low, high = bootstrap_mean(column[known][:, None], who, seed=seed)
        row |= {"low": _number(low[0]), "high": _number(high[0])}
    return row


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""What the case browser of a page shows, as data that its script draws case by case."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radrl.evaluation.controls.from_training import NONE
from radrl.evaluation.metrics.records import CaseScores, Metric, metrics_of
from radrl.evaluation.metrics.usual_metrics import MAIN_METRICS
from radrl.evaluation.statistics.comparison import question_type
from radrl.example import TASKS, Answer, Box, Example, Finding
from radrl.output.page.pictures import Picture
from radrl.output.page.text import clean, pieces
from radrl.prompt.messages import earlier
from radrl.scoring import registry
from radrl.scoring.classification import Compared
from radrl.scoring.classification import compared as compared_labels
from radrl.scoring.report import compared
from radrl.scoring.vqa import is_yes_no_question, picked

KINDS = ("", "match", "false", "missed", "absent")
TASK_NAMES = {
    "report": "report",
    "grounding": "grounding",
    "vqa_closed": "closed question",
    "vqa_open": "open question",
    "classification": "classification",
}


def case_data(
    examples: Sequence[Example],
    answers: Mapping[str, Sequence[Answer]],
    scores: Mapping[str, CaseScores],
    pictures: Sequence[Picture],
    baselines: Sequence[str],
    base: str,
) -> dict[str, Any]:
    """Returns all that the browser needs, as JSON types. Text is cleaned here and escaped by ``as_script``.

    A text's marks are runs [signs, kind, note], which joined are the text; kinds and notes are numbers in lists.
    """
    metrics = [m for m in metrics_of(scores.values()) if any(_values(s, m) is not None for s in scores.values())]
    of_task = {task: [m for m in metrics if task in m.tasks] for task in TASKS}
    values = {(name, m.name): _values(s, m) for name, s in scores.items() for m in metrics}
    notes: dict[str, int] = {"": 0}
    models = list(answers)
    mine = [name for name in models if name not in baselines] or models
    return {
        "models": [clean(name) for name in models],
        "baselines": [models.index(name) for name in baselines if name in models],
        "first": models.index(base) if base in models else 0,
        "second": models.index(next((n for n in reversed(mine) if n != base), mine[-1])),
        "kinds": list(KINDS),
        "tasks": [
            {
                "name": TASK_NAMES[task],
                "metrics": [[m.short, m.better, m.high if np.isfinite(m.high) else None] for m in of_task[task]],
                "main": next((i for i, m in enumerate(of_task[task]) if m.name == MAIN_METRICS[task]), 0),
            }
            for task in TASKS
        ],
        "cases": [
            _case(i, example, answers, of_task[example.task], values, pictures[i], notes)
            for i, example in enumerate(examples)
        ],
        "notes": [clean(note) for note in notes],  # after the cases, which add to them
    }


def as_script(value: Any) -> str:
    """Returns JSON that can stand in a script element whatever the text in it is."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _values(scores: CaseScores, metric: Metric) -> np.ndarray | None:
    column = scores.columns.get(metric.name)
    return None if column is None else column.by_case


def _case(
    i: int,
    example: Example,
    answers: Mapping[str, Sequence[Answer]],
    metrics: Sequence[Metric],
    values: Mapping[tuple[str, str], np.ndarray | None],
    picture: Picture,
    notes: dict[str, int],
) -> dict[str, Any]:
    kind = question_type(example) or str(example.meta.get("type", "")).split(":")[0]
    given = []
    for name, of_model in answers.items():
        answer = of_model[i]
        one: dict[str, Any] = {"t": clean(answer.text), "v": [_number(values[name, m.name], i) for m in metrics]}
        if example.task == "report" and answer is not NONE:
            (score,) = registry.get("finding_f1")([example], [answer])
            marks = score.marks if score else ()
            one["m"] = _runs(answer.text, [m for m in marks if m.side == "answer"], notes)
            one["r"] = _runs(example.reference, [m for m in marks if m.side == "reference"], notes)
            one["e"] = _errors(example.reference, answer.text)
        if example.task == "classification":
            one["l"] = _labels(compared_labels(example, answer))
        elif example.choices or is_yes_no_question(example):
            one["o"] = clean(picked(example, answer) or "")
        if answer.thinking:
            one["k"] = clean(answer.thinking)
        if not answer.well_formed:
            one["f"] = 1
        if answer.boxes:
            one["b"] = _boxes(answer.boxes, picture.height)
        given.append(one)
    case = {
        "id": clean(example.id),
        "t": TASKS.index(example.task),
        "s": clean(example.source),
        "y": clean(kind if kind != example.task else ""),
        "p": clean(example.patient or ""),
        "q": clean(earlier(example) + example.question),
        "c": [clean(choice) for choice in example.choices],
        "r": clean(example.reference),
        "i": picture.source,
        "n": clean(picture.note),
        "h": round(picture.height, 1),
        "b": _boxes(example.boxes, picture.height),
        "a": given,
    }
    return {key: value for key, value in case.items() if value not in ("", [], None)}


def _number(values: np.ndarray | None, i: int) -> float | None:
    return None if values is None or np.isnan(values[i]) else round(float(values[i]), 4)


def _runs(text: str, marks: Sequence[Any], notes: dict[str, int]) -> list[list[int]]:
    return [
        [len(piece.text), KINDS.index(piece.kind), notes.setdefault(piece.note, len(notes))]
        for piece in pieces(text, marks)
    ]


def _errors(reference: str, answer: str) -> list[str]:
    """Returns the clinical errors of an answer in words."""
    return [clean(_error(error.kind, error.reference, error.answer)) for error in compared(reference, answer).errors]


def _error(kind: str, reference: Finding | None, answer: Finding | None) -> str:
    what = kind.replace("_", " ")
    if reference is None or answer is None:
        one = reference or answer
        return f"{what}: {', '.join(x for x in (one.name, one.side, one.severity) if x)}" if one else what
    key = kind.removeprefix("wrong_")
    before, after = (getattr(x, key) or "not told" for x in (reference, answer))
    return f"{what}: {reference.name}, {after} instead of {before}"


def _labels(found: Compared) -> list[list[Any]]:
    """Returns [kind, names] of the labels that are right, false and missed, where there are some."""
    kinds = zip(("match", "false", "missed"), (found.match, found.false, found.missed), strict=True)
    labels = [[KINDS.index(kind), clean(", ".join(names))] for kind, names in kinds if names]
    return labels or [[KINDS.index("match" if found.nothing else "missed"), "none of the labels is there"]]


def _boxes(boxes: Sequence[Box], height: float) -> list[list[Any]]:
    """Returns boxes as [x, y, width, height, label] in the units of the picture: 1000 wide, ``height`` high."""
    return [
        [
            round(x1 * 1000, 1),
            round(y1 * height, 1),
            round((x2 - x1) * 1000, 1),
            round((y2 - y1) * height, 1),
            clean(b.label),
        ]
        for b in boxes
        for x1, y1, x2, y2 in [b.xyxy]
    ]

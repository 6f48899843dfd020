"""What one gets without looking at the image: the trivial baseline every trained model has to beat.

It knows the training Examples and, of a test Example, only its task, its question, its choices and
``meta['type']``; never its reference, boxes, findings or image.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

import radrl.scoring  # noqa: F401  (registers the scorers)
from radrl.errors import UserError
from radrl.example import Answer, Box, Example
from radrl.scoring import registry

NAME = "trivial baseline"
_REPORTS = 200  # references a template is tried on
_TEMPLATES = 50  # templates tried; with 200 references some seconds


class _Known(NamedTuple):
    """All of a test Example that a baseline may see."""

    task: str
    question: str
    type: str
    choices: tuple[str, ...]


def answers(train: Sequence[Example], examples: Sequence[Example], seed: int = 0) -> list[Answer]:
    """Answers each test Example from the training Examples alone.

    - report: always the same text, the training report with the best mean finding_f1 against a seeded sample of at
      most 200 training reports (tried: the 50 most usual texts, ties drawn with ``seed``).
    - grounding: no box where most training Examples of the group have none; else, for each label that most of the
      others have, the coordinate-wise median of its boxes.
    - vqa: the most usual answer of the group; with choices, the most usual one among them, else the first.

    The group of a test Example is the training Examples of its task with the same question (case and spacing
    aside); where there is none, those of the same ``meta['type']``; where there is none, those of the task.

    Raises:
        UserError: a task of the test Examples has no training Example.
    """
    groups: dict[tuple[str, ...], list[Example]] = defaultdict(list)
    for example in train:
        for key in _keys(_known(example)):
            groups[key].append(example)
    cache: dict[tuple[str, ...], Callable[[_Known], Answer]] = {}
    found = []
    for known in map(_known, examples):
        key = next((key for key in _keys(known) if key in groups), None)
        if key is None:
            raise UserError(
                f"no training example of task '{known.task}', so there is no trivial baseline for it; "
                "add some to the training manifest or leave the task out of the test"
            )
        if key not in cache:
            cache[key] = _FIT[known.task](groups[key], seed)
        found.append(cache[key](known))
    return found


def _known(example: Example) -> _Known:
    kind = str(example.meta.get("type", ""))
    return _Known(example.task, " ".join(example.question.lower().split()), kind, example.choices)


def _keys(known: _Known) -> list[tuple[str, ...]]:
    """Returns the groups an Example belongs to, narrowest first. A report has one template whatever the question."""
    task = (known.task,)
    if known.task == "report":
        return [task]
    return [(known.task, "question", known.question), *([(known.task, "type", known.type)] if known.type else []), task]


def _report(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    draw = random.Random(seed)
    shuffled = draw.sample(group, len(group))
    counts = Counter(example.reference for example in shuffled)  # most_common keeps the drawn order among ties
    templates = [text for text, _ in counts.most_common(_TEMPLATES)]
    references = shuffled[:_REPORTS]
    finding_f1 = registry.get("finding_f1")

    def worth(text: str) -> float:
        scores = finding_f1(references, [Answer(text)] * len(references))
        return sum(score.value for score in scores if score is not None)

    best = Answer(max(templates, key=worth))  # the first, so the most usual, of equals
    return lambda known: best


def _grounding(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    with_boxes = [example.boxes for example in group if example.boxes]
    if 2 * len(with_boxes) < len(group) or not with_boxes:
        return lambda known: _grounded(())
    having = Counter(label for boxes in with_boxes for label in {box.label for box in boxes})
    usual = [label for label, times in _ranked(having) if 2 * times > len(with_boxes)] or [_ranked(having)[0][0]]
    middle = tuple(_median_box([box for boxes in with_boxes for box in boxes if box.label == label]) for label in usual)
    return lambda known: _grounded(middle)


def _grounded(boxes: tuple[Box, ...]) -> Answer:
    said = "; ".join(f"{box.label} [{', '.join(f'{v:.2f}' for v in box.xyxy)}]".strip() for box in boxes)
    return Answer(said or "none", boxes=boxes)


def _median_box(boxes: Sequence[Box]) -> Box:
    """Returns the box of the median left, top, right and bottom; it is a box, as each x1 < x2 and y1 < y2."""
    x1, y1, x2, y2 = (median(box.xyxy[side] for box in boxes) for side in range(4))
    return Box(xyxy=(x1, y1, x2, y2), label=boxes[0].label)


def _vqa(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    usual = [text for text, _ in _ranked(Counter(example.reference for example in group))]

    def choose(known: _Known) -> Answer:
        if not known.choices:
            return Answer(usual[0])
        text = next((text for text in usual if text in known.choices), known.choices[0])
        return Answer(text, choice=known.choices.index(text))

    return choose


def _ranked(counts: Counter[str]) -> Iterable[tuple[str, int]]:
    """Returns texts by falling count; equals in alphabetical order, so the order of the manifest does not matter."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


_FIT = {"report": _report, "grounding": _grounding, "vqa_closed": _vqa, "vqa_open": _vqa}

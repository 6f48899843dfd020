"""What one gets without reading the image: the trivial baselines every trained model has to beat.

They know the training Examples and, of a test Example, only its task, its question, its choices and ``meta['type']``;
never its reference, boxes or findings. `nearest` looks at the image too, but only for the training image most like it.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from radrl import label_names
from radrl.clinical import extract
from radrl.clinical.compare import compare, merge
from radrl.errors import UserError
from radrl.evaluation.controls import nearest
from radrl.example import Answer, Box, Example
from radrl.manifest.example_set import ExampleSet

NAME = "trivial baseline"
USUAL = "most usual answer"
NAMES = (NAME, USUAL, nearest.NAME)
_READ = 5000  # training reports drawn to take templates from; reading one costs about 0.2 ms
_REPORTS = 200  # references a template is tried on
_TEMPLATES = 200  # templates tried on each of them


class _Known(NamedTuple):
    """All of a test Example that a baseline may see."""

    task: str
    question: str
    type: str
    choices: tuple[str, ...]
    label_set: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Returns the labels that a classification question's answer may name; any where there are none."""
        return self.choices or self.label_set


def baseline_answers(
    train: ExampleSet, test: ExampleSet, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> dict[str, list[Answer]]:
    """Returns the Answers of each baseline by its name, in the order of the test Examples.

    - ``trivial baseline``: the best constant answer, see `constant_answers`;
    - ``most usual answer``: the same, but for reports and label sets the most usual one; left out where nothing
      differs;
    - ``nearest image (thumbnail)``: of the training Examples the narrowest group holds, the answer of the one with
      the most similar image (see `nearest`); with choices, the nearest whose answer is one of them. Where there is
      none, the trivial baseline's. Left out where no test Example has an image.

    Raises:
        UserError: a task of the test Examples has no training Example, or an image cannot be read.
    """
    by_baseline = {NAME: constant_answers(list(train), list(test), seed)}
    usual = constant_answers(
        list(train), list(test), seed, {**_FIT, "report": _usual_report, "classification": _usual_labels}
    )
    if usual != by_baseline[NAME]:
        by_baseline[USUAL] = usual
    if any(example.images for example in test):
        by_baseline[nearest.NAME] = _nearest(train, test, seed, by_baseline[NAME], progress)
    return by_baseline


def _nearest(
    train: ExampleSet,
    test: ExampleSet,
    seed: int,
    otherwise: Sequence[Answer],
    progress: Callable[[int, int], None] | None,
) -> list[Answer]:
    neighbours = nearest.Neighbours(train, lambda i: _keys(_known(train[i])), seed, progress=progress)
    answers = []
    for i, (example, trivial) in enumerate(zip(test, otherwise, strict=True)):
        known, picture = _known(example), nearest.first_picture(test, i)
        row = None
        if picture:
            for key in _keys(known):
                row = neighbours.find(picture, key, lambda k, known=known: _may_say(known, train[k]))
                if row is not None:
                    break
        answers.append(trivial if row is None else _as_answer(train[row], known))
    return answers


def _may_say(known: _Known, example: Example) -> bool:
    """Returns whether the answer of a training Example is one that the question allows."""
    if known.task == "classification":
        return _fits(example.labels, known)
    return not known.choices or example.reference in known.choices


def _as_answer(example: Example, known: _Known) -> Answer:
    if known.task == "grounding":
        return _grounded(example.boxes)
    if known.task == "classification":
        return _named(example.labels, known)
    choice = known.choices.index(example.reference) if known.choices else None
    return Answer(example.reference, choice=choice)


def constant_answers(
    train: Sequence[Example],
    examples: Sequence[Example],
    seed: int = 0,
    fit: Mapping[str, Callable[[Sequence[Example], int], Callable[[_Known], Answer]]] | None = None,
) -> list[Answer]:
    """Answers each test Example from the training Examples alone: the best constant answer.

    - report: always the same text, the training report with the best mean finding F1 against a seeded sample of at
      most 200 training reports. Tried are up to 200 texts with different findings (of at most 5,000 drawn), the most
      usual first; where all are equally good (say, no finding can be read), this is the most usual text.
    - grounding: no box where most training Examples of the group have none; else, for each label that most of the
      others have, the coordinate-wise median of its boxes (two of them where two are usual, from left to right).
    - vqa: the most usual answer of the group; with choices, the most usual one among them, else the first.
    - classification: of the 200 most usual sets of labels in the group the one with the best mean label F1 against a
      seeded sample of at most 200 of its Examples; only sets of labels that the question allows.

    The group of a test Example is the training Examples of its task with the same question (case and spacing
    aside); where there is none, those of the same ``meta['type']``; where there is none, those of the task. In
    grounding the type is left out, as it may tell whether there is anything to find.

    Raises:
        UserError: a task of the test Examples has no training Example.
    """
    groups: dict[tuple[str, ...], list[Example]] = defaultdict(list)
    for example in train:
        for key in _keys(_known(example)):
            groups[key].append(example)
    cache: dict[tuple[str, ...], Callable[[_Known], Answer]] = {}
    given = []
    for known in map(_known, examples):
        key = next((key for key in _keys(known) if key in groups), None)
        if key is None:
            raise UserError(
                f"no training example of task '{known.task}', so there is no trivial baseline for it; "
                "add some to the training manifest or leave the task out of the test"
            )
        if key not in cache:
            cache[key] = (fit or _FIT)[known.task](groups[key], seed)
        given.append(cache[key](known))
    return given


def _known(example: Example) -> _Known:
    kind = str(example.meta.get("type", ""))
    question = " ".join(example.question.lower().split())
    return _Known(example.task, question, kind, example.choices, example.label_set)


def _keys(known: _Known) -> list[tuple[str, ...]]:
    """Returns the groups an Example belongs to, narrowest first. A report has one template whatever the question."""
    keys = []
    if known.task != "report":
        keys.append((known.task, "question", known.question))
    if known.task not in ("report", "grounding") and known.type:
        keys.append((known.task, "type", known.type))
    return [*keys, (known.task,)]


def _report(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    shuffled = random.Random(seed).sample(group, min(len(group), _READ))
    counts = Counter(example.reference for example in shuffled)
    read = {text: merge(extract.findings(text)) for text in counts}
    templates: dict[frozenset[tuple[str, str | None]], str] = {}  # texts that say the same are tried once
    for text, _ in counts.most_common():  # keeps the drawn order among equals
        said = frozenset((finding.name, finding.side) for finding in read[text] if finding.presence != "absent")
        templates.setdefault(said, text)
    references = [read[example.reference] for example in shuffled[:_REPORTS]]

    def worth(text: str) -> float:
        return sum(compare(reference, read[text]).f1 for reference in references)

    best = Answer(max(list(templates.values())[:_TEMPLATES], key=worth))  # the first, so the most usual, of equals
    return lambda known: best


def _usual_report(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    usual = Answer(_ranked(Counter(example.reference for example in group))[0][0])
    return lambda known: usual


def _grounding(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    with_boxes = [example.boxes for example in group if example.boxes]
    if 2 * len(with_boxes) < len(group) or not with_boxes:
        return lambda known: _grounded(())
    having = Counter(label for boxes in with_boxes for label in {box.label for box in boxes})
    usual = [label for label, times in _ranked(having) if 2 * times > len(with_boxes)] or [_ranked(having)[0][0]]
    middle = tuple(
        box for label in usual for box in _median_boxes([[b for b in e if b.label == label] for e in with_boxes])
    )
    return lambda known: _grounded(middle)


def _grounded(boxes: tuple[Box, ...]) -> Answer:
    said = "; ".join(f"{box.label} [{', '.join(f'{v:.2f}' for v in box.xyxy)}]".strip() for box in boxes)
    return Answer(said or "none", boxes=boxes, says_none=not boxes)


def _median_boxes(images: Sequence[Sequence[Box]]) -> list[Box]:
    """Returns the median boxes of one label: as many as an image usually has, each over the boxes of its rank."""
    usual, _ = _ranked(Counter(len(boxes) for boxes in images if boxes))[0]
    ranked = [sorted(boxes, key=lambda box: box.xyxy) for boxes in images if len(boxes) == usual]
    return [_median_box(boxes) for boxes in zip(*ranked, strict=True)]


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


def _classification(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    usual = _label_sets(group)[:_TEMPLATES]
    references = [example.labels for example in random.Random(seed).sample(group, min(len(group), _REPORTS))]
    worth = {labels: sum(_label_f1(labels, one) for one in references) for labels in usual}
    best = sorted(usual, key=worth.__getitem__, reverse=True)  # the more usual first of equals
    return lambda known: _named(next((labels for labels in best if _fits(labels, known)), ()), known)


def _usual_labels(group: Sequence[Example], seed: int) -> Callable[[_Known], Answer]:
    usual = _label_sets(group)
    return lambda known: _named(next((labels for labels in usual if _fits(labels, known)), ()), known)


def _label_sets(group: Sequence[Example]) -> list[tuple[str, ...]]:
    return [labels for labels, _ in _ranked(Counter(example.labels for example in group))]


def _label_f1(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    total = len(one) + len(other)
    return 2 * len({*map(label_names.label_key, one)} & {*map(label_names.label_key, other)}) / total if total else 1.0


def _fits(labels: tuple[str, ...], known: _Known) -> bool:
    return not known.labels or {*map(label_names.label_key, labels)} <= {*map(label_names.label_key, known.labels)}


def _named(labels: tuple[str, ...], known: _Known) -> Answer:
    named = label_names.canonical_labels(labels, known.labels) or (label_names.NOTHING,)
    return Answer(", ".join(named), labels=named)


def _ranked(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """Returns what was counted, most often first; equals in their own order, so that of the manifest is no matter."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


_FIT = {
    "report": _report,
    "grounding": _grounding,
    "vqa_closed": _vqa,
    "vqa_open": _vqa,
    "classification": _classification,
}

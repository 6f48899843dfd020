"""Which cases the page shows, and what it shows of each."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ImageChops

from radrl.errors import UserError
from radrl.evaluation.metrics import BY_NAME, MAIN, METRICS, ModelScores
from radrl.example import TASKS, Answer, Box, Example, Score, Task
from radrl.images import read_image
from radrl.page.text import Piece, pieces
from radrl.prompt import earlier

SHARES: dict[Task, int] = {"report": 5, "grounding": 4, "vqa_closed": 2, "vqa_open": 1}
_SIDE = 512  # pixels of the longer side of an embedded image


class Chosen(NamedTuple):
    """The place of a case among the Examples and why it is shown."""

    index: int
    reason: str


def choose(examples: Sequence[Example], scores: Mapping[str, ModelScores], cases: int, seed: int) -> list[Chosen]:
    """Chooses up to ``cases`` cases, the tasks in the shares 5 : 4 : 2 : 1, by task.

    Half of each task's cases (rounded up) are those where the models' scores on the task's main metric lie furthest
    apart, the other half is drawn at random; ties are drawn too. Patients are not repeated while others are left.
    """
    draw = random.Random(seed)
    places = {task: [i for i, e in enumerate(examples) if e.task == task] for task in TASKS}
    used: set[str] = set()
    found = []
    for task, quota in _quotas({task: len(of) for task, of in places.items()}, cases).items():
        pool = draw.sample(places[task], len(places[task]))
        spread = _spread([s.values[MAIN[task]] for s in scores.values()])
        for number in range(quota):
            fresh = [i for i in pool if (examples[i].patient or examples[i].id) not in used] or pool
            apart = number % 2 == 0
            best = max(fresh, key=lambda i: spread[i]) if apart else fresh[0]
            pool.remove(best)
            used.add(examples[best].patient or examples[best].id)
            differ = apart and spread[best] > 0
            found.append(Chosen(best, "models differ most" if differ else "drawn at random"))
    return found


def _spread(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Returns per case the distance between the best and the worst model; 0 where it has no value."""
    known = np.nan_to_num(np.array(rows))
    return known.max(0) - known.min(0)


def _quotas(there: Mapping[Task, int], cases: int) -> dict[Task, int]:
    """Shares ``cases`` out among the tasks, one case at a time to the one furthest behind its share."""
    quotas: dict[Task, int] = dict.fromkeys(TASKS, 0)
    for _ in range(min(cases, sum(there.values()))):
        open_tasks = [task for task in TASKS if quotas[task] < there[task]]
        next_task = min(open_tasks, key=lambda task: (quotas[task] + 0.5) / SHARES[task] if quotas[task] else 0)
        quotas[next_task] += 1
    return quotas


class Line(NamedTuple):
    """One scorer's value for one Answer. ``share`` is the length of its bar, 0-1; None for a value without bounds."""

    title: str
    value: float
    share: float | None
    parts: list[tuple[str, float]]


class AnswerView(NamedTuple):
    """What the page shows of one model's Answer."""

    model: str
    main: float | None
    answer: list[Piece]
    reference: list[Piece]
    boxes: list[dict[str, object]]
    thinking: str | None
    well_formed: bool
    lines: list[Line]


class CaseView(NamedTuple):
    """What the page shows of one case. ``height`` is the image's height where its width is 1000."""

    number: int
    id: str
    task: Task
    reason: str
    question: str
    choices: list[str]
    image: str | None
    image_note: str
    height: float
    boxes: list[dict[str, object]]
    main_title: str
    answers: list[AnswerView]


def view(
    number: int,
    chosen: Chosen,
    example: Example,
    answers: Mapping[str, Answer],
    scores: Mapping[str, Mapping[str, Score | None]],
    images_root: Path,
) -> CaseView:
    """Gathers what the page shows of one case; its text is neither cleaned nor escaped yet."""
    image, note, height = _image(example, images_root)
    return CaseView(
        number=number,
        id=example.id,
        task=example.task,
        reason=chosen.reason,
        question=earlier(example) + example.question,
        choices=list(example.choices),
        image=image,
        image_note=note,
        height=height,
        boxes=_boxes(example.boxes, height),
        main_title=BY_NAME[MAIN[example.task]].title.split(": ")[1],
        answers=[_answer(name, example, answer, scores[name], height) for name, answer in answers.items()],
    )


def _answer(
    model: str, example: Example, answer: Answer, scores: Mapping[str, Score | None], height: float
) -> AnswerView:
    main = scores.get(MAIN[example.task])
    marks = main.marks if main else ()
    return AnswerView(
        model=model,
        main=main.value if main else None,
        answer=pieces(answer.text, [m for m in marks if m.side == "answer"]),
        reference=pieces(example.reference, [m for m in marks if m.side == "reference"]),
        boxes=_boxes(answer.boxes, height),
        thinking=answer.thinking or None,
        well_formed=answer.well_formed,
        lines=[_line(m.title.split(": ")[1], m.headline, s) for m in METRICS if (s := scores.get(m.name))],
    )


def _line(title: str, bounded: bool, score: Score) -> Line:
    """Returns a scorer's line; all but the length lie in 0-1 and get a bar."""
    return Line(title, score.value, min(1.0, max(0.0, score.value)) if bounded else None, list(score.parts.items()))


def _boxes(boxes: Sequence[Box], height: float) -> list[dict[str, object]]:
    """Returns boxes in the units of the picture: 1000 wide, ``height`` high."""
    found: list[dict[str, object]] = []
    for box in boxes:
        x1, y1, x2, y2 = box.xyxy
        at = {"x": x1 * 1000, "y": y1 * height, "width": (x2 - x1) * 1000, "height": (y2 - y1) * height}
        found.append({**at, "label": box.label})
    return found


def _image(example: Example, root: Path) -> tuple[str | None, str, float]:
    """Returns the first image as a PNG data URI, a note, and its height where its width is 1000.

    A picture that cannot be read is said to be so on the page; it is no reason to lose the page.
    """
    if not example.images:
        return None, "no image", 1000.0
    try:
        picture = read_image(root, example.images[0])
    except UserError:
        return None, f"image {example.images[0]} cannot be read", 1000.0
    picture.thumbnail((_SIDE, _SIDE))
    grey = picture.convert("L")
    if not ImageChops.difference(picture, grey.convert("RGB")).getbbox():
        picture = grey  # a film: a third of the bytes
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=True)
    note = f"first of {len(example.images)} images" if len(example.images) > 1 else ""
    return (
        "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii"),
        note,
        1000.0 * picture.height / picture.width,
    )

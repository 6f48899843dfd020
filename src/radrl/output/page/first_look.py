"""The first screen of an evaluation's page: what was trained, whether RL helped, what it cost, what goes wrong most,
and one film. It says only what there is: no training facts, one model, or hundreds of models are all right.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from radrl.evaluation.controls.from_training import NONE
from radrl.evaluation.metrics.records import CaseScores, FindingCounts, Metric
from radrl.evaluation.metrics.usual_metrics import MAIN_METRICS
from radrl.evaluation.statistics.result import Comparison, Difference
from radrl.example import Answer, Box, Example
from radrl.output.page.effects import EffectPlot, Effects, effect_plots, value_plots
from radrl.output.page.pictures import Picture
from radrl.output.page.text import Piece, pieces
from radrl.output.tables import count_below, digits, signed
from radrl.scoring import registry

MOST_MODELS = 2  # whose differences are drawn
MOST_TRAINED = 8  # rows of the table of stages
MOST_WRONG = 3  # findings of a kind
LEAST_CASES = 20  # of a type of question that may be named as the worst
STAGES = {"sft": "SFT", "coldstart": "cold start", "grpo": "GRPO"}


class Training(NamedTuple):
    """How one model was trained, as its stage's folder says: the kind of stage, optimiser steps, seconds of training,
    Examples and films (None where it is not known), the model it began with, and the device. ``digest`` is of the
    model's files."""

    kind: str
    steps: int
    seconds: float
    examples: int | None
    films: int | None
    start: str
    device: str
    digest: str | None = None


class Trained(NamedTuple):
    """A row of the table of what was trained."""

    model: str
    how: str
    steps: str
    on: list[str]
    time: str


class Verdict(NamedTuple):
    """One model against another over the headline metrics: ``word`` is better, worse, mixed or unclear; the counts are
    of metrics whose corrected p is below 0.05; ``main`` is the difference on the first of them, in words."""

    model: str
    to: str
    word: str
    better: int
    worse: int
    unclear: int
    main: str


class Wrong(NamedTuple):
    """One kind of mistake, most frequent first: (what, how often, of how many)."""

    title: str
    items: list[tuple[str, int, int]]


class Report(NamedTuple):
    """A text of the shown case, in marked pieces."""

    title: str
    pieces: list[Piece]


class OneFilm(NamedTuple):
    """One case: its picture, the boxes of the reference and of the model (x, y, width, height, label in units of the
    picture), the texts, and how it was chosen."""

    name: str
    picture: Picture
    question: str
    boxes: list[tuple[float, float, float, float, str]]
    answered: list[tuple[float, float, float, float, str]]
    boxes_of: str
    texts: list[Report]
    chosen: str


class FirstLook(NamedTuple):
    """What the first screen shows. ``subjects`` are the models it is about: those that RL trained, where it is known
    which; ``rl`` whether they are; ``left_out`` how many others there are."""

    subjects: list[str]
    rl: bool
    left_out: int
    verdicts: list[Verdict]
    plots: list[EffectPlot]
    trained: list[Trained]
    more_trained: int
    total_seconds: str
    devices: list[str]
    about: str
    wrong: list[Wrong]
    below: tuple[int, int]
    film: OneFilm | None


def first_look(
    comparison: Comparison,
    examples: Sequence[Example],
    answers: Mapping[str, Sequence[Answer]],
    scores: Mapping[str, CaseScores],
    pictures: Sequence[Picture],
    training: Mapping[str, Training],
) -> FirstLook:
    """Returns the first screen of a comparison; ``training`` has the models of which it is known."""
    own = [name for name in comparison.models if name not in comparison.baselines]
    by_rl = [name for name in own if name in training and training[name].kind == "grpo"]
    others = [name for name in own if name != comparison.base]
    subjects = by_rl or others or own
    shown = subjects[:MOST_MODELS]
    bases = [name for name in dict.fromkeys((comparison.base, comparison.others_base)) if name]
    effects = [
        Effects(model, to, found)
        for model in shown
        for to in bases
        if to != model and (found := _differences(comparison, model, to))
    ]
    rows = [(name, training[name]) for name in own if name in training]
    about = shown[0] if shown else ""
    return FirstLook(
        subjects=shown,
        rl=bool(by_rl),
        left_out=len(subjects) - len(shown),
        verdicts=[_verdict(one) for one in effects],
        plots=effect_plots(effects) if effects else value_plots(comparison, about),
        trained=[_trained(name, one, _runs(comparison, name)) for name, one in rows[:MOST_TRAINED]],
        more_trained=max(0, len(rows) - MOST_TRAINED),
        total_seconds=duration(sum(one.seconds for _, one in rows)),
        devices=list(dict.fromkeys(one.device for _, one in rows if one.device)),
        about=about,
        wrong=_wrong(comparison, about) if about else [],
        below=count_below(comparison, comparison.headline),
        film=_one_film(examples, answers[about], scores[about], pictures, about) if about else None,
    )


def duration(seconds: float) -> str:
    """Returns ``53 s``, ``4 min 10 s`` or ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


# --- did it help ------------------------------------------------------------------------------------------------------


def _differences(comparison: Comparison, model: str, to: str) -> list[tuple[Metric, Difference]]:
    """Returns the differences on headline metrics that have a good direction."""
    return [
        (metric, d)
        for metric in comparison.headline
        if metric.better != "neither" and (cell := comparison.cells[model][metric.name])
        for d in cell.differences
        if d.to == to
    ]


def _verdict(one: Effects) -> Verdict:
    ways = [d.way for _, d in one.differences]
    better, worse = ways.count("better"), ways.count("worse")
    word = "mixed" if better and worse else "better" if better else "worse" if worse else "unclear"
    metric, d = one.differences[0]
    main = f"{metric.title} {signed(d.mean, metric)} ({signed(d.low, metric)} to {signed(d.high, metric)})"
    return Verdict(one.model, one.to, word, better, worse, len(ways) - better - worse, main.replace("-", "\u2212"))


# --- what was trained, and its cost -----------------------------------------------------------------------------------


def _runs(comparison: Comparison, model: str) -> int:
    return max((cell.seeds for cell in comparison.cells[model].values() if cell), default=1)


def _trained(name: str, one: Training, runs: int) -> Trained:
    kind = STAGES.get(one.kind, one.kind)
    films = [f"{one.films:,} films"] if one.films is not None else []
    on = [*films, *([f"{one.examples:,} Examples"] if one.examples else [])]
    how = f"{kind} from {one.start}" if one.start else kind
    how += f"; the first of {runs} runs" if runs > 1 else ""
    return Trained(name, how, f"{one.steps:,}", on, duration(one.seconds))


# --- what goes wrong --------------------------------------------------------------------------------------------------


def _wrong(comparison: Comparison, model: str) -> list[Wrong]:
    found = []
    for counts, what in ((comparison.findings[model], "finding"), (comparison.classes[model], "label")):
        found += _counted(counts, what)
    empty = comparison.empty[model]
    for there, said in (("some", "none"), ("none", "some")):
        of = sum(count for kind, count in empty.items() if kind.startswith(f"reference {there},"))
        count = empty.get(f"reference {there}, answer {said}", 0)
        if count:
            title = "No box though something is there" if there == "some" else "A box though nothing is there"
            found.append(Wrong(title, [("", count, of)]))
    return found + _worst_type(comparison, model)


def _counted(counts: Mapping[str, FindingCounts], what: str) -> list[Wrong]:
    missed = [(name.replace("_", " "), c.missed, c.match + c.missed) for name, c in counts.items() if c.missed]
    false = [(name.replace("_", " "), c.false, c.match + c.false) for name, c in counts.items() if c.false]
    kinds = ((f"Missed {what}s, of those there", missed), (f"False {what}s, of those said", false))
    return [
        Wrong(title, sorted(items, key=lambda item: (-item[1], item[0]))[:MOST_WRONG])
        for title, items in kinds
        if items
    ]


def _worst_type(comparison: Comparison, model: str) -> list[Wrong]:
    """Returns the type of question with the most wrong answers by share, of those asked often enough."""
    worst: tuple[float, str, int] | None = None
    for kind, rows in comparison.types.items():
        for metric in comparison.metrics:
            cell = rows[model].get(metric.name)
            if cell and cell.n >= LEAST_CASES and metric.name.endswith("accuracy"):
                one = (cell.mean, kind, cell.n)
                worst = one if worst is None or one < worst else worst
    if worst is None or worst[0] >= 1:
        return []
    mean, kind, n = worst
    return [Wrong("Wrong answers to the worst type of question", [(kind, round((1 - mean) * n), n)])]


# --- one film ---------------------------------------------------------------------------------------------------------


def _one_film(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    scores: CaseScores,
    pictures: Sequence[Picture],
    model: str,
) -> OneFilm | None:
    """Returns the case whose main score is the median of its task: no film is chosen for being a good or a bad one."""
    boxed = {  # by image, the first grounding question that has a box
        example.images[0]: i
        for i, example in reversed(list(enumerate(examples)))
        if example.images and example.task == "grounding" and example.boxes
    }
    for task in ("report", "grounding", "classification", "vqa_closed", "vqa_open"):
        column = scores.columns.get(MAIN_METRICS[task])
        values = column.by_case if column else None
        if column is None or values is None:
            continue
        cases = [
            i
            for i, e in enumerate(examples)
            if e.task == task and values[i] == values[i] and answers[i] is not NONE and pictures[i].source
        ]
        among = [i for i in cases if examples[i].images[0] in boxed] or cases
        if not among:
            continue
        median = statistics.median_low(float(values[i]) for i in among)
        i = next(i for i in among if values[i] == median)
        metric = column.metric
        with_boxes = " with boxes" if len(among) < len(cases) or (boxed and task == "report") else ""
        chosen = (
            f"The first of the films{with_boxes} whose {metric.short} is the median ({median:.{digits(metric)}f} of "
            f"{len(among)} cases of {model}): neither a good nor a bad one was chosen."
        )
        k = i if task == "grounding" else boxed.get(examples[i].images[0])
        return OneFilm(
            name=examples[i].id,
            picture=pictures[i],
            question=examples[i].question if k in (None, i) else f"{examples[i].question} {examples[k].question}",
            boxes=_boxes(examples[k].boxes, pictures[i].height) if k is not None else [],
            answered=_boxes(answers[k].boxes, pictures[i].height) if k is not None else [],
            boxes_of=examples[k].question if k is not None else "",
            texts=_texts(examples[i], answers[i], model),
            chosen=chosen,
        )
    return None


def _texts(example: Example, answer: Answer, model: str) -> list[Report]:
    marks = []
    if example.task == "report":
        (score,) = registry.get("finding_f1")([example], [answer])
        marks = list(score.marks) if score else []
    sides = (("Reference", "reference", example.reference), (model, "answer", answer.text))
    return [
        Report(title, pieces(text, [m for m in marks if m.side == side]) or [Piece("(no text)")])
        for title, side, text in sides
        if text or side == "answer"
    ]


def _boxes(boxes: Sequence[Box], height: float) -> list[tuple[float, float, float, float, str]]:
    return [
        (x1 * 1000, y1 * height, (x2 - x1) * 1000, (y2 - y1) * height, b.label)
        for b in boxes
        for x1, y1, x2, y2 in [b.xyxy]
    ]

"""Records to Examples: which questions a Record is asked, and what the right answer is; the words are wordings.py's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radrl.data.published.record import Kind, Reader, Record, Region, Skipped, corners
from radrl.data.published.wordings import Wordings, worded
from radrl.example import Box, Example, Finding, Presence

FIRST = "findings-then-impression-then-last-paragraph"  # the first that a report has, as RadVLM and MIMIC's script
SECTIONS = ("findings", "impression", "both", FIRST)
UNCERTAIN = ("mention", "present", "absent", "skip")
LARGEST_OVERHANG = 0.02  # of the image's side; published boxes end a pixel or so beyond it, others are in another frame


class OutsideFilm(ValueError):
    """A box that lies outside its film."""


@dataclass(frozen=True)
class Asking:
    """What prepare is told to ask: the kinds of questions, and how reports and doubtful labels are put.

    ``section`` is findings, impression, both, or the first there is of findings, impression and last
    paragraph. ``uncertain`` says what becomes of labels that are neither present nor
    absent: ``mention`` ("possible edema"; no yes/no question), ``present``, ``absent``, or ``skip`` the record's list.
    ``wordings`` are taken before our own.
    """

    kinds: tuple[Kind, ...]
    section: str = "findings"
    uncertain: str = "mention"
    wordings: Wordings = field(default_factory=dict)


def examples_of(record: Record, reader: Reader, asking: Asking, frame: tuple[float, float] | None) -> list[Example]:
    """Returns the Examples of a Record; none where nothing that is asked for is there.

    ``frame`` is the width and height that boxes are measured in, None for 0-1.

    Raises:
        OutsideFilm: a box lies outside the image.
        ValueError: a box is none.
    """
    if record.examples is not None:
        return [example.model_copy(update={"images": record.images}) for example in record.examples()]
    found: list[Example] = []
    for kind in asking.kinds:
        for key, fields in _ASK[kind](record, asking, frame, reader.templates.get(kind, kind)):
            # where only one thing can be asked, ids need not say which
            name = "/".join(filter(None, (reader.name, record.id, kind if len(reader.kinds) > 1 else "", key)))
            template = fields.pop("template")
            words = fields.pop("words", {})
            question = fields.pop("question", None) or worded(asking.wordings, template, name, words)
            found.append(
                Example(
                    id=name,
                    question=question,
                    images=record.images,
                    patient=record.patient,
                    study=record.study,
                    source=reader.name,
                    meta={"type": fields.pop("type", kind), **record.meta},
                    label_set=_label_set(record, reader) if kind == "list" else (),
                    **fields,
                )
            )
    return found


def why_none(record: Record, kinds: Sequence[Kind]) -> Skipped:
    """Returns the Skipped of a Record that gave no Example."""
    lacks = record.lacks
    if not isinstance(lacks, str):
        lacks = "; ".join(dict.fromkeys(lacks[kind] for kind in kinds if lacks.get(kind)))
    return Skipped(record.id, lacks or f"nothing to ask ({', '.join(kinds)})")


def _report(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    said = record.report or {}
    wanted = ("findings", "impression") if asking.section == "both" else (asking.section,)
    named = asking.section
    if asking.section == FIRST:
        there = [name for name in ("findings", "impression", "last_paragraph") if said.get(name)]
        wanted = (there[0],) if there else ("findings",)
        named = "impression" if wanted == ("impression",) else "findings"
    if any(not said.get(name) for name in wanted):
        return
    parts = [f"{name.capitalize()}: {said[name]}" if len(wanted) > 1 else said[name] for name in wanted]
    yield "", {"task": "report", "template": f"{template}-{named}", "reference": "\n".join(parts)}


def _list(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if record.labels is None:
        return
    labels = _decided(record.labels, asking.uncertain)
    if asking.uncertain == "skip" and "uncertain" in labels.values():
        return
    named = [label for label, presence in labels.items() if presence == "present"]
    named += [f"possible {label}" for label, presence in labels.items() if presence == "uncertain"]
    text = ", ".join(named) or "no finding"
    yield (
        "",
        {
            "task": "classification",
            "template": template,
            "labels": tuple(label for label, presence in labels.items() if presence != "absent"),
            "reference": text[0].upper() + text[1:] + ".",
            "findings": tuple(Finding(name=label, presence=presence) for label, presence in labels.items()),
        },
    )


def _label_set(record: Record, reader: Reader) -> tuple[str, ...]:
    """Returns the labels that may be named: the reader's, or those of a Record that says which are absent; else any."""
    labels = record.labels or {}
    return reader.labels or (tuple(labels) if "absent" in labels.values() else ())


def _yesno(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for label, presence in _decided(record.labels or {}, asking.uncertain).items():
        if presence != "uncertain":
            yield (
                label,
                {
                    "task": "vqa_closed",
                    "template": template,
                    "words": {"label": label},
                    "reference": "yes" if presence == "present" else "no",
                    "choices": ("yes", "no"),
                },
            )


def _decided(labels: Mapping[str, Presence], uncertain: str) -> dict[str, Presence]:
    decisions: dict[str, Presence] = {"present": "present", "absent": "absent"}
    become = decisions.get(uncertain, "uncertain")
    return {label: become if presence == "uncertain" else presence for label, presence in labels.items()}


def _locate(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    by_label: dict[str, list[Box]] = {}
    for region in record.regions or ():
        by_label.setdefault(region.label, []).append(_box(region, frame))
    for label, boxes in by_label.items():
        yield label, _grounding(boxes, template, {"label": label}, label)


def _detect(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if record.regions is None:
        return
    boxes = [_box(region, frame) for region in record.regions]
    labels = list(dict.fromkeys(box.label for box in boxes))
    words = {"labels": " and the ".join(labels)}
    yield "", _grounding(boxes, template, words, ", ".join(labels))


def _phrase(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, phrase in enumerate(record.phrases):
        boxes = [_box(Region(phrase.text, box), frame) for box in phrase.boxes]
        yield str(number), _grounding(boxes, template, {"phrase": phrase.text}, phrase.text)


def _grounding(boxes: list[Box], template: str, words: Mapping[str, str], reference: str) -> dict[str, Any]:
    return {
        "task": "grounding", "template": template, "words": words, "boxes": tuple(boxes),
        "reference": reference if boxes else "",
    }  # fmt: skip


def _qa(record: Record, asking: Asking, frame: Any, template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for qa in record.questions:
        task = "vqa_closed" if qa.choices else "vqa_open"
        fields = {"task": task, "template": "", "question": qa.question, "reference": qa.answer, "choices": qa.choices}
        yield qa.key, fields | ({"type": qa.type} if qa.type else {})


_ASK = {
    "report": _report,
    "list": _list,
    "yesno": _yesno,
    "locate": _locate,
    "detect": _detect,
    "phrase": _phrase,
    "qa": _qa,
}


def _box(region: Region, frame: tuple[float, float] | None) -> Box:
    """Returns a region as a Box, 0-1; what hangs over the edge by little is cut off."""
    width, height = frame or (1.0, 1.0)
    x1, y1, x2, y2 = region.xyxy
    ends = [x1 / width, y1 / height, x2 / width, y2 / height]
    if not all(-LARGEST_OVERHANG <= v <= 1 + LARGEST_OVERHANG for v in ends):
        raise OutsideFilm(f"box {[round(v, 2) for v in region.xyxy]} lies outside the image of {width:g} x {height:g}")
    if not (ends[0] < ends[2] and ends[1] < ends[3]):
        raise ValueError(f"box {[round(v, 2) for v in region.xyxy]} is not [x1, y1, x2, y2] with x1 < x2 and y1 < y2")
    return Box(xyxy=corners(min(max(v, 0.0), 1.0) for v in ends), label=region.label)

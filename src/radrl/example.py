"""The records everything speaks, and the manifest they are kept in.

A manifest is a JSONL file of Examples. Image paths in it are relative to the folder of the manifest and may not
leave that folder. Pixels are never in a manifest; they are read when a batch is built.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from radrl.label_names import canonical_labels, stated_labels

Task = Literal["report", "grounding", "vqa_closed", "vqa_open", "classification"]
MOST_CHOICES = 26  # they are asked with letters
TASKS: tuple[Task, ...] = ("report", "grounding", "vqa_closed", "vqa_open", "classification")
Presence = Literal["present", "absent", "uncertain"]
Side = Literal["left", "right", "bilateral"]
Region = Literal["upper", "middle", "lower"]
Severity = Literal["mild", "moderate", "severe"]
Change = Literal["new", "improved", "worse", "stable", "resolved"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(_Record):
    """A labelled box. ``xyxy`` is ``(x1, y1, x2, y2)``, 0-1 of the image, origin top left, x1 < x2 and y1 < y2."""

    xyxy: tuple[float, float, float, float]
    label: str = ""

    @field_validator("xyxy")
    @classmethod
    def _inside(cls, v: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = v
        if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
            raise ValueError(f"box {list(v)} is not [x1, y1, x2, y2] in 0-1 with x1 < x2 and y1 < y2")
        return v


class Finding(_Record):
    """One finding of a chest film, as drawn by the phantom or read from a report.

    ``side`` is None where the finding has no side or the text gives none; ``severity`` likewise. ``change`` is how it
    compares with an earlier film, ``position`` where a tube or line ends ("superior vena cava"). ``span`` is the
    character range in the text it was read from; ``boxes`` where it lies in the image, when known.
    """

    name: str
    presence: Presence = "present"
    side: Side | None = None
    region: Region | None = None
    severity: Severity | None = None
    change: Change | None = None
    position: str | None = None
    span: tuple[int, int] | None = None
    boxes: tuple[Box, ...] = ()


class Turn(_Record):
    """An earlier question of the conversation with its answer, which is ``boxes`` where there are some."""

    question: str = Field(min_length=1)
    answer: str = ""
    boxes: tuple[Box, ...] = ()


class Example(_Record):
    """One question on one or more images, with its reference answer.

    ``reference`` is the answer as text, without thinking and without boxes in any notation; ``boxes`` are the
    reference boxes of a grounding question (an empty tuple means: there is nothing to find). ``choices`` are the
    options of a multiple-choice question, at most 26; its reference is the text of the right one. Of a classification
    question ("which of these findings are there?") ``labels`` are those that are there, and ``choices`` all that may be
    named; ``label_set`` is the same where the question is not to list them, and where both are empty any label may be
    named. ``labels`` are read from a reference that lists them where they are not given, and listed as its reference
    where there is none. ``thinking`` is a reference trace for the cold start. ``findings`` are gold findings where the
    data set has them. ``history`` holds the earlier turns, oldest first, where the question is one of a conversation:
    they are asked with it, and only the last answer is taught and scored. ``meta`` holds what a reader wants to keep
    (view, sex, label quality).
    """

    id: str
    task: Task
    question: str = Field(min_length=1)
    images: tuple[str, ...] = ()
    reference: str = ""
    boxes: tuple[Box, ...] = ()
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    label_set: tuple[str, ...] = ()
    thinking: str | None = None
    findings: tuple[Finding, ...] = ()
    history: tuple[Turn, ...] = ()
    patient: str | None = None
    study: str | None = None
    source: str = ""
    meta: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _reference_is_an_option(self) -> Example:
        if len(self.choices) > MOST_CHOICES and self.task != "classification":
            raise ValueError(f"{len(self.choices)} choices, more than {MOST_CHOICES}: there are no letters for them")
        if self.task == "classification":
            object.__setattr__(self, "labels", _labels_there(self))
            object.__setattr__(self, "reference", self.reference or ", ".join(self.labels))
        elif self.labels or self.label_set:
            raise ValueError(f"labels and label_set are for task classification, not {self.task}")
        elif self.choices and self.reference not in self.choices:
            raise ValueError(f"reference {self.reference!r} is none of the choices; write it as one of them")
        return self

    @field_validator("images")
    @classmethod
    def _stay_inside(cls, v: tuple[str, ...]) -> tuple[str, ...]:
        for path in v:
            dots = ".." in path and ".." in Path(path).parts
            if not path or os.path.isabs(path) or dots or "\\" in path or "\0" in path:
                raise ValueError(f"image path {path!r} must be relative and stay below the manifest's folder")
        return v


class WrongBox(NamedTuple):
    """A box of an answer that is none of the image: it lies outside, has no area, or is not four numbers. ``place`` is
    its place among all boxes of the answer, from 0. It counts as a box that overlaps nothing."""

    place: int
    label: str = ""


def _labels_there(example: Example) -> tuple[str, ...]:
    """Returns the labels of a classification question in the spelling and order of the labels that may be named.

    Raises:
        ValueError: one may not be named, or nothing says that none is there.
    """
    if example.choices and example.label_set:
        raise ValueError("give choices (the question lists them) or label_set (it does not), not both")
    if len(example.choices) > MOST_CHOICES:
        raise ValueError(f"{len(example.choices)} choices, more than there are letters; name them under label_set")
    may = example.choices or example.label_set
    labels = example.labels or stated_labels(example.reference, may)
    if labels is None:
        raise ValueError("no labels; name those that are there, or say in reference that none is: 'No finding'")
    return canonical_labels(labels, may)


class Answer(NamedTuple):
    """What a completion says, once parsed.

    ``text`` is what follows the last ``</think>`` (the whole completion in direct mode), taken out of what it is
    wrapped in; ``thinking`` what stood before it; ``boxes`` every box found in ``text``; ``choice`` the index of the
    option it picks; ``well_formed`` is False when the asked-for form was not kept (thinking missing or never closed, no
    answer, an unreadable box, not in the tags or box that were asked for); ``tokens`` is how many tokens the whole
    completion has, where that is known.

    Of grounding alone: ``wrong`` are the boxes that are none, ``clamped`` how many of ``boxes`` were cut at the edge
    of the image, ``says_none`` whether the text says that there is nothing to find (a text without boxes that does not
    say so claims something, or cannot be read).

    ``labels`` are what the answer to a classification question says is there, as
    `radrl.clinical.label_sets.read_labels` gives them.
    """

    text: str
    thinking: str | None = None
    boxes: tuple[Box, ...] = ()
    choice: int | None = None
    well_formed: bool = True
    tokens: int | None = None
    wrong: tuple[WrongBox, ...] = ()
    clamped: int = 0
    says_none: bool = False
    labels: tuple[str, ...] = ()


MarkSide = Literal["reference", "answer"]
MarkKind = Literal["match", "false", "missed", "absent"]


class Mark(NamedTuple):
    """A stretch of text that explains a score: where, of which kind, and why.

    ``kind`` is one of ``match`` (both say it), ``false`` (only the answer says it), ``missed`` (only the reference
    says it), ``absent`` (said to be absent).
    """

    side: MarkSide
    start: int
    end: int
    kind: MarkKind
    note: str = ""


class Score(NamedTuple):
    """A scorer's verdict on one Answer: the value, the parts it was made of, and the text that decided it.

    ``marks`` may be made when they are first looked at.
    """

    value: float
    parts: Mapping[str, float] = MappingProxyType({})
    marks: Sequence[Mark] = ()

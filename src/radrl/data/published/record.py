"""What a reader of a published data set gives: Records, or the reason why there is none.

A reader is a module in ``readers/`` with one `Reader` named ``READER``; the module's name is the data set's. A file of
the user's, or a package, can hold one too: a whole one stands in docs/data.md, "A reader of one's own". Its
``read(root, options)`` yields Records one by one, with memory that does not grow with their number. Templates, splits,
image copies, counting and resuming are prepare.py's work. Files are read safely by tables.py, json_lists.py,
parquet.py, archives.py and safe_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict

from radrl.data.published.joins import grouped
from radrl.data.published.safe_files import DAMAGED
from radrl.data.published.tables import Row, Wrong
from radrl.errors import UserError, in_words, nearest
from radrl.example import Example, Presence

Split = Literal["train", "dev", "test"]
XYXY = tuple[float, float, float, float]
Frame = tuple[float, float] | Literal["unit", "image"]
Kind = Literal["report", "list", "yesno", "locate", "detect", "phrase", "qa"]
"""What a Record can be asked: to write its report; to list its labels, or one yes/no question a label; to box one
label, or all; to box what a phrase says; the question of the data set."""

CHECKED = ConfigDict(strict=True, revalidate_instances="always")  # where readers of others are held against the types


class Region(NamedTuple):
    """A labelled box ``(x1, y1, x2, y2)`` in the frame of its Record, origin top left."""

    label: str
    xyxy: XYXY


class Phrase(NamedTuple):
    """A phrase of a report and the boxes ``(x1, y1, x2, y2)`` it speaks of, one or several, in the Record's frame."""

    text: str
    boxes: tuple[XYXY, ...]


class QA(NamedTuple):
    """A question of the data set with its answer; ``choices`` are the options where it is a closed one.

    ``key`` tells the questions of a Record apart (the data set's own number where it has one). ``type`` is the kind of
    question, as the data set has it.
    """

    key: str
    question: str
    answer: str
    choices: tuple[str, ...] = ()
    type: str = ""


@dataclass(slots=True)
class Record:
    """One image, or one study of several, with all that the data set says of it.

    ``id`` is unique in the data set and is what a reader of the published files would look for (file name, study).
    ``images`` are paths below the root with ``/`` between. ``split`` is the published one; None leaves it to prepare,
    by patient. ``frame`` is what boxes are measured in: ``(width, height)`` in pixels, ``unit`` (0-1), or ``image``
    (pixels of the first image as published, whose size the data set does not state: see sizes.py).
    None of ``regions`` means that nobody looked for
    boxes; an empty tuple, that somebody looked and found none. ``labels`` that are uncertain or absent are said so; a
    label the data set leaves blank is left out. ``report`` holds sections by name: findings, impression, indication.
    ``meta`` goes into every Example (view, sex, age). ``examples`` makes the Examples of a file in a format of
    Examples (LLaVA's), or raises ValueError: they are taken as they are, but for their images, and nothing else of the
    Record is asked. It is called in another process, so it must be picklable.
    ``cut`` is how many boxes the reader itself cut at the edge of the film, ``renamed`` whether it made the id unique.
    ``lacks`` says why something that might be asked for is not there (by what is asked, where that differs); it is the
    reason given where a Record yields no Example.
    """

    id: str
    images: tuple[str, ...]
    patient: str | None = None
    study: str | None = None
    split: Split | None = None
    frame: Frame = "unit"
    report: Mapping[str, str] | None = None
    labels: Mapping[str, Presence] | None = None
    regions: tuple[Region, ...] | None = None
    phrases: tuple[Phrase, ...] = ()
    questions: tuple[QA, ...] = ()
    examples: Callable[[], Sequence[Example]] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    cut: int = 0
    renamed: bool = False
    lacks: str | Mapping[Kind, str] = ""

    __pydantic_config__: ClassVar[ConfigDict] = CHECKED


class Skipped(NamedTuple):
    """A record that gives no Example, and why, in few words that are the same for all of a kind (they are counted).

    ``bad`` is False for what the rules leave out (no findings section, a lateral view) and True for what is broken (a
    wrong cell, a missing file): broken records stop `radrl data prepare` unless it is told to skip them. ``where`` is
    file and line, ``detail`` what differs from record to record.
    """

    id: str
    why: str
    bad: bool = False
    where: str = ""
    detail: str = ""


class Option(NamedTuple):
    """A choice that one reader offers: its values, the first being the default, and what it decides."""

    values: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Reader:
    """A published data set: where it comes from, how its files lie, and how they are read."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    """What can be asked of it, the usual one first; that one is asked unless the user names others."""
    layout: str
    """The published files below the root that are read, with their columns: one a line."""
    access: str
    """Where to get it, and under which licence or credential."""
    read: Callable[[Path, Mapping[str, str]], Iterator[Record | Skipped]]
    """``read(root, options)``. Raises UserError where a file is missing or is not what it should be."""
    options: Mapping[str, Option] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """All labels that a Record may have, where Records leave out what is blank."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Kind to the name of the list of templates to use instead of the kind's own (templates/*.yaml)."""
    origin: str = ""
    """Package and version, or file and digest, of a reader that is not radrl's own; set where it is loaded."""

    __pydantic_config__: ClassVar[ConfigDict] = CHECKED


Made = Record | Skipped | Sequence[Record | Skipped] | None
"""What a reader makes of a row, an item or a group of rows: one, several or nothing."""


def each(
    rows: Iterable[Row | Wrong], make: Callable[[Row], Made], wrong: str = "not readable"
) -> Iterator[Record | Skipped]:
    """Yields ``make(row)`` of every row. A row that is Wrong, or of which ``make`` raises an error of `DAMAGED`, gives
    a Skipped that is bad, for the reason ``wrong``."""
    for row in rows:
        if isinstance(row, Wrong):
            yield _skipped(row)
        else:
            yield from _made(row.where, row.where, partial(make, row), wrong)


def each_item(
    items: Iterable[tuple[str, Any] | Wrong], make: Callable[[str, Any], Made], wrong: str = "not readable"
) -> Iterator[Record | Skipped]:
    """Yields ``make(where, item)`` of every pair of a place (file and item) and what stands there, as `each` does."""
    for item in items:
        if isinstance(item, Wrong):
            yield _skipped(item)
        else:
            yield from _made(item[0], item[0], partial(make, *item), wrong)


def each_group(
    rows: Iterable[Row | Wrong], key: str, make: Callable[[str, list[Row]], Made], wrong: str = "not readable"
) -> Iterator[Record | Skipped]:
    """Yields ``make(name, rows)`` of the rows that have the same ``name`` in column ``key``, as `each` does. The rows
    need not stand together."""
    for group in grouped(rows, lambda row: row[key]):
        if isinstance(group, Wrong):
            yield _skipped(group)
        else:
            name, own = group
            yield from _made(name, own[0].where, partial(make, name, own), wrong)


def _made(name: str, where: str, make: Callable[[], Made], wrong: str) -> Sequence[Record | Skipped]:
    try:
        made = make()
    except DAMAGED as error:
        return [Skipped(name, wrong, bad=True, where=where, detail=in_words(error))]
    if made is None:
        return []
    return [made] if isinstance(made, Record | Skipped) else made


def _skipped(row: Wrong) -> Skipped:
    return Skipped(row.where, row.why, bad=True, where=row.where)


def corners(values: Iterable[Any]) -> XYXY:
    """Returns ``x1, y1, x2, y2`` as numbers. Raises ValueError or TypeError where they are not four numbers."""
    numbers = [float(value) for value in values]
    if len(numbers) != 4:
        raise ValueError(f"a box of {len(numbers)} numbers, not of four")
    x1, y1, x2, y2 = numbers
    return x1, y1, x2, y2


def corner_and_size(values: Iterable[Any]) -> XYXY:
    """Returns ``x1, y1, x2, y2`` of ``x, y, width, height``. Raises as `corners`."""
    x, y, width, height = corners(values)
    return x, y, x + width, y + height


def chosen_options(reader: Reader, given: Mapping[str, str]) -> dict[str, str]:
    """Returns a reader's options, with the first value of those that are not given.

    Raises:
        UserError: an option or a value is unknown.
    """
    for name, value in given.items():
        if name not in reader.options:
            known = ", ".join(reader.options) or "none"
            raise UserError(
                f"--option {name}: '{reader.name}' has no such option{nearest(name, reader.options)}; it has: {known}"
            )
        values = reader.options[name].values
        if value not in values:
            raise UserError(f"--option {name}={value}: give one of {', '.join(values)}{nearest(value, values)}")
    return {name: given.get(name, option.values[0]) for name, option in reader.options.items()}

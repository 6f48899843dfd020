"""MedMCQA: 194,000 questions of Indian entrance exams, text alone (arXiv 2203.14371).

The right option, ``cop``, is counted from 1 in the authors' JSON and from 0 in the Hub's Parquet files. Which of the
two a file does is looked up in the file, not taken from its name: only one of them has a 0, only the other a 4. The
test part has no answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.choices.picking import LETTERS
from radrl.data.published.json_lists import json_items
from radrl.data.published.parquet import parquet_rows, shards
from radrl.data.published.readers._vqa import multiple_choice, said, text_or_none
from radrl.data.published.record import Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import has
from radrl.errors import UserError

SPLITS: Mapping[str, Split] = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}
OPTIONS = ("opa", "opb", "opc", "opd")
COLUMNS = ("id", "question", *OPTIONS)
OPTIONAL = ("cop", "subject_name", "topic_name", "choice_type")
Items = Callable[[], Iterator[tuple[str, Any]]]


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, dev, test, those that are there."""
    found: list[tuple[str, str, Items]] = []
    for part in SPLITS:
        if has(root, [f"{part}.json"]):
            found.append((part, f"{part}.json", lambda part=part: json_items(root, [f"{part}.json"])))
        else:
            for path in shards(root, [f"data/{part}-*.parquet", f"{part}-*.parquet", f"default/{part}/*.parquet"]):
                found.append((part, path, lambda path=path: parquet_rows(root, path, COLUMNS, optional=OPTIONAL)))
    if not found:
        raise UserError(f"{root}: holds no dev.json and no data/validation-*.parquet of MedMCQA")
    for part, path, items in found:
        first = _first(root, path, items)
        yield from each_item(items(), lambda where, row, part=part, first=first: _record(where, row, part, first))


def _first(root: Path, path: str, items: Items) -> int:
    """Returns whether a file counts options from 0 or from 1. Raises UserError where it does not show."""
    given = {cop for _, row in items() if isinstance(row, dict) and isinstance(cop := row.get("cop"), int)} - {-1}
    if given and (0 in given) == (4 in given):
        raise UserError(
            f"{root}/{path}: whether 'cop' counts the options from 0 or from 1 cannot be told, for it is "
            f"{', '.join(map(str, sorted(given)[:6]))} there; use the published file"
        )
    return 0 if 0 in given else 1


def _record(where: str, row: dict[str, Any], part: str, first: int) -> Record | Skipped:
    name = said(row, "id")
    cop = row.get("cop")
    if cop is None or cop == -1:
        return Skipped(name, "no answer is published", where=where)
    options = {LETTERS[place]: text_or_none(row, key) for place, key in enumerate(OPTIONS)}
    if isinstance(cop, bool) or not isinstance(cop, int) or not 0 <= cop - first < len(OPTIONS):
        raise ValueError(f"cop {str(cop)[:40]} is none of {first} .. {first + 3}")
    right = LETTERS[cop - first]
    asked = multiple_choice(name, where, said(row, "question"), options, right, text_or_none(row, "choice_type"))
    if isinstance(asked, Skipped):
        return asked
    meta = {"subject": text_or_none(row, "subject_name"), "topic": text_or_none(row, "topic_name")}
    return Record(
        name,
        (),
        split=SPLITS[part],
        questions=(asked,),
        meta={"language": "en", **meta},
    )


READER = Reader(
    name="medmcqa",
    title="MedMCQA: 194,000 questions of Indian medical entrance exams, text alone",
    kinds=("qa",),
    layout="""\
train.json, dev.json, test.json   one {id, question, opa, opb, opc, opd, cop (1-4), choice_type, subject_name, \
topic_name} a line
data/train-*.parquet, data/validation-*.parquet, data/test-*.parquet   the Hub's, the same with cop 0-3""",
    access="https://github.com/medmcqa/medmcqa, or https://huggingface.co/datasets/openlifescienceai/medmcqa; "
    "Apache-2.0",
    read=read,
)

"""Reports to rows of labels, by the label sets of schemas.yaml."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from radrl.clinical.extract import Statement, statements
from radrl.clinical.language import is_english
from radrl.clinical.vocabulary import load_vocabulary
from radrl.errors import UserError, nearest
from radrl.support.files import write_text
from radrl.support.texts import stream_texts

PRESENT, ABSENT, UNCERTAIN = 1, 0, -1


@lru_cache(maxsize=1)
def schemas() -> dict[str, dict[str, Any]]:
    """Returns the label sets by name; ``all`` has a column for every concept of the vocabulary."""
    text = resources.files("radrl.clinical").joinpath("schemas.yaml").read_text(encoding="utf-8")
    concepts = list(load_vocabulary().concepts)
    every = {"probable": UNCERTAIN, "implied": concepts, "labels": {c: [c] for c in concepts}}
    return {**yaml.safe_load(text), "all": every}


def labels(text: str, schema: str) -> dict[str, int | None]:
    """Returns what a report says of each column of a label set: 1 present, 0 absent, -1 uncertain, None not mentioned.

    Raises:
        UserError: there is no label set of that name.
    """
    if schema not in schemas():
        raise UserError(f"unknown label schema '{schema}'{nearest(schema, schemas())}; known: {', '.join(schemas())}")
    rules = schemas()[schema]
    everything = statements(text)
    said = _concepts(everything, set(rules["implied"]), rules["probable"])
    row: dict[str, int | None] = {}
    for column, concepts in rules["labels"].items():
        values = {said[concept] for concept in concepts if concept in said}
        doubtful = [said[concept] for concept in rules.get("doubtful", ()) if concept in concepts and concept in said]
        if PRESENT in doubtful:
            others = {said[c] for c in concepts if c in said and c not in rules["doubtful"]}
            values = others | {UNCERTAIN}
        row[column] = next((value for value in (PRESENT, UNCERTAIN, ABSENT) if value in values), None)
    if "normal" in rules:
        found = any(value != ABSENT and concept not in rules["beside"] for concept, value in said.items())
        row[rules["normal"]] = PRESENT if everything and not found else None
    return row


def _concepts(said: Iterable[Statement], implied: set[str], probable: int) -> dict[str, int]:
    """Returns what the report says of each concept in the end.

    The later statement wins, but what is there in one place is there, whatever is absent in another; a partial denial
    ("no large effusion") and a state ("lungs are clear") withdraw nothing.
    """
    value = {"present": PRESENT, "probable": probable, "uncertain": UNCERTAIN, "absent": ABSENT}
    found: dict[str, int] = {}
    sides: dict[str, str | None] = {}
    for statement in said:
        new, old = value[statement.presence], found.get(statement.concept)
        if statement.implied and (old is not None or statement.concept not in implied):
            continue
        if old is None or old == ABSENT:
            found[statement.concept] = new
        elif new == ABSENT:
            if not statement.limited and statement.side in (None, sides.get(statement.concept)):
                found[statement.concept] = new
        elif new == PRESENT:
            found[statement.concept] = new
        if new != ABSENT:
            sides[statement.concept] = statement.side
    return found


def read_english(
    path: str | os.PathLike[str], *, only_english: bool = False
) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns (id, text) of the reports of a JSONL file that can be read, and the ids of those in another language.

    Raises:
        UserError: the file cannot be read or is empty, or a line is no ``{"id", "text"}``, repeats an id or has one
            with a line break; or a report is not English and ``only_english`` does not allow that.
    """
    english, foreign = [], []
    for number, name, text in stream_texts(path):
        if "\n" in name or "\r" in name:
            raise UserError(f"{path}:{number}: key 'id' holds a line break, which a row of a CSV must not; take it out")
        if is_english(text):
            english.append((name, text))
        else:
            foreign.append(name)
    if foreign and not only_english:
        every = len(english) + len(foreign)
        raise UserError(
            f"{path}: {len(foreign)} of {every} reports are not in English, {foreign[0]!r} first, "
            "and the rules read nothing else; translate them, or label the others with --only-english"
        )
    return english, foreign


def write_labels(
    reports: str | os.PathLike[str], schema: str, out: str | os.PathLike[str], *, only_english: bool = False
) -> int:
    """Labels a JSONL file of reports, writes a CSV (``id``, then the columns of the label set), returns how many.

    Cells are 1 present, 0 absent, -1 uncertain, empty not mentioned. The file is whole or not there. Reports in another
    language have no row with ``only_english``.

    Raises:
        UserError: the reports cannot be read, one is not English, the label set is unknown, or the file cannot be
            written.
    """
    labels("", schema)  # an unknown name, before the reports are read
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", *schemas()[schema]["labels"]])
    count = 0
    for identity, text in read_english(reports, only_english=only_english)[0]:
        writer.writerow([identity, *("" if value is None else value for value in labels(text, schema).values())])
        count += 1
    write_text(out, table.getvalue())
    return count

"""MMMU's Health & Medicine: five subjects of college exams with images (arXiv 2311.16502).

Of the three published parts ``dev`` has five questions a subject, to be shown as examples (here: train), ``validation``
30, on which papers report (here: dev), and ``test`` has no answers. Images are inside the Parquet files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.formats.image_tags import TAG, without_tags
from radrl.data.published.parquet import parquet_rows, shards
from radrl.data.published.readers._vqa import closed, lettered, said, text_or_none
from radrl.data.published.record import QA, Reader, Record, Skipped, Split, each_item
from radrl.errors import UserError

SUBJECTS = (
    "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy", "Public_Health",
)  # fmt: skip
SPLITS: Mapping[str, Split] = {"dev": "train", "validation": "dev", "test": "test"}
COLUMNS = ("id", "question", "options", "answer", "question_type")
OPTIONAL = ("explanation", "subfield", "topic_difficulty", "img_type")
IMAGES = tuple(f"image_{number}" for number in range(1, 8))
NUMBERED = re.compile(r"<image (\d{1,2})>")
LONGEST = 20_000  # characters of a list


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question, subject by subject."""
    found = [
        (subject, part, path)
        for subject in SUBJECTS
        for part in SPLITS
        for path in shards(root, [f"{subject}/{part}-*.parquet", f"{subject}/{part}/*.parquet"])
    ]
    if not found:
        raise UserError(f"{root}: holds no {SUBJECTS[0]}/validation-*.parquet, and none of the other four subjects")
    for subject, part, path in found:
        items = parquet_rows(root, path, COLUMNS, optional=OPTIONAL, images=IMAGES)
        yield from each_item(items, lambda where, row, s=subject, p=part: _record(where, row, s, p))


def _record(where: str, row: dict[str, Any], subject: str, part: str) -> Record | Skipped:
    name, answer, kind = said(row, "id"), said(row, "answer"), said(row, "question_type")
    if answer in ("", "?"):
        return Skipped(name, "no answer is published", where=where)
    numbers = [number for number, column in enumerate(IMAGES, 1) if row.get(column)]
    if kind == "multiple-choice":
        options = lettered(_listed(said(row, "options")))
        if skipped := closed(name, where, options, answer):
            return skipped
        choices, answers = tuple(_numbered(text, numbers) for text in options.values()), []
        right = _numbered(options[answer], numbers)
    elif kind == "open":
        answers = _listed(answer) if answer.startswith("[") else [answer]
        choices, right = (), answers[0]
    else:
        raise ValueError(f"question_type '{kind[:80]}' is neither multiple-choice nor open")
    meta = {"language": "en", "subject": subject, **{key: text_or_none(row, key) for key in OPTIONAL}}
    return Record(
        name,
        tuple(row[IMAGES[number - 1]] for number in numbers),
        split=SPLITS[part],
        questions=(QA("", _asked(said(row, "question"), numbers), right, choices, kind),),
        meta=meta | ({"answers": answers} if len(answers) > 1 else {}),
    )


def _listed(text: str) -> list[str]:
    """Returns the texts of a list as Python writes it. Raises ValueError where it is none."""
    try:
        found = ast.literal_eval(text) if len(text) <= LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(one, str | int | float) for one in found):
        raise ValueError(f"'{text[:80]}' is no list of texts")
    return [str(one).strip() for one in found]


def _asked(question: str, numbers: list[int]) -> str:
    """Returns a question whose images are shown before it: ``<image 2>`` in it is "image 2" there."""
    if len(numbers) == 1 and len(NUMBERED.findall(question)) == 1 and TAG not in question:
        return without_tags(_numbered(question, numbers, TAG))
    return _numbered(question, numbers)


def _numbered(text: str, numbers: list[int], word: str = "") -> str:
    """Returns a text with "image 1" for ``<image 1>``, by the places of those images that there are.

    Raises:
        ValueError: it names an image that there is not.
    """

    def place(match: re.Match[str]) -> str:
        if int(match.group(1)) not in numbers:
            raise ValueError(f"{match.group()} is named, but there is no such image")
        return word or f"image {numbers.index(int(match.group(1))) + 1}"

    return NUMBERED.sub(place, text)


READER = Reader(
    name="mmmu_medical",
    title="MMMU, Health & Medicine: exam questions of five subjects",
    kinds=("qa",),
    layout="""\
Basic_Medical_Science/validation-*.parquet (dev-, test-)   id, question, options (a list as text), answer, \
question_type, image_1 .. image_7 (inside), explanation, subfield, topic_difficulty, img_type
Clinical_Medicine, Diagnostics_and_Laboratory_Medicine, Pharmacy, Public_Health   the same""",
    access="https://huggingface.co/datasets/MMMU/MMMU; Apache-2.0",
    read=read,
)

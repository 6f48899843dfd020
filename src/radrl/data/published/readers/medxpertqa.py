"""MedXpertQA: 4,460 questions of specialty boards with five options (MM, with images) or ten (Text) (arXiv 2501.18362).

The options stand a second time at the end of the published question; they are left out there, for they are asked as
options. The five questions of ``dev`` are those that the authors show as examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_items
from radrl.data.published.readers._vqa import first_folder, lettered, multiple_choice, said, text_or_none
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import has
from radrl.errors import UserError

SPLITS: tuple[Split, ...] = ("dev", "test")
LISTED = "Answer Choices:"


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: dev, test."""
    part = options["part"]
    found: list[Split] = [split for split in SPLITS if has(root, [f"{part}/{split}.jsonl"])]
    if not found:
        raise UserError(f"{root}: holds no {part}/test.jsonl and no {part}/dev.jsonl of MedXpertQA")
    folder = first_folder(root, ("images", f"{part}/images"))
    for split in found:
        items = json_items(root, [f"{part}/{split}.jsonl"])
        yield from each_item(items, partial(_record, split=split, folder=folder))


def _record(where: str, row: dict[str, Any], split: Split, folder: str) -> Record | Skipped:
    name, options = said(row, "id"), lettered(row["options"])
    label = row["label"]
    right = str(label[0]) if isinstance(label, list) and len(label) == 1 else said(row, "label")
    question = _asked(said(row, "question"), options)
    asked = multiple_choice(name, where, question, options, right, text_or_none(row, "question_type"))
    if isinstance(asked, Skipped):
        return asked
    images = row.get("images") or ()
    if not all(isinstance(image, str) for image in images):
        raise ValueError("'images' holds something else than names")
    return Record(
        name,
        tuple(f"{folder}/{image}" for image in images),
        split=split,
        questions=(asked,),
        meta={"language": "en", **{key: text_or_none(row, key) for key in ("medical_task", "body_system")}},
    )


def _asked(question: str, options: Mapping[str, str]) -> str:
    """Returns a question without the list of its options, where it is at its end and is that list."""
    asked, _, listed = question.rpartition(LISTED)
    written = "".join(f"({letter}) {text}" for letter, text in options.items())
    return asked.strip() if "".join(listed.split()) == "".join(written.split()) else question


READER = Reader(
    name="medxpertqa",
    title="MedXpertQA: board questions with five or ten options, MM with images, Text without",
    kinds=("qa",),
    layout="""\
MM/dev.jsonl, MM/test.jsonl       {id, question, options {A .. E}, label, images [names], medical_task, body_system, \
question_type}
Text/dev.jsonl, Text/test.jsonl   the same with options A .. J, and without images
images/*                          the unpacked images.zip""",
    access="https://huggingface.co/datasets/TsinghuaC3I/MedXpertQA; MIT",
    read=read,
    options={"part": Option(("MM", "Text"), "with images, or of text alone")},
)

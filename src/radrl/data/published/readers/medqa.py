"""MedQA: 12,723 questions of the United States Medical Licensing Exam, text alone (arXiv 2009.13081).

Retention data: what a model that is trained on images still knows. The same questions are published with five options
and with four.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_items
from radrl.data.published.parquet import parquet_rows, shards
from radrl.data.published.readers._vqa import lettered, multiple_choice, said, text_or_none
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import has
from radrl.errors import UserError

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
FILES = {"4": "phrases_no_exclude_{}.jsonl", "5": "{}.jsonl"}
FOLDERS = {"4": ("", "US/4_options/", "questions/US/4_options/", "data_clean/questions/US/4_options/"),
           "5": ("", "US/", "questions/US/", "data_clean/questions/US/")}  # fmt: skip
PARQUET = {"4": ("data/{}-*.parquet", "{}-*.parquet", "default/{}/*.parquet"), "5": ()}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, dev, test, those that are there."""
    number = options["options"]
    some = False
    for split in SPLITS:
        lines = [folder + FILES[number].format(split) for folder in FOLDERS[number]]
        if has(root, lines):
            sources = [json_items(root, lines)]
        else:
            tables = shards(root, [pattern.format(split) for pattern in PARQUET[number]])
            sources = [
                parquet_rows(root, path, ("question", "options", "answer_idx"), optional=("answer",)) for path in tables
            ]
        for items in sources:
            some = True
            yield from each_item(items, lambda where, row, split=split: _record(where, row, split, int(number)))
    if not some:
        raise UserError(f"{root}: holds no {FILES[number].format('test')} of MedQA with {number} options")


def _record(where: str, row: dict[str, Any], split: Split, number: int) -> Record | Skipped:
    name = f"{split}/{where.rpartition(' ')[2]}"
    options, right = lettered(row["options"]), said(row, "answer_idx").upper()
    if len(options) != number:
        raise ValueError(f"{len(options)} options, not {number}")
    asked = multiple_choice(name, where, said(row, "question"), options, right, text_or_none(row, "meta_info"))
    if isinstance(asked, Skipped):
        return asked
    answer = text_or_none(row, "answer")
    if answer and answer != options[right]:
        raise ValueError(f"answer_idx {right} is '{options[right][:80]}', answer is '{answer[:80]}'")
    return Record(
        name,
        (),
        split=split,
        questions=(asked,),
        meta={"language": "en"},
    )


READER = Reader(
    name="medqa",
    title="MedQA: 12,723 questions of the US medical licensing exam, text alone",
    kinds=("qa",),
    layout="""\
phrases_no_exclude_train.jsonl, _dev, _test   four options: {question, options {A .. D}, answer_idx, answer, \
meta_info} (also below US/4_options/, questions/... and data_clean/questions/...)
train.jsonl, dev.jsonl, test.jsonl            five options, the same (also below US/ ...)
data/train-*.parquet, data/test-*.parquet     the Hub's conversion, of four options""",
    access="https://github.com/jind11/MedQA (data_clean.zip), or https://huggingface.co/datasets/GBaker/"
    "MedQA-USMLE-4-options; MIT",
    read=read,
    options={"options": Option(("4", "5"), "how many options a question has")},
)

"""MedFrameQA: 2,851 multiple-choice questions, each on two to five frames of a medical video (arXiv 2505.16964).

A benchmark: all is test. Images are inside the Parquet files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.parquet import parquet_rows, shards
from radrl.data.published.readers._vqa import letter, lettered, multiple_choice, said, text_or_none
from radrl.data.published.record import Reader, Record, Skipped, each_item
from radrl.errors import UserError

COLUMNS = ("question", "options", "correct_answer")
META = ("modality", "system", "organ", "keyword")
OPTIONAL = ("question_id", "video_id", *META)
IMAGES = tuple(f"image_{number}" for number in range(1, 6))


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question."""
    found = shards(root, ["data/test-*.parquet", "test-*.parquet", "default/test/*.parquet"])
    if not found:
        raise UserError(f"{root}: holds no data/test-*.parquet of MedFrameQA")
    for path in found:
        yield from each_item(parquet_rows(root, path, COLUMNS, optional=OPTIONAL, images=IMAGES), _record)


def _record(where: str, row: dict[str, Any]) -> Record | Skipped:
    name = text_or_none(row, "question_id") or where.rpartition("/")[2].replace(".parquet, row ", "/")
    options, right = lettered(row["options"]), letter(row, "correct_answer")
    asked = multiple_choice(name, where, said(row, "question"), options, right)
    if isinstance(asked, Skipped):
        return asked
    images = tuple(row[column] for column in IMAGES if row.get(column))
    if not images:
        raise ValueError("it has no image")
    return Record(
        name,
        images,
        study=text_or_none(row, "video_id") or None,
        split="test",
        questions=(asked,),
        meta={"language": "en", **{key: text_or_none(row, key) for key in META}},
    )


READER = Reader(
    name="medframeqa",
    title="MedFrameQA: 2,851 multiple-choice questions on several frames of medical videos",
    kinds=("qa",),
    layout="""\
data/test-*.parquet   question, options [texts], correct_answer (the letter), image_1 .. image_5 (inside), \
question_id, video_id, modality, system, organ, keyword""",
    access="https://huggingface.co/datasets/SuhaoYu1020/MedFrameQA; see its card",
    read=read,
)

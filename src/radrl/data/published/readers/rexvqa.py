"""ReXVQA: 696,000 multiple-choice questions on the films of ReXGradient-160K (arXiv 2506.04353)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_members
from radrl.data.published.readers import _rex
from radrl.data.published.readers._vqa import letter, lettered, multiple_choice, said, text_or_none
from radrl.data.published.record import Reader, Record, Skipped, Split, each_item

META = ("category", "subcategory")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, valid, test."""
    for split, path in _rex.files(root, ["{}_vqa_data.json"]):
        yield from each_item(json_members(root, [path]), partial(_record, root, split))


def _record(root: Path, split: Split, where: str, member: tuple[str, dict[str, Any]]) -> Record | Skipped:
    name, item = member
    options, right = lettered(item["options"]), letter(item, "correct_answer")
    asked = multiple_choice(name, where, said(item, "question"), options, right, text_or_none(item, "task_name"))
    if isinstance(asked, Skipped):
        return asked
    return Record(
        name,
        tuple(_rex.images(root, item)),
        patient=text_or_none(item, "PatientID") or None,
        study=text_or_none(item, "StudyInstanceUid") or text_or_none(item, "study_id") or None,
        split=split,
        questions=(asked,),
        meta={"language": "en", **{key: text_or_none(item, key) for key in META}},
    )


READER = Reader(
    name="rexvqa",
    title="ReXVQA: 696,000 multiple-choice questions on the films of ReXGradient-160K",
    kinds=("qa",),
    layout="""\
metadata/train_vqa_data.json, valid_, test_   {id: {question, options ["A. ..."], correct_answer (the letter), \
ImagePath ["../deid_png/..."], PatientID, StudyInstanceUid, study_id, task_name, category, subcategory}}
deid_png/...                                  the unpacked deid_png.part* of ReXGradient-160K""",
    access="https://huggingface.co/datasets/rajpurkarlab/ReXVQA and rajpurkarlab/ReXGradient-160K; agreement on "
    "the Hub, research use",
    read=read,
)

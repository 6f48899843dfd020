"""VQA-RAD: 2,248 questions by clinicians on 314 images of MedPix (Lau et al., Sci Data 2018).

The official test questions are those whose ``phrase_type`` begins with ``test``. 202 of their 203 images have
training questions too; ``--option split=image`` draws splits by MedPix case instead. Four questions stand twice with
the same image and answer, one of them in both splits; ``--option duplicates=drop`` leaves the second of each out, the
test question being kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_items
from radrl.data.published.readers._vqa import DUPLICATES, Seen, first_folder, said, yes_no
from radrl.data.published.record import QA, Option, Reader, Record, Skipped, each_item

FILES = ("VQA_RAD Dataset Public.json", "vqa_rad_dataset_public.json")
FOLDERS = ("VQA_RAD Image Folder", "images")
SPLITS = {"freeform": "train", "para": "train", "test_freeform": "test", "test_para": "test"}
KEPT = {"organ": "image_organ", "phrase": "phrase_type", "evaluation": "evaluation"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question, in the order of the file."""
    folder, seen, drop = first_folder(root, FOLDERS), Seen(), options["duplicates"] == "drop"
    tests = {_parts(row) for _, row in json_items(root, FILES) if _is_test(row)} if drop else set()

    def record(where: str, row: dict[str, Any]) -> Record | Skipped:
        name, split = said(row, "qid"), SPLITS[said(row, "phrase_type")]
        if drop and (seen.twice(split, *_parts(row)) or (split == "train" and _parts(row) in tests)):
            return Skipped(name, "stands twice", where=where)
        return _record(row, name, folder, split if options["split"] == "official" else None)

    return each_item(json_items(root, FILES), record)


def _is_test(row: Any) -> bool:
    return isinstance(row, dict) and SPLITS.get(str(row.get("phrase_type"))) == "test"


def _parts(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(key, "")).strip().lower() for key in ("image_name", "question", "answer"))


def _record(row: dict[str, Any], name: str, folder: str, split: Any) -> Record:
    answer, kind = said(row, "answer"), said(row, "answer_type").upper()
    if kind not in ("OPEN", "CLOSED"):
        raise ValueError(f"answer_type '{kind}' is neither OPEN nor CLOSED")
    return Record(
        name,
        (f"{folder}/{said(row, 'image_name')}",),
        patient=said(row, "image_case_url").rpartition("id=")[2] or None,
        split=split,
        questions=(
            QA(
                "",
                said(row, "question"),
                answer,
                yes_no(answer) if kind == "CLOSED" else (),
                said(row, "question_type"),
            ),
        ),
        meta={"answer_type": kind, "language": "en", **{key: said(row, of) for key, of in KEPT.items()}},
    )


READER = Reader(
    name="vqa_rad",
    title="VQA-RAD: 2,248 clinicians' questions on 314 radiology images",
    kinds=("qa",),
    layout="""\
VQA_RAD Dataset Public.json   a list of {qid, phrase_type, image_case_url, image_name, image_organ, evaluation, \
question, question_type, answer, answer_type}
VQA_RAD Image Folder/*.jpg    (or images/*.jpg)""",
    access="https://osf.io/89kps; CC0 1.0",
    read=read,
    options={
        "split": Option(("official", "image"), "the marked test questions, or draw splits by MedPix case"),
        "duplicates": DUPLICATES,
    },
)

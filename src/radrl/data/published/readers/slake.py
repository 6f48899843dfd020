"""SLAKE 1.0: 14,028 questions in English and Chinese on 642 CT, MRI and X-ray images (arXiv 2102.09542).

Closed questions that are answered with yes or no are asked as such; for the others, and for Chinese ones, the options
are not published, so they are asked as open ones and ``meta.answer_type`` says CLOSED.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_items
from radrl.data.published.readers._vqa import said, yes_no
from radrl.data.published.record import QA, Option, Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import has
from radrl.errors import UserError

FILES: Mapping[str, Split] = {"train.json": "train", "validate.json": "dev", "test.json": "test"}
KEPT = {"answer_type": "answer_type", "modality": "modality", "location": "location", "base_type": "base_type"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, validate, test."""
    found = [(f"{folder}{file}", file) for folder in ("", "Slake1.0/") for file in FILES if has(root, [folder + file])]
    if not found:
        raise UserError(f"{root}: holds no train.json, validate.json or test.json of SLAKE")
    for path, file in found:

        def record(where: str, row: dict[str, Any], path: str = path, file: str = file) -> Record | Skipped | None:
            language = said(row, "q_lang")
            if language not in ("en", "zh"):
                raise ValueError(f"q_lang '{language}' is neither en nor zh")
            if options["language"] not in ("both", language):
                return None
            name, answer = said(row, "qid"), said(row, "answer")
            if not answer:
                return Skipped(name, "no answer", where=where)
            closed = language == "en" and said(row, "answer_type") == "CLOSED"
            return Record(
                name,
                (f"{path.removesuffix(file)}imgs/{said(row, 'img_name')}",),
                split=FILES[file],
                questions=(
                    QA("", said(row, "question"), answer, yes_no(answer) if closed else (), said(row, "content_type")),
                ),
                meta={"language": language, **{key: said(row, of) for key, of in KEPT.items()}},
            )

        yield from each_item(json_items(root, [path]), record)


READER = Reader(
    name="slake",
    title="SLAKE: 14,028 questions in English and Chinese on 642 images",
    kinds=("qa",),
    layout="""\
train.json, validate.json, test.json   (or below Slake1.0/) lists of {img_id, img_name, question, answer, q_lang, \
location, modality, answer_type, base_type, content_type, triple, qid}
imgs/xmlab*/source.jpg""",
    access="https://www.med-vqa.com/slake; CC BY 4.0",
    read=read,
    options={"language": Option(("both", "en", "zh"), "of the questions")},
)

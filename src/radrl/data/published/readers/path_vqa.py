"""PathVQA: about 32,800 questions on pathology images of two textbooks and the PEIR library (arXiv 2003.10286).

Published as pickles; they are read without unpickling. Questions answered with yes or no are the closed ones, as on its
leaderboard. ``--option duplicates=drop`` leaves out what stands twice within a split, as the copy on the Hub does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import pickled_items
from radrl.data.published.readers._vqa import DUPLICATES, Seen, said, yes_no
from radrl.data.published.record import QA, Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import has
from radrl.errors import UserError

SPLITS: Mapping[str, Split] = {"train": "train", "val": "dev", "test": "test"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, val, test."""
    found = [
        (folder, part)
        for folder in ("", "pvqa/")
        for part in SPLITS
        if has(root, [f"{folder}qas/{part}/{part}_qa.pkl"])
    ]
    if not found:
        raise UserError(f"{root}: holds no qas/train/train_qa.pkl (or val, test); see 'radrl data list path_vqa'")
    for folder, part in found:
        seen = Seen()

        def record(
            where: str, row: dict[str, Any], folder: str = folder, part: str = part, seen: Seen = seen
        ) -> Record | Skipped:
            image, question, answer = (said(row, key) for key in ("image", "question", "answer"))
            name = f"{part}/{where.rpartition(' ')[2]}"
            if options["duplicates"] == "drop" and seen.twice(image, question, answer):
                return Skipped(name, "stands twice", where=where)
            choices = yes_no(answer)
            return Record(
                name,
                (f"{folder}images/{part}/{image}.jpg",),
                split=SPLITS[part],
                questions=(QA("", question, answer, choices, question.partition(" ")[0].lower()),),
                meta={"answer_type": "CLOSED" if choices else "OPEN", "language": "en"},
            )

        yield from each_item(pickled_items(root, [f"{folder}qas/{part}/{part}_qa.pkl"]), record)


READER = Reader(
    name="path_vqa",
    title="PathVQA: about 32,800 questions on pathology images",
    kinds=("qa",),
    layout="""\
qas/train/train_qa.pkl, qas/val/val_qa.pkl, qas/test/test_qa.pkl   (or below pvqa/) lists of {image, question, answer}
images/train/*.jpg, images/val/*.jpg, images/test/*.jpg""",
    access="https://github.com/UCSD-AI4H/PathVQA (has the link); images belong to the publishers and PEIR",
    read=read,
    options={"duplicates": DUPLICATES},
)

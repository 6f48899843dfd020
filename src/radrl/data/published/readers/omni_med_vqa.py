"""OmniMedVQA: 127,995 multiple-choice questions on 118,010 images of 73 data sets (arXiv 2402.09181), 88,996 of them
on openly available images.

A benchmark without splits: all is test, or ``--option split=drawn`` draws splits by image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_items
from radrl.data.published.readers._vqa import said
from radrl.data.published.record import QA, Option, Reader, Record, Skipped, each_item
from radrl.errors import UserError

FOLDERS = {"open": ("Open-access",), "restricted": ("Restricted-access",), "all": ("Open-access", "Restricted-access")}
LETTERS = "ABCD"


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question, data set by data set in the order of their names."""
    files = [
        file.relative_to(root).as_posix()
        for folder in FOLDERS[options["access"]]
        for file in sorted((Path(root) / "QA_information" / folder).glob("*.json"))
    ]
    if not files:
        wanted = " or ".join(FOLDERS[options["access"]])
        raise UserError(f"{root}: holds no QA_information/{wanted}/*.json; see 'radrl data list omni_med_vqa'")
    split = "test" if options["split"] == "test" else None
    for path in files:

        def record(where: str, row: dict[str, Any], path: str = path) -> Record | Skipped:
            return _record(where, row, path, split)

        yield from each_item(json_items(root, [path]), record)


def _record(where: str, row: dict[str, Any], path: str, split: Any) -> Record | Skipped:
    name = f"{Path(path).stem}/{said(row, 'question_id')}"
    choices = tuple(said(row, f"option_{letter}") for letter in LETTERS if row.get(f"option_{letter}") is not None)
    answer = said(row, "gt_answer")
    if len(choices) < 2 or not all(choices):
        return Skipped(name, "an option is empty", where=where)
    if answer not in choices:
        return Skipped(name, "the answer is none of the options", where=where, detail=answer[:200])
    if choices.count(answer) > 1:
        return Skipped(name, "two options are the same", where=where)
    image = said(row, "image_path")
    return Record(
        name,
        (image,),
        split=split,
        questions=(QA("", said(row, "question"), answer, choices, said(row, "question_type")),),
        meta={
            "language": "en",
            "dataset": said(row, "dataset"),
            # one file of the release says modality
            "modality": said(row, "modality_type" if "modality_type" in row else "modality"),
        },
    )


READER = Reader(
    name="omni_med_vqa",
    title="OmniMedVQA: multiple-choice questions on images of 73 data sets",
    kinds=("qa",),
    layout="""\
QA_information/Open-access/*.json (and Restricted-access/*.json)   lists of {dataset, question_id, question_type, \
question, gt_answer, image_path, option_A .. option_D (two to four), modality_type}
Images/...   what image_path names""",
    access="https://huggingface.co/datasets/foreverbeliever/OmniMedVQA; the images under their own data sets' licences",
    read=read,
    options={
        "access": Option(("open", "restricted", "all"), "which questions; images of restricted ones are not published"),
        "split": Option(("test", "drawn"), "all as test, or draw splits by image"),
    },
)

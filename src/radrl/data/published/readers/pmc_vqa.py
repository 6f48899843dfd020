"""PMC-VQA: 227,000 multiple-choice questions on figures of PubMed Central (arXiv 2305.10415).

Version 1 has compound figures, version 2 single ones; ``test=clean`` is the test set of version 1 that was checked by
hand. The letter of the answer is what counts, as in the authors' scorer, not the text beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from radrl.data.published.readers._vqa import first_folder
from radrl.data.published.record import QA, Option, Reader, Record, Skipped, Split, each
from radrl.data.published.safe_files import has
from radrl.data.published.tables import Row, table
from radrl.errors import UserError

LETTERS = "ABCD"
COLUMNS = ("Figure_path", "Question", "Answer", *(f"Choice {letter}" for letter in LETTERS))
FILES: Mapping[str, Mapping[Split, tuple[str, ...]]] = {
    "1": {"train": ("train.csv",), "test": ("test.csv",)},
    "1-clean": {"train": ("train.csv",), "test": ("test_clean.csv",)},
    "2": {"train": ("train_2.csv", "train2.csv"), "test": ("test_2.csv", "test2.csv")},
}
FOLDERS = {
    "1": ("images", "images/images"),
    "1-clean": ("images", "images/images"),
    "2": ("images_2/figures", "images2/figures", "figures", "images_2", "images2"),
}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, test."""
    version = options["version"]
    found: dict[Split, tuple[str, ...]] = {split: names for split, names in FILES[version].items() if has(root, names)}
    if not found:
        raise UserError(f"{root}: holds no {FILES[version]['train'][0]} and no {FILES[version]['test'][0]} of PMC-VQA")
    folder = first_folder(root, FOLDERS[version])
    for split, names in found.items():
        rows = table(root, names, COLUMNS, optional=("Answer_label",))
        yield from each(rows, partial(_record, split=split, folder=folder, version=version))


def _record(row: Row, split: Split, folder: str, version: str) -> Record | Skipped:
    name = f"{row.file.name.partition('.')[0]}/{row.line}"
    right = (row.get("Answer_label") or row["Answer"]).strip(" .:").upper()
    if right not in tuple(LETTERS):
        raise ValueError(f"the answer '{right}' is none of A, B, C, D")
    choices = tuple(_choice(row[f"Choice {letter}"], letter) for letter in LETTERS)
    if not all(choices):
        return Skipped(name, "an option is empty", where=row.where)
    answer = choices[LETTERS.index(right)]
    if choices.count(answer) > 1:
        return Skipped(name, "two options are the same", where=row.where)
    article = row["Figure_path"].partition("_")[0]
    return Record(
        name,
        (f"{folder}/{row['Figure_path']}",),
        study=article,
        split=split,
        questions=(QA("", row["Question"], answer, choices),),
        meta={"language": "en", "version": version},
    )


def _choice(cell: str, letter: str) -> str:
    """Returns an option without the ``A:`` before it."""
    return cell.removeprefix(f"{letter}:").strip()


READER = Reader(
    name="pmc_vqa",
    title="PMC-VQA: 227,000 multiple-choice questions on figures of PubMed Central",
    kinds=("qa",),
    layout="""\
train.csv, test.csv, test_clean.csv   Figure_path, Question, Answer, Choice A .. Choice D ("A:..."), Answer_label
images/*.jpg                          of them
train_2.csv, test_2.csv               version 2: Figure_path, Question, Choice A .. Choice D, Answer (the letter)
images_2/figures/*.jpg                of them (or figures/, images_2/)""",
    access="https://huggingface.co/datasets/xmcmic/PMC-VQA; CC BY-SA",
    read=read,
    options={"version": Option(("1", "1-clean", "2"), "of the data set; 1-clean has the hand-checked test set")},
)

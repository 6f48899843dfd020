"""VQA-Med of ImageCLEF 2019, 2020 and 2021: questions on MedPix images (CEUR-WS 2380/272, 2696/106, 2936/87).

The reference answers of the tests hold several accepted ones: 2019 with ``#`` between them and optional parts in
parentheses, 2020 and 2021 in further columns. The first is the reference, all are in ``meta.answers``, and the scorers
take any of them. The training set of 2021 is that of 2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from radrl.data.published.json_lists import text_lines
from radrl.data.published.readers._vqa import first_folder, yes_no
from radrl.data.published.record import QA, Option, Reader, Record, Skipped, Split, each_item
from radrl.data.published.safe_files import has
from radrl.data.published.tables import Wrong
from radrl.errors import UserError


class Part(NamedTuple):
    """One split of one year: folder and file of the questions, folders of the images, file of the answers apart."""

    split: Split
    folder: str
    file: str
    images: tuple[str, ...]
    answers: str = ""


YEARS = {
    "2019": (
        Part("train", "ImageClef-2019-VQA-Med-Training", "All_QA_Pairs_train.txt", ("Train_images",)),
        Part("dev", "ImageClef-2019-VQA-Med-Validation", "All_QA_Pairs_val.txt", ("Val_images",)),
        Part(
            "test", "VQAMed2019Test", "VQAMed2019_Test_Questions_w_Ref_Answers.txt",
            ("VQAMed2019_Test_Images", "Test_Images"),
        ),
    ),
    "2020": (
        Part(
            "train", "VQAMed2020-VQAnswering-TrainingSet", "VQAnswering_2020_Train_QA_pairs.txt",
            ("VQAnswering_2020_Train_images",),
        ),
        Part(
            "dev", "VQAMed2020-VQAnswering-ValidationSet", "VQAnswering_2020_Val_QA_Pairs.txt",
            ("VQAnswering_2020_Val_images",),
        ),
        Part(
            "test", "VQA-TestSet-ReferenceAnswers-VQAMed2020-Task1", "VQAMed2020-Task1-VQAnswering-Test-Questions.txt",
            ("Task1-2020-VQAnswering-Test-Images",), "VQAMed2020-Task1-VQAnswering-Test-ReferenceAnswers.txt",
        ),
    ),
    "2021": (
        Part(
            "dev", "VQA-Med-2021-Tasks-1-2-NewValidationSets",
            "VQA-Med-2021-VQAnswering-Task1-New-ValidationSet.txt", ("ImageCLEF-2021-VQA-Med-New-Validation-Images",),
        ),
        Part(
            "test", "Task1-VQA-2021-TestSet-w-GroundTruth", "Task1-VQA-2021-TestSet-Questions.txt",
            ("VQA-500-Images", "images/VQA-500-Images"), "Task1-VQA-2021-TestSet-ReferenceAnswers.txt",
        ),
    ),
}  # fmt: skip
WITHIN = ("", "VQA-Med-2020-Task1-VQAnswering-TrainVal-Sets/")  # the archive's own folder
CATEGORIES = ("modality", "plane", "organ", "abnormality")
OPTIONAL = re.compile(r"\(([^()]{0,300})\)")


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a question: train, validation, test, those that are there."""
    year = options["year"]
    found = [
        (part, f"{within}{part.folder}")
        for part in YEARS[year]
        for within in WITHIN
        if has(root, [f"{within}{part.folder}/{part.file}"])
    ]
    if not found:
        first = YEARS[year][0]
        raise UserError(f"{root}: holds no {first.folder}/{first.file} of VQA-Med {year}, and no other part of it")
    for part, folder in found:
        images = folder + "/" + first_folder(Path(root) / folder, part.images)
        answers = _answers(root, f"{folder}/{part.answers}") if part.answers else None

        def record(
            where: str, line: str, part: Part = part, images: str = images, answers: dict | None = answers
        ) -> Record | Skipped:
            return _record(where, line, year, part, images, answers)

        yield from each_item(text_lines(root, [f"{folder}/{part.file}"]), record)


def _answers(root: Path, path: str) -> dict[str, list[str]]:
    """Returns the accepted answers by image, of a file with ``image|answer|answer...``."""
    found = {}
    for line in text_lines(root, [path]):
        if not isinstance(line, Wrong):
            image, *answers = (cell.strip() for cell in line[1].split("|"))
            found[image] = [answer for answer in answers if answer]
    return found


def _record(
    where: str, line: str, year: str, part: Part, images: str, answers: dict[str, list[str]] | None
) -> Record | Skipped:
    cells = [cell.strip() for cell in line.split("|")]
    name = f"{year}/{part.split}/{where.rpartition(':')[2]}"
    with_category = part.split == "test" and answers is None
    wanted = 2 if answers is not None else 4 if with_category else 3
    if len(cells) != wanted or not all(cells[:-1]):
        raise ValueError(f"{len(cells)} cells with | between, not {wanted}")
    image, category, question = cells[0], cells[1] if with_category else "", cells[1 + with_category]
    if with_category and category not in CATEGORIES:
        raise ValueError(f"category '{category}' is none of {', '.join(CATEGORIES)}")
    accepted = answers.get(image, []) if answers is not None else _accepted(cells[-1], with_category)
    if not accepted:
        return Skipped(name, "no answer", where=where)
    choices = yes_no(accepted[0]) if len(accepted) == 1 else ()
    meta = {"answer_type": "CLOSED" if choices else "OPEN", "language": "en", "year": year, "image": image}
    return Record(
        name,
        (f"{images}/{image}.jpg",),
        split=part.split,
        questions=(QA("", question, accepted[0], choices, category),),
        meta=meta | ({"answers": accepted} if len(accepted) > 1 else {}),
    )


def _accepted(cell: str, several: bool) -> list[str]:
    """Returns the accepted answers of a cell: of the test those between ``#``, each with and without what stands in
    parentheses, which "could be ignored" (README of the test set)."""
    if not several:
        return [cell] if cell else []
    found = []
    for answer in cell.split("#"):
        whole = " ".join(OPTIONAL.sub(r"\1", answer).split())
        short = " ".join(OPTIONAL.sub(" ", answer).split())
        found += [text for text in (whole, short) if text]
    return list(dict.fromkeys(found))


READER = Reader(
    name="vqa_med",
    title="VQA-Med 2019, 2020 and 2021 of ImageCLEF: questions on MedPix images",
    kinds=("qa",),
    layout="""\
2019  ImageClef-2019-VQA-Med-Training/All_QA_Pairs_train.txt     image|question|answer; Train_images/*.jpg
      ImageClef-2019-VQA-Med-Validation/All_QA_Pairs_val.txt     the same; Val_images/*.jpg
      VQAMed2019Test/VQAMed2019_Test_Questions_w_Ref_Answers.txt image|category|question|answer#answer; \
VQAMed2019_Test_Images/*.jpg
2020  VQAMed2020-VQAnswering-TrainingSet/VQAnswering_2020_Train_QA_pairs.txt; VQAnswering_2020_Train_images/*.jpg
      VQAMed2020-VQAnswering-ValidationSet/VQAnswering_2020_Val_QA_Pairs.txt; VQAnswering_2020_Val_images/*.jpg
      VQA-TestSet-ReferenceAnswers-VQAMed2020-Task1/VQAMed2020-Task1-VQAnswering-Test-Questions.txt image|question, \
...-Test-ReferenceAnswers.txt image|answer|answer; Task1-2020-VQAnswering-Test-Images/*.jpg
2021  VQA-Med-2021-Tasks-1-2-NewValidationSets/VQA-Med-2021-VQAnswering-Task1-New-ValidationSet.txt; \
ImageCLEF-2021-VQA-Med-New-Validation-Images/*.jpg
      Task1-VQA-2021-TestSet-w-GroundTruth/Task1-VQA-2021-TestSet-Questions.txt, ...-ReferenceAnswers.txt; \
VQA-500-Images/*.jpg""",
    access="https://zenodo.org/records/10499039 (2019), https://github.com/abachaa/VQA-Med-2020 and VQA-Med-2021; the "
    "training set of 2020 from AIcrowd, with registration",
    read=read,
    options={"year": Option(("2019", "2020", "2021"), "of the task")},
)

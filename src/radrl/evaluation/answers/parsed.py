"""What the predictions of a model say: their texts read as Answers."""

from __future__ import annotations

from collections.abc import Sequence

from radrl.answers.parsing import parse
from radrl.evaluation.answers.asked_examples import AskedExamples
from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.predictions import Prediction
from radrl.example import Answer
from radrl.images.sizes import box_size


def parse_predictions(
    samples: Sequence[Sequence[Prediction]], examples: AskedExamples, header: Header
) -> list[list[Answer]]:
    """Returns the parsed Answers, one list a sample, in the order of the Examples. Boxes in pixels are of the image as
    the Header says that it was resized.

    Raises:
        UserError: boxes are in pixels, and an image's size cannot be read.
    """
    style = header.style
    answers: list[list[Answer]] = [[] for _ in samples]
    for i, example in enumerate(examples):
        size = box_size(examples, i, style, header.images) if example.task == "grounding" else None
        for of_sample, row in zip(answers, samples, strict=True):
            of_sample.append(parse(row[i].completion, example, style, row[i].tokens, size))
    return answers

"""What a model said, kept on disk: one Prediction a line in ``OUT/predictions/NAME.jsonl``, its Header beside it.

Lines are appended as answers come, so a run that is stopped goes on where it was: what is there is not asked again.
The Header (see `header`) tells which model answered which questions under which settings; answers under other ones are
never added to the same file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from radrl.answers.parsing import parse
from radrl.errors import UserError, one_line
from radrl.evaluation.answers.header import Header
from radrl.example import Answer, Example
from radrl.images.sizes import box_size
from radrl.support.files import Journal, journal_lines, numbered_lines, replacing

NAMED = 3  # so many ids are named in an error
Key = tuple[str, int]


class Prediction(NamedTuple):
    """One completion of one Example. ``sample`` counts from 0; ``tokens`` is the completion's length with its end
    token, None where the backend does not tell; ``settings`` is the Header's digest of the decoding settings."""

    id: str
    sample: int
    completion: str
    tokens: int | None
    settings: str


def file_name(name: str) -> str:
    """Returns a model's name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"


def read(path: Path, *, mend: bool = False) -> Iterator[Prediction]:
    """Yields the Predictions of a file of ours. ``mend`` leaves out a torn last line (a kill while it was written).

    Raises:
        UserError: the file cannot be read, or a line is not a Prediction.
    """
    for number, line in journal_lines(path) if mend else numbered_lines(path):
        try:
            yield _prediction(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(
                f'{path}:{number}: not a prediction {{"id", "sample", "completion", "tokens", "settings"}}; '
                "mend or remove the line"
            ) from None


def _prediction(record: Any) -> Prediction:
    found = Prediction(
        record["id"], record.get("sample", 0), record["completion"], record.get("tokens"), record.get("settings", "")
    )
    whole = (found.sample, found.tokens or 0)
    if not isinstance(found.id, str) or not isinstance(found.completion, str) or not isinstance(found.settings, str):
        raise TypeError
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in whole):
        raise TypeError
    return found


@contextmanager
def writer(path: Path) -> Iterator[Callable[[Iterable[Prediction]], None]]:
    """Yields a function that appends Predictions to a file and returns once they are on the disk.

    Raises:
        UserError: another process writes the file, or the disk is full; whole lines stay.
    """
    with Journal(path, advice="wait for it, or give each a --shard") as journal:
        yield lambda predictions: journal.append(*map(_line, predictions))


def _line(prediction: Prediction) -> str:
    return json.dumps(prediction._asdict())


def arrange(
    predictions: Iterable[Prediction], examples: Sequence[Example], samples: int, where: str | Path
) -> list[list[Prediction]]:
    """Returns ``samples`` lists of Predictions, each in the order of the Examples.

    Raises:
        UserError: an Example has none or not all of its samples, has one twice, or an id is not in the manifest. The
            first ids of each kind are named, and nothing is returned.
    """
    place = {example.id: i for i, example in enumerate(examples)}
    found: list[list[Prediction | None]] = [[None] * len(examples) for _ in range(samples)]
    unknown: dict[str, None] = {}
    double: dict[str, None] = {}
    for one in predictions:
        i = place.get(one.id)
        if i is None:
            unknown[one.id] = None
        elif one.sample >= samples:
            unknown[f"{one.id} (sample {one.sample} of {samples})"] = None
        elif found[one.sample][i] is not None:
            double[one.id] = None
        else:
            found[one.sample][i] = one
    missing = [example.id for i, example in enumerate(examples) if any(row[i] is None for row in found)]
    wrong = [
        f"{len(ids)} {what}: {', '.join(repr(one) for one in list(ids)[:NAMED])}{', …' if len(ids) > NAMED else ''}"
        for what, ids in (
            ("missing ids", missing), ("ids that stand twice", double), ("ids that are not in the manifest", unknown)
        )
        if ids
    ]  # fmt: skip
    if wrong:
        raise UserError(
            one_line(f"{where}: {'; '.join(wrong)}; nothing was scored. A file holds each case of the manifest once")
        )
    return found  # type: ignore[return-value]  no None is left


def write(path: Path, samples: Sequence[Sequence[Prediction]]) -> None:
    """Writes Predictions case by case, in the manifest's order, so that a reader sees the old file or the whole new
    one. Raises UserError."""
    with replacing(path) as file:
        for case in zip(*samples, strict=True):
            file.writelines(f"{_line(one)}\n".encode() for one in case)


def answers(rows: Sequence[Sequence[Prediction]], examples: Sequence[Example], header: Header) -> list[list[Answer]]:
    """Returns the parsed Answers, one list a sample, in the order of the Examples. Boxes in pixels are of the image as
    the Header says that it was resized; ``examples`` then know how large their images are (`image_sizes.Sized`).

    Raises:
        UserError: boxes are in pixels, and an image's size cannot be read.
    """
    style = header.style
    found: list[list[Answer]] = [[] for _ in rows]
    for i, example in enumerate(examples):
        size = box_size(examples, i, style, header.images) if example.task == "grounding" else None
        for answers_of, row in zip(found, rows, strict=True):
            answers_of.append(parse(row[i].completion, example, style, row[i].tokens, size))
    return found

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

from radrl.errors import UserError, one_line
from radrl.evaluation.answers.header import Header
from radrl.example import Example
from radrl.support.files import Journal, journal_lines, numbered_lines, replacing

NAMED = 3  # so many ids are named in an error


class Prediction(NamedTuple):
    """One completion of one Example. ``sample`` counts from 0; ``tokens`` is the completion's length with its end
    token, None where the backend does not tell; ``settings`` is the Header's digest of the decoding settings."""

    id: str
    sample: int
    completion: str
    tokens: int | None
    settings: str


class Collected(NamedTuple):
    """All that one model said: a list of Predictions a sample, each in the Examples' order, and their Header."""

    header: Header
    samples: list[list[Prediction]]


def file_name(name: str) -> str:
    """Returns a model's name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"


def read_predictions(path: Path, *, torn_line_ends: bool = False) -> Iterator[Prediction]:
    """Yields the Predictions of a file of ours. With ``torn_line_ends`` a torn last line is the end (a kill while it
    was written); else it is an error.

    Raises:
        UserError: the file cannot be read, or a line is not a Prediction.
    """
    for number, line in journal_lines(path) if torn_line_ends else numbered_lines(path):
        try:
            yield _prediction(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(
                f'{path}:{number}: not a prediction {{"id", "sample", "completion", "tokens", "settings"}}; '
                "correct or remove the line"
            ) from None


def _prediction(record: Any) -> Prediction:
    one = Prediction(
        record["id"], record.get("sample", 0), record["completion"], record.get("tokens"), record.get("settings", "")
    )
    if not all(isinstance(text, str) for text in (one.id, one.completion, one.settings)):
        raise TypeError
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in (one.sample, one.tokens or 0)):
        raise TypeError
    return one


@contextmanager
def prediction_writer(path: Path) -> Iterator[Callable[[Iterable[Prediction]], None]]:
    """Yields a function that appends Predictions to a file and returns once they are on the disk.

    Raises:
        UserError: another process writes the file, or the disk is full; whole lines stay.
    """
    with Journal(path, advice="wait for it, or give each a --shard") as journal:
        yield lambda predictions: journal.append(*map(_line, predictions))


def _line(prediction: Prediction) -> str:
    return json.dumps(prediction._asdict())


def arrange_by_sample(
    predictions: Iterable[Prediction], examples: Sequence[Example], samples: int, where: str | Path
) -> list[list[Prediction]]:
    """Returns ``samples`` lists of Predictions, each in the order of the Examples.

    Raises:
        UserError: an Example has none or not all of its samples, has one twice, or an id is not in the manifest. The
            first ids of each kind are named, and nothing is returned.
    """
    place = {example.id: i for i, example in enumerate(examples)}
    given: list[dict[int, Prediction]] = [{} for _ in range(samples)]  # by sample and index of the Example
    unknown: dict[str, None] = {}
    double: dict[str, None] = {}
    for one in predictions:
        i = place.get(one.id)
        if i is None:
            unknown[one.id] = None
        elif one.sample >= samples:
            unknown[f"{one.id} (sample {one.sample} of {samples})"] = None
        elif i in given[one.sample]:
            double[one.id] = None
        else:
            given[one.sample][i] = one
    missing = [example.id for i, example in enumerate(examples) if any(i not in row for row in given)]
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
    return [[row[i] for i in range(len(examples))] for row in given]


def write_predictions(path: Path, samples: Sequence[Sequence[Prediction]]) -> None:
    """Writes Predictions case by case, in the manifest's order, so that a reader sees the old file or the whole new
    one. Raises UserError."""
    with replacing(path) as file:
        for case in zip(*samples, strict=True):
            file.writelines(f"{_line(one)}\n".encode() for one in case)

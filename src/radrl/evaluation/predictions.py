"""What a model said, kept on disk: one Prediction a line in ``OUT/predictions/NAME.jsonl``, its Header beside it.

Lines are appended as answers come, so a run that is stopped goes on where it was: what is there is not asked again.
The Header tells which model answered which questions under which settings; answers under other ones are never added
to the same file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.files import no_space, write_json
from radrl.prompt import PromptStyle, parse
from radrl.recipe_yaml import one_line

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


@dataclass(frozen=True)
class Header:
    """Which model answered which Examples, and how.

    ``source`` is the model's folder, hub id, endpoint or file; ``hashes`` holds ``manifest`` (the Examples), and
    ``model`` where its files are at hand; `settings` is a digest of everything here but the name and the path.
    """

    model: str
    source: str
    backend: str
    prompt: dict[str, Any]  # box_format, thinking
    decoding: dict[str, Any]  # temperature, max_new_tokens, samples, seed
    images: dict[str, Any] = field(default_factory=dict)  # resized by which class, pixel bounds, control
    versions: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """Returns the digest that every Prediction carries."""
        told = {key: value for key, value in asdict(self).items() if key not in ("model", "source")}
        return digest(told)

    @property
    def samples(self) -> int:
        """Returns how many completions an Example has."""
        return int(self.decoding.get("samples", 1))

    @property
    def style(self) -> PromptStyle:
        """Returns how the questions were put."""
        return PromptStyle(self.prompt.get("box_format", "unit"), bool(self.prompt.get("thinking", False)))

    def save(self, path: Path) -> None:
        """Writes the Header as JSON, with the digest of the settings among its hashes."""
        told = asdict(self)
        write_json(path, {**told, "hashes": {**told["hashes"], "settings": self.settings}})


def read_header(path: Path) -> Header:
    """Returns the Header of a file of predictions.

    Raises:
        UserError: it is missing or not one.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Header)}
        if not isinstance(values, dict) or not {"model", "source", "backend", "prompt", "decoding"} <= values.keys():
            raise ValueError
        values = {key: value for key, value in values.items() if key in known}
        values["hashes"] = {k: v for k, v in values.get("hashes", {}).items() if k != "settings"}
        return Header(**values)
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}; it belongs to the .jsonl of the same name") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}: not the header of a file of predictions; remove it and the .jsonl") from None


def digest(value: Any) -> str:
    """Returns 16 hexadecimal digits of SHA-256 over a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:16]


def manifest_hash(examples: Iterable[Example]) -> str:
    """Returns a digest of Examples in their order: ids, questions, references, everything but the pixels."""
    found = hashlib.sha256()
    for example in examples:
        found.update(example.model_dump_json(exclude_defaults=True).encode() + b"\n")
    return found.hexdigest()[:16]


def file_name(name: str) -> str:
    """Returns a model's name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"


def differences(before: Header, now: Header) -> list[str]:
    """Returns what two Headers differ in, ``key was X, is Y`` each; the model's name and path aside."""
    old, new = asdict(before), asdict(now)
    found = []
    for key in old:
        if key in ("model", "source"):
            continue
        if not isinstance(old[key], dict):
            if old[key] != new[key]:
                found.append(f"{key} was {old[key]!r}, is {new[key]!r}")
            continue
        for part in sorted(old[key].keys() | new[key].keys()):
            a, b = old[key].get(part), new[key].get(part)
            if a != b:
                found.append(f"{key}.{part} was {a!r}, is {b!r}")
    return found


def begin(path: Path, header: Header) -> None:
    """Writes the Header beside a file of predictions, or checks the one that is there.

    Raises:
        UserError: the file was begun with other settings, another model or other Examples (what differs is named), or
            it has no Header.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        if path.is_file() and path.stat().st_size:
            raise UserError(f"{path}: holds predictions without their header {beside.name}; move the file away")
        header.save(beside)
        return
    before = read_header(beside)
    found = differences(before, header)
    if found:
        raise UserError(
            one_line(
                f"{path}: was begun with other settings: {'; '.join(found)}; "
                "set them back, choose another --out, or remove the file to begin anew"
            )
        )


def read(path: Path, *, mend: bool = False) -> Iterator[Prediction]:
    """Yields the Predictions of a file of ours. ``mend`` leaves out a torn last line (a kill while it was written).

    Raises:
        UserError: the file cannot be read, or a line is not a Prediction.
    """
    try:
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if not raw.strip():
                    continue
                try:
                    yield _prediction(json.loads(raw))
                except (ValueError, KeyError, TypeError, RecursionError):
                    if mend and not raw.endswith(b"\n"):
                        return
                    raise UserError(
                        f'{path}:{number}: not a prediction {{"id", "sample", "completion", "tokens", "settings"}}; '
                        "mend or remove the line"
                    ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}") from None


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
def writer(path: Path) -> Iterator[Any]:
    """Yields a function that appends Predictions to a file and returns once they are on the disk.

    Raises:
        UserError: another process writes the file, or the disk is full; whole lines stay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("ab", buffering=0) as file:
            _lock(file, path)
            _cut_torn_line(path)

            def append(predictions: Iterable[Prediction]) -> None:
                lines = b"".join(json.dumps(p._asdict()).encode() + b"\n" for p in predictions)
                # unbuffered: a disk that fills up takes a part without an error
                if lines and file.write(lines) != len(lines):
                    raise UserError(f"{path}: no space left on device; free some and run the same command again")
                os.fsync(file.fileno())

            yield append
    except OSError as error:
        why = "no space left on device" if no_space(error) else f"cannot write: {error.strerror}"
        raise UserError(f"{path}: {why}; mend it and run the same command again to go on from here") from None


def _lock(file: Any, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path}: another process is writing it; wait for it, or give each a --shard") from None
    except OSError:  # a file system without locks
        pass


def _cut_torn_line(path: Path) -> None:
    """Cuts what follows the last line end, where that is no whole line."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and b"\n" not in tail:
            start = max(0, end - 65536)
            file.seek(start)
            tail = file.read(end - start) + tail
            end = start
        torn = tail[tail.rfind(b"\n") + 1 :]
        if torn:
            file.seek(-len(torn), os.SEEK_END)
            file.truncate()


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


def answers(
    rows: Sequence[Sequence[Prediction]], examples: Sequence[Example], style: PromptStyle
) -> list[list[Answer]]:
    """Returns the parsed Answers, one list a sample, in the order of the Examples."""
    return [
        [
            parse(one.completion, example, style)._replace(tokens=one.tokens)
            for one, example in zip(row, examples, strict=True)
        ]
        for row in rows
    ]

"""The header of a file of predictions: which model answered which questions under which settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from radrl.errors import UserError, one_line
from radrl.evaluation.answers.digests import json_digest
from radrl.prompt.messages import PromptStyle
from radrl.support.files import write_json

MOST_SAMPLES = 10_000
RECIPE = "recipe.yaml"  # beside the predictions: `radrl compare` reads the test data from it


@dataclass(frozen=True)
class Header:
    """Which model answered which Examples, and how.

    ``source`` is the model's folder, hub id, endpoint or file; ``hashes`` holds ``manifest`` (the Examples), and
    ``model`` where its files are at hand; `settings` is a digest of everything here but the name and the path.
    """

    model: str
    source: str
    backend: str
    prompt: dict[str, Any]  # the PromptStyle
    decoding: dict[str, Any]  # `model_settings.decoding_facts`, and where settings, end tokens and dtype come from
    images: dict[str, Any] = field(default_factory=dict)  # `image_sizes.image_resizing`, control
    versions: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """Returns the digest that every Prediction carries."""
        told = {key: value for key, value in asdict(self).items() if key not in ("model", "source")}
        return json_digest(told)

    @property
    def samples(self) -> int:
        """Returns how many completions an Example has."""
        return int(self.decoding.get("samples", 1))

    @property
    def style(self) -> PromptStyle:
        """Returns how the questions were put."""
        return PromptStyle(**{f.name: self.prompt[f.name] for f in fields(PromptStyle) if f.name in self.prompt})

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
        header = Header(**values)
        samples = header.decoding.get("samples", 1)
        named = all(isinstance(value, str) for value in (header.model, header.source, header.backend))
        parts = (header.prompt, header.decoding, header.images, header.versions, header.hashes)
        if not named or not all(isinstance(part, dict) for part in parts):
            raise TypeError
        if type(samples) is not int or not 1 <= samples <= MOST_SAMPLES:
            raise ValueError
        return header
    except OSError as error:
        raise UserError(f"{path}: cannot read: {error.strerror}; it belongs to the .jsonl of the same name") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}: not the header of a file of predictions; remove it and the .jsonl") from None


def differences(before: Header, now: Header) -> list[str]:
    """Returns what two Headers differ in, ``key was X, is Y`` each; the model's name and path aside."""
    old, new = asdict(before), asdict(now)
    differing = []
    for key in old:
        if key in ("model", "source"):
            continue
        if not isinstance(old[key], dict):
            if old[key] != new[key]:
                differing.append(f"{key} was {old[key]!r}, is {new[key]!r}")
            continue
        for part in sorted(old[key].keys() | new[key].keys()):
            a, b = old[key].get(part), new[key].get(part)
            if a != b:
                differing.append(f"{key}.{part} was {a!r}, is {b!r}")
    return differing


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
    if differing := differences(read_header(beside), header):
        raise UserError(
            one_line(
                f"{path}: was begun with other settings: {'; '.join(differing)}; "
                "set them back, choose another --out, or remove the file to begin anew"
            )
        )

"""Protocols of published evaluations, a YAML file each: which figures they print, how they ask and decode.

``evaluation: {protocol: NAME}`` takes all of it, ``protocol: FILE.yaml`` all of a file of the user's own. What the
recipe itself sets under ``evaluation`` and ``prompt`` wins, and the page and the tables say what that was. The files
hold settings that the authors published, with their places.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from radrl.errors import UserError, nearest, one_line
from radrl.example import Task
from radrl.recipe.explain import first_mistake
from radrl.recipe.own_files import OwnFile, below, own_file, own_yaml, paths_of, shown
from radrl.recipe.yaml_file import mapping_in

NONE = "none"
_FOLDER = resources.files("radrl.recipe.protocols")
Name = Annotated[str, Field(min_length=1)]


class Column(BaseModel):
    """A scorer as a column of the tables; a name alone is that scorer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    scorer: Name
    """Name of a registered scorer, or in a file of the user's own ``FILE.py:NAME``."""
    options: dict[str, Any] = {}
    """The scorer's own options."""
    task: Task | None = None
    """The task it is a figure of; None: all that the scorer has."""
    title: str = ""
    """Its name in the tables; empty: the scorer's own."""
    headline: bool = False
    """It stands in the first table, and in the family of comparisons that p-values are corrected for."""

    @model_validator(mode="before")
    @classmethod
    def _of_name(cls, values: Any) -> Any:
        return {"scorer": values} if isinstance(values, str) else values


class Protocol(BaseModel):
    """A published evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    about: Name
    """Whose evaluation it is, and of which paper."""
    prompt: Name | None = None
    """The preset (`radrl.prompt.presets`) by which models are asked; in a file of the user's own also a YAML file
    beside it. None: nothing is prescribed."""
    evaluation: dict[str, Any] = {}
    """Keys of the recipe's ``evaluation`` section: how models are decoded."""
    columns: list[Column]
    """The figures, in the order of the publication."""
    differs: list[Name] = []
    """What of the publication is not done here, or is a guess; a line each."""


@lru_cache
def protocol_names() -> tuple[str, ...]:
    """Returns the names of the protocols, in order."""
    files = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


@lru_cache
def read_protocol(name: str) -> Protocol:
    """Returns the protocol of a name, or of a file that is named by its absolute path.

    Raises:
        ValueError: there is none of that name; the message names the nearest one.
        UserError: the file cannot be read, or is no protocol.
    """
    if (file := own_yaml(name, Path, "protocol")) is not None:
        return _in_file(file)
    if name not in protocol_names():
        raise ValueError(
            f"no protocol '{name}'{nearest(name, protocol_names())}; there are {', '.join(protocol_names())} and {NONE}"
        )
    return Protocol.model_validate(yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))


def _in_file(file: OwnFile) -> Protocol:
    """Returns the protocol of a file of the user's own, the files it names made absolute and pinned."""
    values, path = mapping_in(file.source, file.path, "protocol"), below(file.path.parent)
    try:
        protocol = Protocol.model_validate(values)
    except ValidationError as error:
        raise UserError(one_line(f"{file.path}: {first_mistake(error, Protocol)}")) from None
    columns = []
    for column in protocol.columns:
        scorer = own_file(column.scorer, path)
        if scorer is not None:
            title = column.title or shown(column.scorer)
            column = column.model_copy(update={"scorer": scorer.pinned, "title": title})
        columns.append(column)
    preset = own_yaml(protocol.prompt, path, "preset") if protocol.prompt else None
    prompt = protocol.prompt if preset is None else preset.pinned
    return protocol.model_copy(update={"columns": columns, "prompt": prompt})


def _known(name: str, info: ValidationInfo) -> str:
    try:
        file = own_yaml(name, paths_of(info), "protocol")
        name = name if file is None else file.pinned
        if name != NONE:
            read_protocol(name)
    except UserError as error:
        raise ValueError(str(error)) from None
    return name


ProtocolName = Annotated[Name, AfterValidator(_known)]
"""The name of a protocol, a YAML file, or none."""

"""What is wrong in a file of settings, in one line: the dotted key, what it should be, and the nearest right name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from radrl.errors import nearest
from radrl.example import Task


def first_mistake(error: ValidationError, model: type[BaseModel]) -> str:
    """Returns the first mistake in values of ``model``, without the file's name."""
    mistakes = error.errors(include_url=False, include_input=False)
    # a misspelt key is also a missing one; the misspelling is what to name
    first = min(mistakes, key=lambda one: one["type"] != "extra_forbidden")
    parts = [str(part) for part in first["loc"]]
    if parts and parts[-1] == "[key]":
        parts.pop()
    key = ".".join(parts)
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(parts[-1], _known(parts[:-1], model))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing; add it"
    if first["type"] in ("model_type", "dict_type"):
        message = "should be a section with keys of its own"
    if parts[:-1] == ["rewards"] and first["type"] == "literal_error":
        message += nearest(parts[-1], get_args(Task))
    return f"key '{key}': {message}"


def _known(parts: Sequence[str], model: type[BaseModel]) -> list[str]:
    """Returns the keys allowed in the section that the dotted key's parts lead to."""
    for part in parts:
        if part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _model_in(hint: Any) -> type[BaseModel] | None:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    return next((found for arg in get_args(hint) if (found := _model_in(arg))), None)

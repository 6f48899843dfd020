"""A recipe with the published protocol that it names (`radrl.recipe.protocols`), and what it sets otherwise."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from radrl.errors import UserError, one_line
from radrl.recipe.explain import first_mistake
from radrl.recipe.own_files import shown
from radrl.recipe.protocols import NONE, Protocol, read_protocol
from radrl.recipe.schema import Recipe


def protocol_of(recipe: Recipe) -> Protocol | None:
    """Returns the protocol that a recipe names; None where it names none."""
    name = recipe.evaluation.protocol
    return read_protocol(name) if name is not None and name != NONE else None


def with_protocol(recipe: Recipe) -> Recipe:
    """Returns the recipe with what its protocol says under its own ``evaluation`` and ``prompt`` keys; itself where it
    names no protocol. To apply it again changes nothing.

    Raises:
        UserError: a key of the recipe does not go with the protocol's.
    """
    protocol = protocol_of(recipe)
    if protocol is None:
        return recipe
    values = recipe.model_dump(exclude_unset=True)
    values["evaluation"] = {**protocol.evaluation, **values["evaluation"]}
    asked = values.get("prompt", {})
    if protocol.prompt and "preset" not in asked:
        values["prompt"] = {"preset": protocol.prompt, **asked}
    try:
        applied = type(recipe).model_validate(values)
    except ValidationError as error:
        at = f"{recipe.file}: with protocol '{shown(recipe.evaluation.protocol or NONE)}'"
        raise UserError(one_line(f"{at}: {first_mistake(error, type(recipe))}")) from None
    applied._file = recipe._file
    return applied


def overridden(recipe: Recipe) -> list[str]:
    """Returns a line for each setting of a recipe that is another than its protocol's."""
    protocol = protocol_of(recipe)
    if protocol is None:
        return []
    lines = [
        f"evaluation.{key} is {_said(getattr(recipe.evaluation, key))}, not {_said(value)}"
        for key, value in protocol.evaluation.items()
        if getattr(recipe.evaluation, key) != value
    ]
    if protocol.prompt:
        theirs = type(recipe.prompt).model_validate({"preset": protocol.prompt})
        for key in type(recipe.prompt).model_fields:
            mine, other = getattr(recipe.prompt, key), getattr(theirs, key)
            if mine != other:
                lines.append(f"prompt.{key} is {_said(mine)}, not {_said(other)}")
    return lines


def _said(value: Any) -> str:
    text = repr(shown(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

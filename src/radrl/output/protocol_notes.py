"""What a reader must know of the protocol of an evaluation: for the page, and above the tables."""

from __future__ import annotations

from collections.abc import Mapping

from radrl.evaluation.answers.header import Header
from radrl.recipe.apply_protocol import overridden, protocol_of
from radrl.recipe.own_files import shown
from radrl.recipe.protocols import Protocol
from radrl.recipe.schema import Recipe


def protocol_facts(recipe: Recipe, left_out: Mapping[str, str]) -> dict[str, str]:
    """Returns what a reader must know of the protocol, for the page; empty where the recipe names none."""
    protocol = protocol_of(recipe)
    if protocol is None:
        return {}
    facts = {
        "name": f"{shown(recipe.evaluation.protocol or '')}: {protocol.about}",
        "columns": ", ".join(dict.fromkeys(column.title or column.scorer for column in protocol.columns)),
        "prompts": f"preset {shown(protocol.prompt)}" if protocol.prompt else "none is prescribed",
        "decoding": ", ".join(f"{k} {v}" for k, v in protocol.evaluation.items()) or "none is prescribed",
        "set otherwise by the recipe": "; ".join(overridden(recipe)) or "nothing",
    }
    facts |= {f"left out: {title}": problem for title, problem in left_out.items()}
    return facts | {f"not as published, {k}": line for k, line in enumerate(protocol.differs, 1)}


def protocol_notes(recipe: Recipe, left_out: Mapping[str, str], headers: Mapping[str, Header]) -> list[str]:
    """Returns the lines that stand above the tables: which protocol, what is left out of it, what the recipe sets
    otherwise, and which models were decoded otherwise."""
    protocol = protocol_of(recipe)
    if protocol is None:
        return []
    lines = [f"protocol {shown(recipe.evaluation.protocol or '')}: {protocol.about}; its columns stand first"]
    if left_out:
        lines.append(f"columns of the protocol left out (why: see the page): {', '.join(left_out)}")
    if changed := overridden(recipe):
        lines.append(f"set otherwise by the recipe than by the protocol: {'; '.join(changed)}")
    return lines + [line for name, header in headers.items() if (line := _otherwise(recipe, protocol, name, header))]


def _otherwise(recipe: Recipe, protocol: Protocol, name: str, header: Header) -> str | None:
    """Returns a line where a model was decoded as neither the protocol nor the recipe says."""
    if "temperature" not in header.decoding:
        return None  # not known; that is a line of its own
    differences = []
    for key, value in protocol.evaluation.items():
        told = header.decoding.get(key, value)
        if key in ("max_new_tokens", "thinking_max_new_tokens"):
            longer = "thinking_max_new_tokens" in protocol.evaluation and header.prompt.get("thinking", False)
            if longer == (key == "max_new_tokens"):
                continue
            told = header.decoding.get("max_new_tokens", value)
        if told not in (value, getattr(recipe.evaluation, key)):
            differences.append(f"{key.removeprefix('thinking_')} {told}, not {value}")
    return f"{name} was decoded otherwise than the protocol says: {'; '.join(differences)}" if differences else None

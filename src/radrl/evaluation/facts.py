"""What a reader of a table must know of how its figures came about, and where models were not run alike."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from typing import Any

from radrl.data.examples import ExampleSet
from radrl.evaluation.collect import versions
from radrl.evaluation.header import Header, manifest_hash


def run_facts(seed: int, test: ExampleSet, headers: Mapping[str, Header]) -> dict[str, Any]:
    """Returns the groups of facts for the page; the group "Warnings" is there only when there are some."""
    facts: dict[str, Any] = {
        "Run": {
            "test Examples": len(test),
            "manifest": manifest_hash(test),
            "seed": seed,
            "machine": _machine(),
        },
        "Decoding": {name: _decoding(header) for name, header in headers.items()},
        "Images resized by": {name: h.images.get("resized_by", "not known") for name, h in headers.items()},
        "Versions": versions(("radrl", "torch", "transformers", "trl")),
    }
    if notes := settings_notes(headers):
        facts["Warnings"] = {str(k): note for k, note in enumerate(notes, 1)}
    return facts


def settings_notes(headers: Mapping[str, Header]) -> list[str]:
    """Returns a line for each decoding setting in which models differ; a table must not hide it."""
    notes = []
    unknown = [name for name, header in headers.items() if "temperature" not in header.decoding]
    if unknown:
        notes.append(f"decoding settings not known (read from files): {', '.join(unknown)}")
    known = {name: header for name, header in headers.items() if name not in unknown}
    for part in ("decoding", "images"):
        told = {name: getattr(header, part) for name, header in known.items()}
        for key in sorted({key for values in told.values() for key in values}):
            values = {name: mine.get(key) for name, mine in told.items() if key in mine}
            if len({repr(value) for value in values.values()}) > 1:
                said = ", ".join(f"{name} {value}" for name, value in values.items())
                notes.append(f"models were not run alike: {part}.{key} differs ({said})")
    return notes


def decoding_differs(one: Header, other: Header) -> str:
    """Returns the settings, the seed aside, in which two Headers differ; empty where in none."""
    told = [{**header.decoding, **header.prompt} for header in (one, other)]
    keys = sorted(told[0].keys() | told[1].keys())
    return ", ".join(key for key in keys if key != "seed" and told[0].get(key) != told[1].get(key))


def _decoding(header: Header) -> str:
    d = header.decoding
    if "temperature" not in d:
        return "not known (read from a file)"
    how = f"temperature {d['temperature']:g}, {d['samples']} samples" if d["temperature"] else "greedy"
    asked = "asked to think" if header.prompt.get("thinking") else "asked directly"
    return f"{how}, at most {d['max_new_tokens']} tokens, {asked}, {header.backend}"


def _machine() -> str:
    torch = sys.modules.get("torch")  # where nothing was generated it was not loaded, and need not be
    if torch is None:
        return f"{platform.machine()} CPU"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu(torch.get_num_threads())


def _cpu(threads: int) -> str:
    return f"{platform.machine()} CPU, {threads} threads"

"""What a reader of a table must know of how its figures came about, and where models were not run alike."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from radrl.evaluation.answers.decoding import SERVERS, Decoding
from radrl.evaluation.answers.digests import manifest_digest
from radrl.evaluation.answers.header import Header
from radrl.manifest.example_set import ExampleSet
from radrl.support.versions import installed_versions

MODELS_OWN = {"end_tokens", "factor", "taken"}  # they differ between models in any case, or have a line of their own
THINKING = {"thinking", "think_suffix", "think_in_template"}  # who is asked to think is said of each model
SHORT = 24  # characters of a value that is written out


def run_facts(
    seed: int, test: ExampleSet, headers: Mapping[str, Header], warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the groups of facts for the page; the group "Warnings", ``warnings`` and those of the settings, is there
    only when there are some."""
    facts: dict[str, Any] = {
        "Run": {
            "test Examples": len(test),
            "manifest": manifest_digest(test),
            "seed": seed,
            "machine": _machine(),
        },
        "Decoding": {name: _decoding(header) for name, header in headers.items()},
        "Images resized by": {name: h.images.get("resized_by", "not known") for name, h in headers.items()},
        "Versions": installed_versions(("radrl", "torch", "transformers", "trl")),
    }
    if notes := [*warnings, *settings_notes(headers)]:
        facts["Warnings"] = {str(k): note for k, note in enumerate(notes, 1)}
    return facts


def settings_notes(headers: Mapping[str, Header]) -> list[str]:
    """Returns a line for each setting in which models differ, and for each model that was decoded by settings of its
    own; a table must not hide it."""
    notes = []
    unknown = [name for name, header in headers.items() if "temperature" not in header.decoding]
    if unknown:
        notes.append(f"decoding settings not known (read from files): {', '.join(unknown)}")
    known = {name: header for name, header in headers.items() if name not in unknown}
    for name, header in known.items():
        notes += _own_settings(name, header.decoding)
    for part, leave_out in (("decoding", MODELS_OWN), ("images", MODELS_OWN), ("prompt", THINKING)):
        told = {name: getattr(header, part) for name, header in known.items()}
        for key in sorted({key for values in told.values() for key in values} - leave_out):
            values = {name: mine.get(key) for name, mine in told.items() if key in mine}
            if len({repr(value) for value in values.values()}) > 1:
                how = "asked" if part == "prompt" else "run"
                notes.append(f"models were not {how} alike: {part}.{key} differs ({_by_value(values)})")
    return notes


def _own_settings(name: str, decoding: Mapping[str, Any]) -> list[str]:
    """Returns a line where a model was decoded by settings of its folder or server."""
    if taken := decoding.get("taken"):
        said = ", ".join(f"{key} {value}" for key, value in taken.items())
        return [f"{name} was decoded by its folder's generation_config: {said}"]
    theirs = [key for key, value in decoding.items() if value == SERVERS]
    return [f"{name} was decoded by its server's own {', '.join(theirs)}"] if theirs else []


def _by_value(values: Mapping[str, Any]) -> str:
    """Returns which models have which value; long texts are not written out, only who has the same."""
    if all(len(str(value)) <= SHORT for value in values.values()):
        return ", ".join(f"{name} {value}" for name, value in values.items())
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(repr(value), []).append(name)
    return "; ".join(", ".join(names) for names in groups.values())


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
    plain = Decoding()
    narrowed = ("top_p", "top_k") if d["temperature"] else ()
    for key in (*narrowed, "repetition_penalty", "min_new_tokens", "stop"):
        value = d.get(key)
        if value is not None and value != getattr(plain, key) and value != []:
            how += f", {key} {value}"
    asked = "asked to think" if header.prompt.get("thinking") else "asked directly"
    return f"{how}, at most {d['max_new_tokens']} tokens, {asked}, {header.backend}"


def _machine() -> str:
    torch = sys.modules.get("torch")  # where nothing was generated it was not loaded, and need not be
    if torch is None:
        return f"{platform.machine()} CPU"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu(torch.get_num_threads())


def _cpu(threads: int) -> str:
    return f"{platform.machine()} CPU, {threads} threads"

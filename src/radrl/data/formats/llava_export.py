"""Examples to LLaVA-style JSON; what the format has no place for: llava.py, which reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.boxes.notation import boxes_text
from radrl.data.formats.image_tags import TAG
from radrl.data.formats.llava import KEPT
from radrl.errors import UserError
from radrl.example import Example
from radrl.manifest.jsonl import stream_manifest
from radrl.prompt.messages import PromptStyle, as_turn, question, target
from radrl.support.files import replacing

UNIT = PromptStyle()


def write_llava(manifest: Path, out: Path, style: PromptStyle = UNIT) -> int:
    """Writes a manifest as a JSON list of conversations; returns how many. Memory is that of one conversation.
    ``style`` says how questions are put and answers written; only the default is read back as what it was.

    Examples that follow each other as turns of one conversation, ids ``name/0``, ``name/1``, become one. Where the
    earlier turns of an Example are not in the manifest they are written with ``"loss": false``. Images stay relative to
    the manifest's folder, which is LLaVA's ``image_folder``.

    Raises:
        UserError: the manifest is wrong, a text holds ``<image>``, or the file cannot be written.
    """
    count = 0
    with replacing(out) as file:
        for group in _groups(stream_manifest(manifest)):
            try:
                text = json.dumps(_item(group, style), ensure_ascii=False)
            except ValueError as error:
                raise UserError(f"{manifest}: '{group[0].id}': {error}") from None
            file.write((",\n" if count else "[\n").encode() + text.encode())
            count += 1
        file.write(b"\n]\n")
    return count


def _groups(examples: Iterable[Example]) -> Iterator[list[Example]]:
    group: list[Example] = []
    for example in examples:
        if group and not _follows(example, group):
            yield group
            group = []
        group.append(example)
    if group:
        yield group


def _follows(example: Example, group: list[Example]) -> bool:
    last, k = group[-1], len(group)
    base = group[0].id.removesuffix("/0")
    return (
        not group[0].history
        and (group[0].id, example.id) == (f"{base}/0", f"{base}/{k}")
        and all(getattr(example, key) == getattr(last, key) for key in ("images", *KEPT))
        and example.history == (*last.history, as_turn(last))
    )


def _item(group: list[Example], style: PromptStyle) -> dict[str, Any]:
    first = group[0]
    item: dict[str, Any] = {"id": first.id if len(group) == 1 else first.id.removesuffix("/0")}
    if first.images:
        item["image"] = first.images[0] if len(first.images) == 1 else list(first.images)
    turns = []
    for turn in first.history:
        turns += _turns(turn.question, boxes_text(turn.boxes, "unit") or turn.answer, {"loss": False})
    for example in group:
        kept = {key: list(getattr(example, key)) for key in ("choices", "labels", "label_set")}
        extra = {"task": example.task} | {key: value for key, value in kept.items() if value}
        turns += _turns(question(example, style), target(example, style), extra)
    if any(TAG in turn["value"] for turn in turns):
        raise ValueError(f"its text holds {TAG}, which stands for a picture there")
    turns[0]["value"] = f"{TAG}\n" * len(first.images) + turns[0]["value"]
    return item | {"conversations": turns} | {key: value for key in KEPT if (value := getattr(first, key))}


def _turns(asked: str, answer: str, extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"from": "human", "value": asked}, {"from": "gpt", "value": answer, **extra}]

"""One rollout batch on its way through TRL: what its steps hand on to each other, and how it is split at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from trl.data_utils import prepare_multimodal_messages

from radrl.training.shared_prefix.packing import Features, Picture, Prompt


@dataclass
class Rollout:
    """The rows of a rollout batch, one for each completion, and what is kept once for all that share it."""

    rows: list[dict[str, Any]]
    """As the data set made them; rewards see these."""
    prompts: list[Prompt] = field(default_factory=list)
    """Each prompt once."""
    prompt_of_row: list[int] = field(default_factory=list)
    """Which of ``prompts`` each row has."""
    images: list[Any] | None = None
    """The pictures of each row as vLLM takes them; None where no row has any."""
    features: Features | None = None
    """Features of the images, kept while the rollout is made and scored: the weights stand still."""

    @property
    def pictures(self) -> list[tuple[Picture, ...]]:
        """The Pictures of each row's prompt."""
        return [self.prompts[k].pictures for k in self.prompt_of_row]


def images_into_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the row with its images in the messages and nowhere else, so that TRL makes no tensors of its own."""
    images = row.get("images") or ([row["image"]] if row.get("image") is not None else [])
    others = {key: value for key, value in row.items() if key not in ("images", "image")}
    if images:
        others["prompt"] = prepare_multimodal_messages(row["prompt"], images=images)
    return others


def group_equal(prompts: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Returns the distinct prompts of TRL (texts or messages) in order of appearance, and which of them each row has.
    Equal are the same texts with the same image objects."""
    first: dict[Any, int] = {}
    prompt_of_row = [first.setdefault(_key(prompt), len(first)) for prompt in prompts]
    return [prompts[prompt_of_row.index(k)] for k in range(len(first))], prompt_of_row


def _key(prompt: Any) -> Any:
    """Returns what two equal prompts have in common: the same texts, the same image objects."""
    if isinstance(prompt, str):
        return prompt
    parts: list[Any] = []
    for message in prompt:
        content = message["content"]
        parts.append(message["role"])
        for part in [content] if isinstance(content, str) else content:
            if isinstance(part, str):
                parts.append(part)
            else:
                parts.append((part["type"], id(part["image"]) if part["type"] == "image" else part.get("text")))
    return tuple(parts)


def pictures_of(
    images: Sequence[Sequence[Any] | None], fields: dict[str, Any], device: torch.device
) -> list[tuple[Picture, ...]]:
    """Returns each prompt's Pictures, one for each distinct image object, from the processor's tensors ``fields``."""
    grids = np.asarray(fields["image_grid_thw"]).tolist()
    parts = torch.as_tensor(np.asarray(fields["pixel_values"])).split([t * h * w for t, h, w in grids])
    known: dict[int, Picture] = {}
    pictures, place = [], 0
    for prompt_images in images:
        mine = []
        for image in prompt_images or ():
            if id(image) not in known:
                t, h, w = grids[place]
                known[id(image)] = Picture(parts[place].to(device), (t, h, w))
            mine.append(known[id(image)])
            place += 1
        pictures.append(tuple(mine))
    return pictures


def split_groups(batch: dict[str, Any], group_of_row: Sequence[int], parts: int) -> list[dict[str, Any]]:
    """Splits a generation batch into micro-batches of equal size, groups in random order and whole where they fit.

    ``batch`` holds tensors and lists with one entry a row, and scalars; ``group_of_row`` says which rows belong
    together. Where a micro-batch is smaller than a group it holds a part of one. The micro-batches come in random
    order too. Draws from torch's global random state.
    """
    groups: dict[int, list[int]] = {}
    for row, group in enumerate(group_of_row):
        groups.setdefault(group, []).append(row)
    members = list(groups.values())
    order = [row for k in torch.randperm(len(members)).tolist() for row in members[k]]
    size = len(order) // parts
    cuts = [order[k * size : (k + 1) * size] for k in torch.randperm(parts).tolist()]

    def take(value: Any, rows: list[int]) -> Any:
        if isinstance(value, torch.Tensor):
            return value if value.ndim == 0 else value[torch.tensor(rows, device=value.device)]
        return None if value is None else [value[row] for row in rows]

    return [{key: take(value, rows) for key, value in batch.items()} for rows in cuts]

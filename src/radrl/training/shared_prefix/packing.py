"""Groups of completions as one packed row: every prompt once, its completions behind it at their real lengths.

    [prompt 1 | prompt 2 | ... | completions of 1 | completions of 2 | ...]

A prompt stands there without its last token; each completion is a branch (last prompt token, c_1 ... c_{C-1}), so every
branch position has one label, the token after it. Branches see their prompt and themselves (attention.py), and
their positions go on from the prompt's. The row gives the log-probabilities and gradients of G rows a prompt, exactly.
Nothing here knows a trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch

from radrl.models.library_internals import QwenVLBase
from radrl.training.shared_prefix.attention import Attends, attend
from radrl.training.shared_prefix.segments import Segments


class Picture(NamedTuple):
    """One image as the vision tower takes it. Rows that share an image hold the same Picture, never a copy."""

    pixels: torch.Tensor  # (patches, channels * time * height * width)
    grid: tuple[int, int, int]  # patches in time, height, width


class Prompt(NamedTuple):
    """A prompt: token ids with the image placeholders written out, and its images in order."""

    ids: tuple[int, ...]
    pictures: tuple[Picture, ...] = ()

    def key(self) -> tuple[Any, ...]:
        """What two rows must have in common to share a prefix: the tokens, and the images by identity."""
        return self.ids, tuple(id(picture) for picture in self.pictures)


Features = dict[tuple[int, torch.dtype | None], Any]
"""What the vision tower made of Pictures, by their identity and the precision it computed in."""


class PackedCall(Attends, Protocol):
    """What a model that `logprobs.serve` has prepared can be called with as ``packed``: `Packed`, or in a rollout
    `rollout.Prefill` and `rollout.Decode`."""

    @property
    def pictures(self) -> Sequence[Picture]:
        """The images of the call, each once."""
        ...

    @property
    def picture_order(self) -> Sequence[int] | None:
        """Which of them stands at each placeholder, in the row's order; None in a call without ``pixel_values``."""
        ...

    @property
    def features(self) -> Features | None:
        """Where the tower's output is kept for later calls; None where it is not kept."""
        ...


@dataclass
class Packed:
    """One packed row as model inputs. ``model(**packed.inputs())`` is an ordinary call of a model that
    `logprobs.serve` has prepared."""

    input_ids: torch.Tensor  # (1, T)
    position_ids: torch.Tensor  # (3, 1, T)
    segments: Segments
    pictures: list[Picture]  # each image once
    picture_order: list[int]  # which of them stands at each placeholder, in the row's order
    read: torch.Tensor | None = None  # (N,) positions whose next token is scored
    targets: torch.Tensor | None = None  # (N,) those next tokens
    places: tuple[torch.Tensor, torch.Tensor] | None = None  # (N,), (N,) row and column of each in the caller's batch
    features: Features | None = None  # what the tower made of images, kept by `logprobs.serve` for later calls

    def inputs(self) -> dict[str, Any]:
        """Returns the keyword arguments of the model's forward."""
        made = {"input_ids": self.input_ids, "position_ids": self.position_ids, "packed": self, "use_cache": False}
        if self.pictures:
            made["pixel_values"] = torch.cat([picture.pixels for picture in self.pictures])
            grid = torch.tensor([picture.grid for picture in self.pictures])
            made["image_grid_thw"] = grid.to(self.input_ids.device)
        return made

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of one layer; see `attention.attend`."""
        return attend(self.segments, query, key, value, scale)


def distinct_prompts(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[int]]:
    """Returns the distinct prompts in order of appearance, and which of them each row has."""
    first: dict[tuple[Any, ...], int] = {}
    distinct, index = [], []
    for prompt in prompts:
        place = first.setdefault(prompt.key(), len(distinct))
        if place == len(distinct):
            distinct.append(prompt)
        index.append(place)
    return distinct, index


def pack(
    base: QwenVLBase, prompts: Sequence[Prompt], completions: Sequence[Sequence[int]], device: torch.device
) -> Packed:
    """Packs rows (``prompts[i]`` answered by ``completions[i]``) into one row on ``device``, equal prompts once.

    ``base`` is the Qwen-VL base model (``model.model``), asked for the rotary positions only. ``places`` of the result
    name row ``i`` and column ``j`` for token ``j`` of ``completions[i]``. A completion may be empty.
    """
    distinct, index = distinct_prompts(prompts)
    places = prompt_positions(base, distinct)
    members = [[row for row, u in enumerate(index) if u == k and completions[row]] for k in range(len(distinct))]
    ids = [token for prompt in distinct for token in prompt.ids[:-1]]
    positions = [place[:, :-1] for place in places]
    read_rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for prompt, place, rows in zip(distinct, places, members, strict=True):
        for row in rows:
            completion = list(completions[row])
            ids += [prompt.ids[-1], *completion[:-1]]
            positions.append(place[:, -1:] + torch.arange(len(completion)))
            targets += completion
            read_rows += [row] * len(completion)
            columns += range(len(completion))
    segments = Segments(
        [len(prompt.ids) - 1 for prompt in distinct],
        [[len(completions[row]) for row in rows] for rows in members],
        device,
    )
    made = torch.tensor([targets, read_rows, columns], dtype=torch.long).to(device)  # there may be no completions
    length = len(ids)
    return Packed(
        input_ids=torch.tensor([ids]).to(device),
        position_ids=torch.cat(positions, 1)[:, None].to(device),
        segments=segments,
        **_pictures(distinct),
        read=torch.arange(length - len(targets), length, device=device),
        targets=made[0],
        places=(made[1], made[2]),
    )


def pack_prompts(base: QwenVLBase, prompts: Sequence[Prompt], device: torch.device) -> tuple[Packed, torch.Tensor]:
    """Packs whole prompts without completions, for a prefill; equal ones are not looked for. Returns the row, and the
    rotary position (N,) of the first token after each prompt."""
    places = prompt_positions(base, prompts)
    packed = Packed(
        input_ids=torch.tensor([[token for prompt in prompts for token in prompt.ids]]).to(device),
        position_ids=torch.cat(places, 1)[:, None].to(device),
        segments=Segments([len(prompt.ids) for prompt in prompts], [[] for _ in prompts], device),
        **_pictures(prompts),
    )
    return packed, torch.stack([place[0, -1] + 1 for place in places])


def _pictures(prompts: Sequence[Prompt]) -> dict[str, Any]:
    flat = [picture for prompt in prompts for picture in prompt.pictures]
    distinct = {id(picture): picture for picture in flat}
    place = {key: k for k, key in enumerate(distinct)}
    return {"pictures": list(distinct.values()), "picture_order": [place[id(picture)] for picture in flat]}


def prompt_positions(base: QwenVLBase, prompts: Sequence[Prompt]) -> list[torch.Tensor]:
    """Returns the 3-D rotary positions (3, P) of each prompt, as the model's own ``get_rope_index`` counts them."""
    image = base.config.image_token_id
    positions = []
    for prompt in prompts:
        if not prompt.pictures:
            positions.append(torch.arange(len(prompt.ids)).expand(3, -1))
            continue
        ids = torch.tensor([prompt.ids])
        made, _ = base.get_rope_index(
            ids,
            mm_token_type_ids=(ids == image).int(),
            image_grid_thw=torch.tensor([picture.grid for picture in prompt.pictures]),
        )
        positions.append(made[:, 0])
    return positions

"""Completions sampled with transformers: every prompt is computed once, its completions read its keys and values.

transformers' ``generate`` computes a prompt once for each completion and keeps as many copies of its keys and values.
Here the prompts go through the model as one packed row; each decoding step joins what a token sees of its prompt,
stored once for the group, with what it sees of its own completion. Rows that have ended are dropped as decoding goes
on. Greedy completions equal ``generate``'s, sampled ones have its distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedModel

from radrl.models.library_internals import (
    GENERATION_RECORDS,
    complete_generation_config,
    logits_processors,
    note_special_tokens,
    qwen_base,
)
from radrl.models.sampling import draw
from radrl.training.shared_prefix.kernels import join_
from radrl.training.shared_prefix.packing import Features, Packed, Picture, Prompt, pack_prompts

DROP = 0.8  # finished rows are dropped once the others are fewer than this share
# what the loop below understands; any other setting that is not at its default is left to generate()
UNDERSTOOD = {
    "max_new_tokens", "min_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p",
    "repetition_penalty", "no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
    "sequence_bias", "pad_token_id", "bos_token_id", "eos_token_id", "use_cache", "disable_compile",
    *GENERATION_RECORDS,
}  # fmt: skip


def refusal(config: GenerationConfig) -> str | None:
    """Returns which generation setting asks for more than `sample_completions` does, or None."""
    plain = GenerationConfig().to_dict()
    for name, value in config.to_dict().items():
        if name not in UNDERSTOOD and value is not None and value != plain.get(name):
            return f"generation setting {name} is {value!r}"
    return None


class Prefill:
    """Called as ``packed``: attends like the packed row it is given, and keeps each layer's keys and values."""

    def __init__(self, packed: Packed) -> None:
        self.packed, self.picture_order = packed, packed.picture_order
        self.pictures, self.features = packed.pictures, packed.features
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        self.kept[layer] = (self._by_prompt(key), self._by_prompt(value))
        return self.packed.attend(layer, query, key, value, scale)

    def _by_prompt(self, x: torch.Tensor) -> torch.Tensor:  # (1, Hkv, T, D) -> (N, Hkv, P, D), padded behind
        parts = list(x[0].transpose(0, 1).split(self.packed.segments.prefixes))
        # laid out anew: products with keys that are strides apart are several times slower
        return nn.utils.rnn.pad_sequence(parts, batch_first=True).transpose(1, 2).contiguous()


class Decode:
    """Called as ``packed`` with one token a row: attends to the row's prompt and to its own completion so far."""

    pictures: Sequence[Picture] = ()
    picture_order: Sequence[int] | None = None
    features: Features | None = None

    def __init__(self, prefill: Prefill, prompt_of_row: torch.Tensor, room: int) -> None:
        self.kept, self.room, self.step = prefill.kept, room, 0
        device = prompt_of_row.device
        lengths = torch.tensor(prefill.packed.segments.prefixes, device=device)
        column = torch.arange(int(lengths.max()), device=device)
        blind = column >= lengths[:, None]  # (N, P)
        self.blind = blind if bool(blind.any()) else None
        self.own: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._seat(prompt_of_row)

    def _seat(self, prompt_of_row: torch.Tensor) -> None:
        """Gives every row a seat at its prompt: rows of a prompt ask its keys in one product."""
        self.prompt_of_row = prompt_of_row
        order = torch.argsort(prompt_of_row, stable=True)
        counts = torch.bincount(prompt_of_row, minlength=int(prompt_of_row.max()) + 1)
        seat = torch.empty_like(prompt_of_row)
        seat[order] = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[prompt_of_row[order]]
        self.seat, self.seats = seat, int(counts.max())
        full = bool((counts == self.seats).all()) and bool(
            (order == torch.arange(len(order), device=order.device)).all()
        )
        self.full = full  # then seats are a plain reshape

    def keep(self, rows: torch.Tensor) -> None:
        """Goes on with these rows only."""
        self.own = {layer: (k[rows], v[rows]) for layer, (k, v) in self.own.items()}
        used, prompts = torch.unique(self.prompt_of_row[rows], return_inverse=True)
        if len(used) < len(next(iter(self.kept.values()))[0]):
            self.kept = {layer: (k[used], v[used]) for layer, (k, v) in self.kept.items()}
            self.blind = None if self.blind is None else self.blind[used]
        self._seat(prompts)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        rows, heads, _, width = query.shape  # (R, H, 1, D)
        kv_heads = key.shape[1]
        if layer not in self.own:
            shape = (rows, kv_heads, self.room, width)
            self.own[layer] = (key.new_empty(shape), value.new_empty(shape))
        own_keys, own_values = self.own[layer]
        own_keys[:, :, self.step], own_values[:, :, self.step] = key[:, :, 0], value[:, :, 0]
        query = query.view(rows, kv_heads, heads // kv_heads, width) * scale
        now = slice(0, self.step + 1)
        out, lse = _look(query, own_keys[:, :, now], own_values[:, :, now], None)
        join_(out, lse, *self._look_at_prompt(query, *self.kept[layer]))
        return out.to(value.dtype).view(rows, 1, heads, width)

    def _look_at_prompt(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        kv_heads, repeat, width = query.shape[1:]
        prompts, seats = len(keys), self.seats
        if self.full:
            table = query.view(prompts, seats, kv_heads, repeat, width)
        else:
            table = query.new_zeros(prompts, seats, kv_heads, repeat, width)
            table[self.prompt_of_row, self.seat] = query
        table = table.transpose(1, 2).reshape(prompts, kv_heads, seats * repeat, width)
        out, lse = _look(table, keys, values, self.blind)
        out = out.view(prompts, kv_heads, seats, repeat, width).transpose(1, 2)
        lse = lse.view(prompts, kv_heads, seats, repeat).transpose(1, 2)
        if self.full:
            return out.reshape(query.shape), lse.reshape(query.shape[:-1])
        return out[self.prompt_of_row, self.seat], lse[self.prompt_of_row, self.seat]


def _look(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, blind: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention of (n, h, q, D) to (n, h, k, D) in float32 or wider, with its log-sum-exp (n, h, q)."""
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = (query @ keys.transpose(-1, -2)).to(wide)
    if blind is not None:
        scores.masked_fill_(blind[:, None, None], -torch.inf)
    lse = scores.logsumexp(-1)
    return (scores.sub_(lse[..., None]).exp_().to(values.dtype) @ values).to(wide), lse


@torch.no_grad()
def sample_completions(
    model: nn.Module,
    core: PreTrainedModel,
    prompts: Sequence[Prompt],
    prompt_of_row: Sequence[int],
    config: GenerationConfig,
    *,
    all_ranks_together: bool = False,
    features: Features | None = None,
) -> list[list[int]]:
    """Returns a completion of ``prompts[prompt_of_row[i]]`` for each row i: token ids up to and with the end token.

    ``model`` is called (it may be a PEFT or FSDP2 module, in the state generation needs: no gradient checkpointing);
    ``core`` is the Qwen-VL model within, which has been through `logprobs.serve`. ``config`` must pass `refusal`. With
    ``all_ranks_together`` every process makes as many calls as the longest rollout of all needs. The images'
    features are added to ``features`` (`packing.PackedCall`).
    """
    device = next(core.parameters()).device
    config = complete_generation_config(core, config)  # defaults where it is silent; see models.own_settings_off
    ends = torch.tensor(config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id])
    ends = ends.to(device)
    packed, after = pack_prompts(qwen_base(core), prompts, device)
    packed.features = features
    prefill = Prefill(packed)
    lengths = [len(prompt.ids) for prompt in prompts]
    last = torch.tensor(lengths).cumsum(0).to(device) - 1
    output = model(**{**packed.inputs(), "packed": prefill}, logits_to_keep=last)
    which = torch.tensor(prompt_of_row, device=device)
    logits = output.logits[0][which]  # (R, V)
    decode = Decode(prefill, which, config.max_new_tokens)
    position = after.to(device)[which]  # (R,)
    longest = max(lengths)
    pad = config.pad_token_id if config.pad_token_id is not None else int(ends[0])
    ids = torch.full((len(which), longest + config.max_new_tokens), pad, device=device)
    for row, k in enumerate(prompt_of_row):
        ids[row, longest - lengths[k] : longest] = torch.tensor(prompts[k].ids)
    note_special_tokens(core, config, device)
    processors = logits_processors(core, config, longest, str(device))
    rows = torch.arange(len(which), device=device)  # which row of the batch each active one is
    running = torch.ones(len(which), dtype=torch.bool, device=device)  # of the active ones
    end_of = torch.full((len(which),), config.max_new_tokens, device=device)
    for step in range(config.max_new_tokens):
        at = longest + step
        written = cast(torch.LongTensor, ids[rows, :at])
        scores = processors(written, cast(torch.FloatTensor, logits.to(torch.float32)))
        tokens = draw(scores.softmax(-1)) if config.do_sample else scores.argmax(-1)
        tokens = torch.where(running, tokens, pad)
        ids[rows, at] = tokens
        ended = running & torch.isin(tokens, ends)
        end_of[rows[ended]] = step + 1
        running = running & ~ended
        left = int(running.sum())
        if all_ranks_together:
            most = torch.tensor(left, device=device)
            torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
        if not (int(most) if all_ranks_together else left) or step + 1 == config.max_new_tokens:
            break
        if 0 < left < DROP * len(rows):
            keep = running.nonzero()[:, 0]
            decode.keep(keep)
            rows, running, position, tokens = rows[keep], running[keep], position[keep], tokens[keep]
        decode.step = step
        where = (position + step).expand(3, 1, -1).transpose(1, 2)
        inputs: dict[str, Any] = {
            "input_ids": tokens[:, None],
            "position_ids": where,
            "packed": decode,
            "use_cache": False,
        }
        logits = model(**inputs).logits[:, -1]
    made = ids[:, longest:].tolist()
    return [row[:end] for row, end in zip(made, end_of.tolist(), strict=True)]

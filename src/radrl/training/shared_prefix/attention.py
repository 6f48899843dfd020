"""Attention of a packed row (packing.py): completions see their prompt's keys and values without copies of them.

Two calls a layer: every segment attends causally to itself, and the branches of a group attend to their prompt. The
two partial results of a branch are joined by their log-sum-exp, as in FlashAttention (arXiv 2205.14135, section 3.1)
and cascade inference (Hydragen, arXiv 2402.05099); its backward runs each call once more with the joined output and
log-sum-exp, which gives the exact gradient. No key is repeated, and no mask or padded completion is computed with.

The kernels are in prefix_kernels.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from radrl.training.shared_prefix.kernels import Dense, Varlen, join_, use_varlen

NAME = "radrl_shared_prefix"
SHORT, LIKE = 64, 0.75  # segments up to SHORT tokens share a padded call, longer ones if the shorter is LIKE the longer


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    packed: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: SDPA, unless the model was called with ``packed`` (whose ``attend`` answers).

    ``query`` is (B, H, T, D), ``key`` and ``value`` (B, Hkv, T, D). Returns (B, T, H, D).
    """
    if packed is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    if torch.is_autocast_enabled(query.device.type):  # rotary tables are float32 there, and SDPA would be cast down
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    return packed.attend(module.layer_idx, query, key, value, scale), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


class Segments:
    """Where prompts and branches lie in a packed row: prompts first, then the branches, those of a group together.

    ``prefixes`` are the prompts' lengths, ``branches`` the lengths of each prompt's branches.
    """

    def __init__(self, prefixes: Sequence[int], branches: Sequence[Sequence[int]], device: Any) -> None:
        self.prompt_tokens = sum(prefixes)
        lengths = [*prefixes, *(length for group in branches for length in group)]
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        self.length = starts[-1]
        self.groups: list[tuple[slice, slice]] = []  # (prompt's tokens, its branches' tokens counted from the first)
        before = 0
        for k, group in enumerate(branches):
            if sum(group) and prefixes[k]:
                self.groups.append((slice(starts[k], starts[k + 1]), slice(before, before + sum(group))))
            before += sum(group)
        self.prefixes = list(prefixes)
        self.lengths, self.starts, self.device = lengths, starts, torch.device(device)
        self._buckets: list[tuple[torch.Tensor, torch.Tensor | None]] | None = None
        self._marks: tuple[Any, ...] | None = None

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        """Returns (1, T, H, D) for ``query`` (1, H, T, D) and ``key``, ``value`` (1, Hkv, T, D), with gradient."""
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (T, H, D)
        return _Attention.apply(q, k, v, self, scale)[None]

    def buckets(self) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        """Returns padded batches of segments: positions (n, L), and which of them are real (none where all are)."""
        if self._buckets is None:
            order = sorted((i for i, n in enumerate(self.lengths) if n), key=lambda i: -self.lengths[i])
            batches: list[list[int]] = []
            for i in order:
                longest = self.lengths[batches[-1][0]] if batches else 0
                if batches and (longest <= SHORT or self.lengths[i] >= LIKE * longest):
                    batches[-1].append(i)
                else:
                    batches.append([i])
            made = []
            for batch in batches:
                length = self.lengths[batch[0]]
                column = torch.arange(length)
                start = torch.tensor([self.starts[i] for i in batch])[:, None]
                real = column < torch.tensor([self.lengths[i] for i in batch])[:, None]
                index = torch.where(real, start + column, start).to(self.device)
                made.append((index, None if bool(real.all()) else real.to(self.device)))
            self._buckets = made
        return self._buckets

    def marks(self) -> tuple[Any, ...]:
        """Returns what a variable-length kernel takes: for both calls cumulated lengths of queries and keys (int32)
        and the longest of each; the second is None where there are no branches."""
        if self._marks is None:
            own = _cumulated([n for n in self.lengths if n], self.device)
            queries = [branches.stop - branches.start for _, branches in self.groups]
            keys = [prompt.stop - prompt.start for prompt, _ in self.groups]
            across = None
            if self.groups:
                across = (*_cumulated(queries, self.device), *_cumulated(keys, self.device))
            whole = len(self.groups) == len(self.prefixes)  # else some prompts or branches have no counterpart
            ask = None if whole else torch.cat([torch.arange(b.start, b.stop) for _, b in self.groups] or [_NONE])
            look = None if whole else torch.cat([torch.arange(p.start, p.stop) for p, _ in self.groups] or [_NONE])
            self._marks = (
                own,
                across,
                None if ask is None else ask.to(self.device),
                None if look is None else look.to(self.device),
            )
        return self._marks


_NONE = torch.zeros(0, dtype=torch.long)


def _cumulated(lengths: list[int], device: torch.device) -> tuple[torch.Tensor, int]:
    total = torch.tensor([0, *lengths]).cumsum(0)
    return total.to(device=device, dtype=torch.int32), max(lengths)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any, segments: Segments, scale: float) -> torch.Tensor:
        kernels = Varlen if use_varlen(q) else Dense
        out, lse = kernels.own(q, k, v, segments, scale)  # (T, H, D), (T, H)
        if segments.groups:
            p = segments.prompt_tokens
            other, other_lse = kernels.across(q[p:], k[:p], v[:p], segments, scale)
            join_(out[p:], lse[p:], other, other_lse)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.segments, ctx.scale, ctx.kernels = segments, scale, kernels
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        segments, kernels = ctx.segments, ctx.kernels
        grad = grad.contiguous()
        dq, dk, dv = kernels.own_backward(grad, q, k, v, out, lse, segments, ctx.scale)
        if segments.groups:
            p = segments.prompt_tokens
            more = kernels.across_backward(grad[p:], q[p:], k[:p], v[:p], out[p:], lse[p:], segments, ctx.scale)
            for whole, part in ((dq[p:], more[0]), (dk[:p], more[1]), (dv[:p], more[2])):
                whole += part
        return dq, dk, dv, None, None

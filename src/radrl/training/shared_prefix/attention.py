"""Attention of a packed row (packing.py): completions see their prompt's keys and values without copies of them.

Two calls a layer: every segment attends causally to itself, and the branches of a group attend to their prompt. The
two partial results of a branch are joined by their log-sum-exp, as in FlashAttention (arXiv 2205.14135, section 3.1)
and cascade inference (Hydragen, arXiv 2402.05099); its backward runs each call once more with the joined output and
log-sum-exp, which gives the exact gradient. No key is repeated, and no mask or padded completion is computed with.

The kernels are in kernels.py.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from radrl.training.shared_prefix.kernels import Dense, Varlen, join_, use_varlen
from radrl.training.shared_prefix.segments import Segments

NAME = "radrl_shared_prefix"


class Attends(Protocol):
    """What answers for a layer's attention where a model is called with it as ``packed``."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Returns (B, T, H, D) for ``query`` (B, H, T, D) and ``key``, ``value`` (B, Hkv, T, D)."""
        ...


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    packed: Attends | None = None,
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
    return packed.attend(cast(Any, module).layer_idx, query, key, value, scale), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def attend(
    segments: Segments, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """Returns (1, T, H, D) for a packed row's ``query`` (1, H, T, D) and ``key``, ``value`` (1, Hkv, T, D), with
    gradient."""
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (T, H, D)
    return cast(torch.Tensor, _Attention.apply(q, k, v, segments, scale))[None]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: Segments, scale: float
    ) -> torch.Tensor:
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

"""The two attention calls of a packed row (attention.py) as kernels that also give the log-sum-exp.

`Dense`: scaled-dot-product calls over buckets of segments of like length, on a CPU with torch's kernel, else as plain
products. `Varlen`: torch's variable-length FlashAttention, for a GPU in bf16 or fp16. Tensors are (T, H, D), with
fewer heads for keys and values where queries share them; log-sum-exps are (T, H). A backward call gives the gradients
of one call's share of the softmax, from the joined output and log-sum-exp.
"""

from __future__ import annotations

import torch
from torch import Tensor

from radrl.models.library_internals import (
    HAS_CPU_KERNEL,
    Pair,
    Triple,
    cpu_attention,
    cpu_attention_backward,
    varlen_attention,
    varlen_attention_backward,
)
from radrl.training.shared_prefix.segments import Lengths, Segments


def join_(out: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> None:
    """Joins two partial softmax-attentions (..., D) with log-sum-exps (...) in place of the first."""
    both = torch.logaddexp(lse, other_lse)
    mine, its = (lse - both).exp()[..., None], (other_lse - both).exp()[..., None]
    out.copy_(out * mine + other * its)
    lse.copy_(both)


class Dense:
    """Both calls with the scaled-dot-product kernel that also gives the log-sum-exp (CPU), or plain products."""

    @staticmethod
    def own(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float) -> Pair:
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        lse = torch.empty(q.shape[:2], dtype=_lse_dtype(q), device=q.device)
        for index, real in segments.buckets():
            part, part_lse = dense(_take(q, index), _take(k, index), _take(v, index), True, scale)
            part, part_lse = part.transpose(1, 2), part_lse.transpose(1, 2)  # (n, L, H, D), (n, L, H)
            if real is None:
                out[index], lse[index] = part, part_lse
            else:
                at = index[real]
                out[at], lse[at] = part[real], part_lse[real]
        return out, lse

    @staticmethod
    def own_backward(
        grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, segments: Segments, scale: float
    ) -> Triple:
        dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        for index, real in segments.buckets():
            taken = _take(grad, index)
            if real is not None:  # a padded query must not reach a key; causality keeps padded keys from real queries
                taken = taken.masked_fill(~real[:, None, :, None], 0)
            own_q, own_k, own_v, own_out = (_take(x, index) for x in (q, k, v, out))
            parts = dense_backward(taken, own_q, own_k, own_v, own_out, lse[index].transpose(1, 2), True, scale)
            for whole, part in zip((dq, dk, dv), parts, strict=True):
                part = part.transpose(1, 2)
                if real is None:
                    whole[index] = part
                else:
                    whole[index[real]] = part[real]
        return dq, dk, dv

    @staticmethod
    def across(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float) -> Pair:
        out = torch.zeros_like(q, memory_format=torch.contiguous_format)
        lse = torch.full(q.shape[:2], -torch.inf, dtype=_lse_dtype(q), device=q.device)
        for prompt, branches in segments.groups:
            part, part_lse = dense(_row(q[branches]), _row(k[prompt]), _row(v[prompt]), False, scale)
            out[branches], lse[branches] = part[0].transpose(0, 1), part_lse[0].T
        return out, lse

    @staticmethod
    def across_backward(
        grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, segments: Segments, scale: float
    ) -> Triple:
        dq, dk, dv = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        for prompt, branches in segments.groups:
            queries, asked, answered = (_row(x[branches]) for x in (q, grad, out))
            keys, values = _row(k[prompt]), _row(v[prompt])
            parts = dense_backward(asked, queries, keys, values, answered, lse[branches].T[None], False, scale)
            dq[branches], dk[prompt], dv[prompt] = (part[0].transpose(0, 1) for part in parts)
        return dq, dk, dv


def _lse_dtype(q: Tensor) -> torch.dtype:
    return torch.promote_types(q.dtype, torch.float32)


def _take(x: Tensor, index: Tensor) -> Tensor:  # (T, H, D), (n, L) -> (n, H, L, D)
    return x[index].transpose(1, 2)


def _row(x: Tensor) -> Tensor:  # (L, H, D) -> (1, H, L, D)
    return x.transpose(0, 1)[None]


def dense(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> Pair:
    """Returns attention (n, H, L, D) and its log-sum-exp (n, H, L); ``k`` and ``v`` may have fewer heads."""
    if HAS_CPU_KERNEL and q.device.type == "cpu":
        return cpu_attention(q, k, v, causal, scale)
    scores, v = _scores(q, k, v, causal, scale)
    lse = scores.logsumexp(-1)
    return ((scores - lse[..., None]).exp() @ v).to(q.dtype), lse


def dense_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, causal: bool, scale: float
) -> Triple:
    """Returns the gradients of q, k and v for the share of the softmax that these keys have in ``out`` and ``lse``."""
    if HAS_CPU_KERNEL and q.device.type == "cpu":
        return cpu_attention_backward(grad, q, k, v, out, lse, causal, scale)
    heads = k.shape[1]
    scores, wide_v = _scores(q, k, v, causal, scale)
    grad, out = grad.to(scores.dtype), out.to(scores.dtype)
    p = (scores - lse[..., None]).exp()
    ds = p * (grad @ wide_v.transpose(-1, -2) - (grad * out).sum(-1, keepdim=True)) * scale
    wide_k = k.repeat_interleave(q.shape[1] // heads, 1).to(scores.dtype)

    def narrow(x: Tensor) -> Tensor:
        return x.unflatten(1, (heads, -1)).sum(2).to(q.dtype)

    dq = (ds @ wide_k).to(q.dtype)
    return dq, narrow(ds.transpose(-1, -2) @ q.to(scores.dtype)), narrow(p.transpose(-1, -2) @ grad)


def _scores(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> Pair:
    dtype, repeat = _lse_dtype(q), q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(repeat, 1).to(dtype) for x in (k, v))
    scores = q.to(dtype) @ k.transpose(-1, -2) * scale
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores, v


class Varlen:
    """Both calls with torch's variable-length FlashAttention kernel, which takes the row as it lies."""

    @staticmethod
    def own(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float) -> Pair:
        return _varlen(q, k, v, segments.marks().own, True, scale)

    @staticmethod
    def own_backward(
        grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, segments: Segments, scale: float
    ) -> Triple:
        return _varlen_backward(grad, q, k, v, out, lse, segments.marks().own, True, scale)

    @staticmethod
    def across(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float) -> Pair:
        _, lengths, ask, look = segments.marks()
        assert lengths is not None  # called only where there are branches
        if ask is None or look is None:
            return _varlen(q, k, v, lengths, False, scale)
        out = torch.zeros_like(q, memory_format=torch.contiguous_format)
        lse = torch.full(q.shape[:2], -torch.inf, dtype=torch.float32, device=q.device)
        out[ask], lse[ask] = _varlen(q[ask], k[look], v[look], lengths, False, scale)
        return out, lse

    @staticmethod
    def across_backward(
        grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, segments: Segments, scale: float
    ) -> Triple:
        _, lengths, ask, look = segments.marks()
        assert lengths is not None  # called only where there are branches
        if ask is None or look is None:
            return _varlen_backward(grad, q, k, v, out, lse, lengths, False, scale)
        dq, dk, dv = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        dq[ask], dk[look], dv[look] = _varlen_backward(
            grad[ask], q[ask], k[look], v[look], out[ask], lse[ask], lengths, False, scale
        )
        return dq, dk, dv


def _varlen(q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, causal: bool, scale: float) -> Pair:
    q, k, v = (x.contiguous() for x in (q, k, v))
    q_starts, q_longest, k_starts, k_longest = lengths
    out, lse = varlen_attention(q, k, v, q_starts, k_starts, q_longest, k_longest, causal, scale)
    return out, lse.T  # the kernel's is (H, T)


def _varlen_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, lengths: Lengths, causal: bool,
    scale: float,
) -> Triple:  # fmt: skip
    q, k, v, grad, out = (x.contiguous() for x in (q, k, v, grad, out))
    q_starts, q_longest, k_starts, k_longest = lengths
    return varlen_attention_backward(
        grad, q, k, v, out, lse.T.contiguous(), q_starts, k_starts, q_longest, k_longest, causal, scale
    )


_varlen_works: dict[tuple[torch.device, torch.dtype, int], bool] = {}


def use_varlen(q: Tensor) -> bool:
    """Returns whether the variable-length kernel serves these queries: a GPU, half precision, and on this device, in
    this process, it gave what plain products give, forward and backward, on a small row."""
    if q.device.type != "cuda" or q.dtype not in (torch.bfloat16, torch.float16):
        return False
    key = (q.device, q.dtype, q.shape[-1])
    if key not in _varlen_works:
        _varlen_works[key] = _try_varlen(q.device, q.dtype, q.shape[-1])
    return _varlen_works[key]


def _try_varlen(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    segments = Segments([70, 33], [[9, 40, 1], [5, 17]], device)
    generator = torch.Generator(device).manual_seed(0)
    p = segments.prompt_tokens

    def draw(heads: int) -> Tensor:
        return torch.randn(segments.length, heads, width, device=device, generator=generator).to(dtype)

    q, k, v, grad = draw(4), draw(2), draw(2), draw(4)
    results = []
    try:
        for kernels in (Varlen, Dense):
            out, lse = kernels.own(q, k, v, segments, width**-0.5)
            join_(out[p:], lse[p:], *kernels.across(q[p:], k[:p], v[:p], segments, width**-0.5))
            grads = kernels.own_backward(grad, q, k, v, out, lse, segments, width**-0.5)
            more = kernels.across_backward(grad[p:], q[p:], k[:p], v[:p], out[p:], lse[p:], segments, width**-0.5)
            results.append([out, *grads, *more])
        return all(float((a - b).float().norm() / b.float().norm()) < 0.03 for a, b in zip(*results, strict=True))
    except RuntimeError:  # a kernel that this build or this GPU lacks
        return False

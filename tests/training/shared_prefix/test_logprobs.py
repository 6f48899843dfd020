"""Attention of packed rows and the chunked head, against plain products."""

from __future__ import annotations

import pytest
import torch

from radrl.training.shared_prefix import kernels, logprobs
from radrl.training.shared_prefix.attention import attend
from radrl.training.shared_prefix.segments import Segments


@pytest.mark.parametrize("chunk", [1, 700, 10**6])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_head_in_chunks_is_the_head(monkeypatch, chunk, temperature):
    monkeypatch.setattr(logprobs, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in ((9, 6), (130, 6), (130,))
    )
    targets = torch.randint(130, (9,), generator=generator)
    weights = torch.randn(2, 9, dtype=torch.float64, generator=generator)
    logp = ((hidden @ weight.T + bias) / temperature).log_softmax(-1)
    wanted = logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(-1)
    made = logprobs.log_probs(hidden, weight, bias, targets, temperature)
    for one, other in zip(made, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for use in ((0,), (1,), (0, 1)):  # the entropy is often there for the log only
        grads = [
            torch.autograd.grad(
                sum((weights[k] * both[k]).sum() for k in use), (hidden, weight, bias), retain_graph=True
            )
            for both in (made, wanted)
        ]
        for one, other in zip(*grads, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_the_heads_logits_never_stand_whole(monkeypatch):
    monkeypatch.setattr(logprobs, "CHUNK", 4000)
    rows = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda h, *a: rows.append(len(h)) or linear(h, *a))
    hidden = torch.randn(50, 4, requires_grad=True)
    logprobs.log_probs(hidden, torch.randn(1000, 4), None, torch.zeros(50, dtype=torch.long))[0].sum().backward()
    assert len(rows) == 26
    assert max(rows) == 4


@pytest.mark.parametrize("products", [False, True])
def test_attention_of_a_row_is_the_attention_of_its_branches(monkeypatch, products):
    if products:  # what a device without a kernel of its own computes
        monkeypatch.setattr(kernels, "HAS_CPU_KERNEL", False)
    segments = Segments([40, 1, 90, 7], [[5, 1, 3], [2], [], [8, 80]], "cpu")
    generator = torch.Generator().manual_seed(0)

    def draw(heads):
        made = torch.randn(1, heads, segments.length, 8, dtype=torch.float64, generator=generator)
        return made.requires_grad_()

    q, k, v = draw(4), draw(2), draw(2)
    owner = torch.tensor([0] * 40 + [1] + [2] * 90 + [3] * 7 + [0] * 9 + [1] * 2 + [3] * 88)
    number = torch.tensor([-1] * 138 + [0] * 5 + [1] + [2] * 3 + [3] * 2 + [4] * 8 + [5] * 80)
    place = torch.arange(segments.length)
    same = owner[:, None] == owner[None]
    sees = same & (place[:, None] >= place[None]) & ((number[None] < 0) | (number[:, None] == number[None]))
    wide = [x.repeat_interleave(2, 1) for x in (k, v)]
    wanted = torch.nn.functional.scaled_dot_product_attention(q, *wide, attn_mask=sees, scale=0.3).transpose(1, 2)
    made = attend(segments, q, k, v, 0.3)
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-12)
    weight = torch.randn(made.shape, dtype=torch.float64, generator=generator)
    for one, other in zip(
        *(torch.autograd.grad((out * weight).sum(), (q, k, v)) for out in (made, wanted)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)

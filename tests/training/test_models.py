"""The tower computes the copies of a picture in a group once, with equal outputs and gradients."""

from __future__ import annotations

import copy

import torch

from radrl.prompt import PromptStyle
from radrl.training.batch import prompt_inputs
from radrl.training.models import see_equal_images_once


def test_equal_images_are_seen_once_with_equal_outputs_and_gradients(tiny, examples):
    model, processor = tiny
    model = copy.deepcopy(model).double()  # a copy has patched methods of its own
    rows = [0, 0, 0, 6, 6, 0]  # two groups, and the first picture again apart from its group
    inputs = prompt_inputs(processor, [examples[i] for i in rows], [examples.pictures(i) for i in rows], PromptStyle())
    inputs["pixel_values"] = inputs["pixel_values"].double()

    def run() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        logits = model(**inputs).logits
        logits.square().mean().backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    logits, gradients = run()
    see_equal_images_once(model)
    seen = []
    model.model.visual.patch_embed.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    again, other = run()
    assert seen == [3 * len(inputs["pixel_values"]) // len(rows)]
    torch.testing.assert_close(again, logits, rtol=0, atol=1e-9)
    for one, two in zip(gradients, other, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9)

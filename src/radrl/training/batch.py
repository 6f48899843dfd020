"""Examples to model inputs: the one place where text and pixels become tensors outside TRL's rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import ProcessorMixin

from radrl.example import Example
from radrl.images import read_image
from radrl.prompt import PromptStyle, messages, target

IGNORE = -100  # label of a position that is not trained on


def prompt_inputs(
    processor: ProcessorMixin, examples: Sequence[Example], images: Sequence[list[Image.Image]], style: PromptStyle
) -> dict[str, torch.Tensor]:
    """Returns left-padded model inputs that end where the completion begins; rows in the order of ``examples``."""
    texts = [prompt_text(processor, example, style) for example in examples]
    return _process(processor, texts, images, "left")


def prompt_text(processor: ProcessorMixin, example: Example, style: PromptStyle) -> str:
    """Returns the prompt as the chat template writes it, one placeholder an image."""
    return processor.apply_chat_template(messages(example, style), tokenize=False, add_generation_prompt=True)


def _process(
    processor: ProcessorMixin, texts: list[str], images: Sequence[list[Image.Image]], side: str
) -> dict[str, torch.Tensor]:
    flat = [image for group in images for image in group]
    inputs = processor(
        text=texts, images=flat or None, padding=True, padding_side=side, return_tensors="pt", add_special_tokens=False
    )
    return dict(inputs)


def sft_inputs(
    processor: ProcessorMixin,
    examples: Sequence[Example],
    images: Sequence[list[Image.Image]],
    styles: Sequence[PromptStyle],
) -> dict[str, torch.Tensor]:
    """Returns right-padded inputs with ``labels``: the target and the end token are trained on, nothing else."""
    tokenizer = processor.tokenizer
    prompts = [prompt_text(processor, e, s) for e, s in zip(examples, styles, strict=True)]
    targets = [target(e, s) + tokenizer.eos_token for e, s in zip(examples, styles, strict=True)]
    inputs = _process(processor, [p + t for p, t in zip(prompts, targets, strict=True)], images, "right")
    lengths = inputs["attention_mask"].sum(1)
    labels = torch.full_like(inputs["input_ids"], IGNORE)
    for row, ids in enumerate(tokenizer(targets, add_special_tokens=False)["input_ids"]):
        end = int(lengths[row])
        labels[row, end - len(ids) : end] = torch.tensor(ids)
    # the target's own tokens must be the last ones of the row: a tokenizer that merges across the seam breaks this
    assert torch.equal(labels[labels != IGNORE], inputs["input_ids"][labels != IGNORE])
    inputs["labels"] = labels
    return inputs


def read_images(examples: Sequence[Example], root: Path) -> list[list[Image.Image]]:
    """Returns the pictures of each Example, read now."""
    return [[read_image(root, path) for path in example.images] for example in examples]

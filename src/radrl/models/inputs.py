"""Examples to model inputs: the one place where text and pixels become tensors outside TRL's rollouts.

A training row holds one image (or none, or several) and one or more questions on it. The image and the text before the
first question are the row's prefix, computed once; every question with its answer is a branch that sees the prefix and
itself only, at positions that go on from the prefix. So a row of six questions gives the log-probabilities and the
gradients of six rows of one question each, at a fraction of the work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import jinja2
import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import ProcessorMixin

from radrl.answers.thinking import opened_thinking
from radrl.boxes.notation import Size
from radrl.errors import UserError, one_line
from radrl.example import Example
from radrl.images.sizes import box_size, image_resizing, seen_size
from radrl.manifest.example_set import ExampleSet
from radrl.models.library_internals import rope_positions
from radrl.prompt import control_tokens
from radrl.prompt.messages import PromptStyle, messages, target

IGNORE = -100  # label of a position that is not trained on
# what a chat template may raise: jinja2's own, and of what it does with the messages
TEMPLATE_ERRORS = (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
PREFIX, PADDING = 0, -1  # segment numbers; branches count from 1


class Row(NamedTuple):
    """One image's pictures and the questions asked about it, each with its style."""

    pictures: list[Image.Image]
    questions: list[tuple[Example, PromptStyle]]


def prompt_inputs(
    processor: ProcessorMixin, examples: Sequence[Example], images: Sequence[list[Image.Image]], style: PromptStyle
) -> dict[str, torch.Tensor]:
    """Returns left-padded model inputs that end where the completion begins; rows in the order of ``examples``."""
    texts = [
        prompt_text(processor, example, style, _box_size(processor, pictures, style))
        for example, pictures in zip(examples, images, strict=True)
    ]
    flat = [image for group in images for image in group]
    options = {"padding": True, "padding_side": "left", "return_tensors": "pt"}
    return dict(cast(Any, processor)(text=texts, images=flat or None, **options))


def _box_size(processor: ProcessorMixin, pictures: Sequence[Image.Image], style: PromptStyle) -> Size | None:
    """Returns the size that boxes in pixels are related to; None where they are not in pixels."""
    if style.box_format != "pixel":
        return None
    return seen_size([picture.size for picture in pictures], image_resizing(processor.image_processor))


def prompt_text(processor: ProcessorMixin, example: Example, style: PromptStyle, size: Size | None = None) -> str:
    """Returns the prompt as the chat template writes it, one placeholder an image; ``size`` as in `prompt.messages`.

    Raises:
        UserError: there is no chat template, it does not take the messages, leaves something out of them, or thinks
            otherwise than ``thinking`` and ``think_in_template`` say.
    """
    turns = messages(example, style, size, control_tokens.of_tokenizer(processor.tokenizer))
    text = _rendered(processor, turns, style)
    for turn in turns:
        said = turn["content"][-1]["text"]
        # a template for plain text prints the list of parts, or drops it; others trim what they are given
        kept = said.strip() in text and str(turn["content"]) not in text
        if turn["role"] != "assistant" and not kept:
            raise UserError(f"the model's chat template does not take the {turn['role']} message as it is")
    first = next(turn for turn in turns if turn["role"] == "user")["content"][-1]["text"]
    if example.images and style.image_separator and first.rstrip() not in text:
        raise UserError("the model's chat template drops 'prompt.image_separator'; leave it empty")
    _check_thinking(processor, turns, style, text)
    return text


def check_chat(processor: ProcessorMixin, examples: ExampleSet, styles: Sequence[PromptStyle]) -> None:
    """Writes the prompt of the first Example of each task, before weights are loaded.

    Raises:
        UserError: the model has no chat template, or `prompt_text` refuses it.
    """
    _, first = np.unique(examples.task_codes, return_index=True)
    images = image_resizing(processor.image_processor)
    for i in first.tolist():
        for style in styles:
            prompt_text(processor, examples[i], style, box_size(examples, i, style, images))


def _check_thinking(processor: ProcessorMixin, turns: list[dict[str, Any]], style: PromptStyle, text: str) -> None:
    """Raises UserError where the chat template thinks otherwise than the style says: what opens thinking must be known,
    for a completion that goes on from there does not open it once more."""
    if mark := opened_thinking(text):
        if style.thinking and style.think_in_template:
            return
        told = replace(style, think_in_template=True)
        if style.thinking or not opened_thinking(_rendered(processor, turns, told)):
            fix = "set 'prompt.think_in_template: true'"
        else:
            fix = (
                "ask the model to think ('prompt.thinking' and 'prompt.think_in_template': true; in a cold start of "
                "Examples with traces 'coldstart.thinking_share: 1')"
            )
        of = "itself" if style.thinking else "for a direct answer too"
        raise UserError(f"the model's chat template opens {mark} {of}; {fix}")
    # Qwen3's leaves the opening to the model, and closes it where no thinking is wanted
    asks = style.thinking and style.think_in_template
    if asks and text == _rendered(processor, turns, replace(style, thinking=False)):
        raise UserError(
            "'prompt.think_in_template': the model's chat template knows no thinking; set it to false and "
            "'prompt.think_suffix' as the model was trained"
        )


def _rendered(processor: ProcessorMixin, turns: list[dict[str, Any]], style: PromptStyle) -> str:
    if not processor.chat_template:
        model = processor.tokenizer.name_or_path or "the model"
        raise UserError(
            f"{model} has no chat template (base models have none); put the chat_template.jinja of its instruction-"
            "tuned version into its folder"
        )
    try:
        return _written(processor, turns, style)
    except TEMPLATE_ERRORS as error:
        why = str(error)
    line = f"the model's chat template does not take the messages: {why}"
    if not style.system:
        with contextlib.suppress(*TEMPLATE_ERRORS):
            _written(processor, [{"role": "system", "content": [{"type": "text", "text": "."}]}, *turns], style)
            line = f"the model's chat template demands a system message ({why}); set 'prompt.system'"
    raise UserError(one_line(line))


def _written(processor: ProcessorMixin, turns: list[dict[str, Any]], style: PromptStyle) -> str:
    kwargs: dict[str, Any] = template_kwargs(processor, style)
    written = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **kwargs)
    return cast(str, written)  # not tokenized


def template_kwargs(processor: ProcessorMixin, style: PromptStyle) -> dict[str, bool]:
    """Returns the style's arguments that the chat template asks for. The others would be taken for the processor's."""
    return {key: value for key, value in style.chat_template_kwargs.items() if key in str(processor.chat_template)}


def sft_inputs(processor: ProcessorMixin, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Returns right-padded inputs with ``labels`` (the target and the end token are trained on, nothing else).

    When a row has several questions there is also ``segments`` (B, T): PREFIX, a branch's number, or PADDING; pass
    the inputs through `branch_attention` then.
    """
    ids, labels, segments, vision = [], [], [], []
    for row in rows:
        made = _row(processor, row)
        for kept, part in zip((ids, labels, segments), made[:3], strict=True):
            kept.append(torch.tensor(part))
        vision.append(made[3])
    pad = processor.tokenizer.pad_token_id
    inputs = {
        "input_ids": nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad),
        "labels": nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORE),
    }
    segments = nn.utils.rnn.pad_sequence(segments, batch_first=True, padding_value=PADDING)
    inputs["attention_mask"] = (segments != PADDING).long()
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == cast(Any, processor).image_token_id).int() * inputs[
        "attention_mask"
    ]
    for key in {key for fields in vision for key in fields}:
        inputs[key] = torch.cat([fields[key] for fields in vision if key in fields])
    if any(len(row.questions) > 1 for row in rows):
        inputs["segments"] = segments
    return inputs


def _row(processor: ProcessorMixin, row: Row) -> tuple[list[int], list[int], list[int], dict[str, torch.Tensor]]:
    tokenizer = processor.tokenizer
    asked = [(*one, _box_size(processor, row.pictures, one[1])) for one in row.questions]
    texts = [prompt_text(processor, *one) for one in asked]
    prompts = tokenizer(texts, add_special_tokens=False)["input_ids"]
    plain = control_tokens.of_tokenizer(tokenizer).plain_example
    written = [_going_on(text, plain(e), style, size) for text, (e, style, size) in zip(texts, asked, strict=True)]
    targets = [text + tokenizer.eos_token for text in written]
    answers = tokenizer(targets, add_special_tokens=False)["input_ids"]
    # The processor writes out the image placeholders; they stand in what all prompts begin with.
    inputs = cast(Any, processor)(text=texts[:1], images=row.pictures or None, return_tensors="pt")
    first = inputs["input_ids"][0].tolist()
    written_out = len(first) - len(prompts[0])
    shared = _shared_length(prompts)
    prefix = first[: shared + written_out]
    ids, labels, segments = list(prefix), [IGNORE] * len(prefix), [PREFIX] * len(prefix)
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True), 1):
        branch = prompt[shared:]
        ids += branch + answer
        labels += [IGNORE] * len(branch) + answer
        segments += [number] * (len(branch) + len(answer))
    vision = {key: inputs[key] for key in ("pixel_values", "image_grid_thw") if key in inputs}
    return ids, labels, segments, vision


def _going_on(prompt: str, example: Example, style: PromptStyle, size: Size | None) -> str:
    """Returns the target as it goes on after the prompt: without ``<think>`` where that stands there already.

    Raises:
        UserError: the prompt opens thinking with another mark.
    """
    text = target(example, style, size)
    mark = opened_thinking(prompt)
    if not mark:
        return text
    if mark != "<think>":
        raise UserError(f"the model's chat template opens {mark}, but <think> is taught; fix the template")
    text = text.removeprefix("<think>")
    return text.lstrip() if prompt[-1].isspace() else text


def _shared_length(prompts: list[list[int]]) -> int:
    """Returns how many first tokens all prompts share; each keeps one of its own, which predicts the answer."""
    longest = min(len(prompt) for prompt in prompts) - 1
    for k in range(longest):
        if len({prompt[k] for prompt in prompts}) > 1:
            return k
    return longest


def branch_attention(model: nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Replaces ``segments`` by what makes branches blind to each other: ``attention_mask`` (B, 1, T, T), true where a
    query (third axis) sees a key, and 3-D rotary ``position_ids`` (3, B, T) that restart after the prefix.

    ``model`` is a Qwen-VL model (it counts the positions of an image). Inputs without ``segments`` stay as they are.
    """
    inputs = dict(inputs)
    segments = inputs.pop("segments", None)
    if segments is None:
        return inputs
    places = rope_positions(
        model,
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        image_grid_thw=inputs.get("image_grid_thw"),
        attention_mask=inputs["attention_mask"],
    )  # (3, B, T), counted as if the row were one text
    batch, length = segments.shape
    index = torch.arange(length, device=segments.device).expand(batch, length)
    starts = torch.ones_like(segments, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    begin = torch.where(starts, index, 0).cummax(1).values  # where the token's own segment begins
    end_of_prefix = (segments == PREFIX).sum(1, keepdim=True).clamp(max=length - 1)
    base = places.gather(2, end_of_prefix.expand(3, batch, 1))  # position of the first token after the prefix
    restarted = base + (index - begin)
    inputs["position_ids"] = torch.where(segments > PREFIX, restarted, places).long()
    query, key = segments[:, :, None], segments[:, None, :]
    causal = index[:, :, None] >= index[:, None, :]
    sees = causal & ((key == PREFIX) | (key == query))  # padding sees padding: no row of the softmax is empty
    inputs["attention_mask"] = sees[:, None]
    return inputs

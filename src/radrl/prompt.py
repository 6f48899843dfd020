"""Example to chat messages and to the completion that is taught. Training and evaluation both ask through here;
what comes back is read by `radrl.answers`.

Thinking is asked for with the suffix `` /think``; a thinking completion is ``<think>...</think>`` and then the answer
(RadVLM-GRPO, arXiv 2512.10691). Boxes are written either as RadVLM does (0-1, two decimals, after their label) or as
Qwen3-VL does (JSON, 0-1000).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from radrl.choices import LETTERS, is_yes_no
from radrl.example import Box, Example, Turn

BoxFormat = Literal["unit", "thousand", "pixel", "qwen2"]
"""``unit``: 0-1 with two decimals after their label, as RadVLM. ``thousand``: JSON in 0-1000, as Qwen3-VL. ``pixel``:
JSON in pixels of the resized image, as Qwen2.5-VL. ``qwen2``: 0-1000 as Qwen2-VL's ``(x,y),(x,y)`` and its tokens."""
Options = Literal["inline", "lines", "none"]
AnswerFormat = Literal["plain", "tags", "boxed"]


@dataclass(frozen=True)
class PromptStyle:
    """How questions are asked and answers are written: the recipe's ``prompt`` section, which says what each field is
    (`radrl.recipe.Prompt`). Whatever is set here stands in the header of the predictions."""

    box_format: BoxFormat = "unit"
    thinking: bool = False
    system: str = ""
    template: str = "{question}{options}"
    think_suffix: str = " /think"
    think_in_template: bool = False
    options: Options = "inline"
    answer_format: AnswerFormat = "plain"
    image_separator: str = ""


def messages(example: Example, style: PromptStyle) -> list[dict[str, Any]]:
    """Returns the chat messages of an Example: the earlier turns and then the question, as user and assistant in turn.
    The images are placeholders at the head of the first one."""
    texts: list[str] = []
    for turn in example.history:
        texts += [turn.question, boxes_text(turn.boxes, style.box_format) or turn.answer]
    texts.append(question(example, style))
    turns = [
        {"role": "assistant" if i % 2 else "user", "content": [{"type": "text", "text": text}]}
        for i, text in enumerate(texts)
    ]
    turns[0]["content"][:0] = [{"type": "image"} for _ in example.images]
    return turns


def earlier(example: Example, box_format: BoxFormat = "unit") -> str:
    """Returns the earlier turns as text for a reader who is not the model; empty where there are none."""
    return "".join(
        f"Earlier question: {turn.question}\nEarlier answer: {boxes_text(turn.boxes, box_format) or turn.answer}\n"
        for turn in example.history
    )


def question(example: Example, style: PromptStyle) -> str:
    """Returns the text of the question: the Example's own, its options, the box notation, and the thinking suffix."""
    text = example.question
    if example.choices and not is_yes_no(example.choices):
        options = " ".join(f"{LETTERS[i]}. {choice}" for i, choice in enumerate(example.choices))
        text = f"{text} {options}"
    if example.task == "grounding" and style.box_format == "thousand":
        text += " Report the box coordinates in JSON format."
    return text + (style.think_suffix if style.thinking else "")


def target(example: Example, style: PromptStyle) -> str:
    """Returns the completion that supervised training teaches: the trace when thinking is asked for, then the answer.

    Raises:
        ValueError: thinking is asked for and the Example has no trace.
    """
    text = answer_text(example, style.box_format)
    if not style.thinking:
        return text
    if not example.thinking:
        raise ValueError(f"Example {example.id} has no thinking trace")
    return f"<think>\n{example.thinking}\n</think>\n\n{text}"


def answer_text(example: Example, box_format: BoxFormat) -> str:
    """Returns the reference answer as a model is taught to write it, boxes in the asked notation."""
    if example.task == "grounding":
        return boxes_text(example.boxes, box_format) or example.reference or "none"
    if example.task == "classification":
        return example.reference
    if example.choices and not is_yes_no(example.choices):
        return f"{LETTERS[example.choices.index(example.reference)]}. {example.reference}"
    return example.reference


def as_turn(example: Example) -> Turn:
    """Returns an Example as an earlier turn of the conversation that goes on after it."""
    answer = "" if example.boxes else answer_text(example, "unit")
    return Turn(question=question(example, PromptStyle()), answer=answer, boxes=example.boxes)


def boxes_text(boxes: tuple[Box, ...], box_format: BoxFormat) -> str:
    """Returns boxes as text: ``label [0.12, 0.34, 0.56, 0.78], ...`` or Qwen3-VL's JSON; empty for no boxes."""
    if not boxes:
        return ""
    if box_format == "unit":
        return ", ".join(f"{box.label} [{', '.join(f'{v:.2f}' for v in _rounded(box, 2))}]".lstrip() for box in boxes)
    items = [{"bbox_2d": [round(v * 1000) for v in _rounded(box, 3)], "label": box.label} for box in boxes]
    return "```json\n[\n" + ",\n".join("\t" + json.dumps(item, ensure_ascii=False) for item in items) + "\n]\n```"


def _rounded(box: Box, digits: int) -> list[float]:
    """Returns the corners with so many decimals; where no width or height would be left, one step that it lies in."""
    steps = 10**digits
    ends = [round(v, digits) for v in box.xyxy]
    for axis in (0, 1):
        if ends[axis] == ends[axis + 2]:
            first = min(math.floor(box.xyxy[axis] * steps), steps - 1)
            ends[axis], ends[axis + 2] = first / steps, (first + 1) / steps
    return ends

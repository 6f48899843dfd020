"""Example to chat messages and to the completion that is taught. Training and evaluation both ask through here;
what comes back is read by `radrl.answers`.

Thinking is asked for with the suffix `` /think``; a thinking completion is ``<think>...</think>`` and then the answer
(RadVLM-GRPO, arXiv 2512.10691). How boxes are written is in `radrl.box_notation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from radrl.box_notation import BoxFormat, Size, boxes_text
from radrl.choices import LETTERS, is_yes_no
from radrl.example import Example, Turn

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


def messages(example: Example, style: PromptStyle, size: Size | None = None) -> list[dict[str, Any]]:
    """Returns the chat messages of an Example: the earlier turns and then the question, as user and assistant in turn.
    The images are placeholders at the head of the first one; ``size`` is that of the resized image, for boxes in
    pixels."""
    texts: list[str] = []
    for turn in example.history:
        texts += [turn.question, boxes_text(turn.boxes, style.box_format, size) or turn.answer]
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


def target(example: Example, style: PromptStyle, size: Size | None = None) -> str:
    """Returns the completion that supervised training teaches: the trace when thinking is asked for, then the answer.

    Raises:
        ValueError: thinking is asked for and the Example has no trace.
    """
    text = answer_text(example, style.box_format, size)
    if not style.thinking:
        return text
    if not example.thinking:
        raise ValueError(f"Example {example.id} has no thinking trace")
    return f"<think>\n{example.thinking}\n</think>\n\n{text}"


def answer_text(example: Example, box_format: BoxFormat, size: Size | None = None) -> str:
    """Returns the reference answer as a model is taught to write it, boxes in the asked notation."""
    if example.task == "grounding":
        return boxes_text(example.boxes, box_format, size) or example.reference or "none"
    if example.choices and not is_yes_no(example.choices):
        return f"{LETTERS[example.choices.index(example.reference)]}. {example.reference}"
    return example.reference


def as_turn(example: Example) -> Turn:
    """Returns an Example as an earlier turn of the conversation that goes on after it."""
    answer = "" if example.boxes else answer_text(example, "unit")
    return Turn(question=question(example, PromptStyle()), answer=answer, boxes=example.boxes)

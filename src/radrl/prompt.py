"""Example to chat messages, and a completion back to an Answer. Training and evaluation both go through here.

Thinking is asked for with the suffix `` /think``; a thinking completion is ``<think>...</think>`` and then the answer,
and only what follows the last ``</think>`` is ever scored (RadVLM-GRPO, arXiv 2512.10691). Boxes are written either as
RadVLM does (0-1, two decimals, after their label) or as Qwen3-VL does (JSON, 0-1000).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from radrl.choices import LETTERS, is_yes_no, read_choice
from radrl.example import Answer, Box, Example, Turn

BoxFormat = Literal["unit", "thousand"]
THINK_SUFFIX = " /think"

_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_BOX = re.compile(rf"\[\s{{0,3}}({_NUMBER})" + rf"\s{{0,3}},\s{{0,3}}({_NUMBER})" * 3 + r"\s{0,3}\]")
_LABEL_AFTER = re.compile(r'\s{0,9},\s{0,9}"label"\s{0,3}:\s{0,3}"([^"\n]{0,200})"')
_MAX_ANSWER = 20_000  # characters that are parsed; no radiology answer is longer


@dataclass(frozen=True)
class PromptStyle:
    """How questions are asked: the notation of boxes, and whether thinking is asked for."""

    box_format: BoxFormat = "unit"
    thinking: bool = False


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
    return text + (THINK_SUFFIX if style.thinking else "")


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


def parse(completion: str, example: Example, style: PromptStyle, tokens: int | None = None) -> Answer:
    """Reads a completion: strips thinking, then reads boxes or the chosen option. It has ``tokens`` tokens, if known.

    Never raises on any text. A completion that was asked to think and never closed its thinking has no answer: its
    text is empty. Boxes that are not boxes (outside the image, x1 >= x2, not four numbers) are left out and make the
    Answer not well formed; no other box notation is guessed.
    """
    thinking, text, well_formed = _split_thinking(completion, style.thinking)
    text = text[:_MAX_ANSWER]
    boxes: tuple[Box, ...] = ()
    choice = None
    if example.task == "grounding":
        boxes, readable = _read_boxes(text, style.box_format)
        well_formed = well_formed and readable
    elif example.choices:
        choice = read_choice(text, example.choices)
        well_formed = well_formed and choice is not None
    return Answer(text, thinking, boxes, choice, well_formed and bool(text), tokens)


def _split_thinking(completion: str, asked: bool) -> tuple[str | None, str, bool]:
    before, closed, after = completion.rpartition("</think>")
    if closed:
        opened = before.lstrip().startswith("<think>")
        once = before.count("<think>") == 1 and "</think>" not in before
        return before.replace("<think>", "", 1).strip(), after.strip(), asked and opened and once
    if asked or "<think>" in completion:
        return completion.replace("<think>", "", 1).strip(), "", False
    return None, completion.strip(), True


def _read_boxes(text: str, box_format: BoxFormat) -> tuple[tuple[Box, ...], bool]:
    scale = 1.0 if box_format == "unit" else 1000.0
    boxes, readable, end = [], True, 0
    for match in _BOX.finditer(text):
        x1, y1, x2, y2 = (float(v) / scale for v in match.groups())
        if box_format == "unit":
            label = text[end : match.start()].rsplit("\n", 1)[-1][-200:].strip(" ,.;:()[]")
        else:
            after = _LABEL_AFTER.match(text, match.end())
            label = after.group(1) if after else ""
        if 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1:
            # half a surrogate pair cannot be written as UTF-8
            boxes.append(Box(xyxy=(x1, y1, x2, y2), label=label.encode(errors="replace").decode()))
        else:
            readable = False
        end = match.end()
    # every opening bracket before digits should have become a box
    started = len(re.findall(r"\[\s{0,3}-?[\d.]", text))
    return tuple(boxes), readable and started <= len(boxes)

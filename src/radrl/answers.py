"""What a completion says: the one reader of answers. Training's rewards, the metrics and the page all go through it.

Only what follows the last ``</think>`` is ever scored (RadVLM-GRPO, arXiv 2512.10691).
"""

from __future__ import annotations

import re

from radrl.choices import read_choice
from radrl.example import Answer, Box, Example
from radrl.prompt import BoxFormat, PromptStyle
from radrl.reading.thinking import split_thinking
from radrl.reading.unwrap import Kind, unwrap

_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_BOX = re.compile(rf"\[\s{{0,3}}({_NUMBER})" + rf"\s{{0,3}},\s{{0,3}}({_NUMBER})" * 3 + r"\s{0,3}\]")
_LABEL_AFTER = re.compile(r'\s{0,9},\s{0,9}"label"\s{0,3}:\s{0,3}"([^"\n]{0,200})"')


def parse(
    completion: str,
    example: Example,
    style: PromptStyle,
    tokens: int | None = None,
    size: tuple[int, int] | None = None,
) -> Answer:
    """Reads a completion: takes off its thinking and what the answer is wrapped in, then reads boxes or the chosen
    option. It has ``tokens`` tokens, if known; ``size`` is the width and height of the resized image, for boxes in
    pixels.

    Never raises on any text. A completion that was asked to think and never closed its thinking has no answer: its
    text is empty. Reasoning before a wrapped answer counts as thinking. Boxes that are not boxes (outside the image,
    x1 >= x2, not four numbers) are left out and make the Answer not well formed; no other box notation is guessed.
    """
    thinking, text, well_formed = split_thinking(completion, style)
    text, reasoning, forms = unwrap(text, _kind(example))
    if reasoning:
        thinking = f"{thinking}\n\n{reasoning}" if thinking else reasoning
    if style.answer_format != "plain":
        well_formed = well_formed and style.answer_format in forms
    boxes: tuple[Box, ...] = ()
    choice = None
    if example.task == "grounding":
        boxes, readable = _read_boxes(text, style.box_format)
        well_formed = well_formed and readable
    elif example.choices:
        choice = read_choice(text, example.choices, example.question)
        well_formed = well_formed and choice is not None
    return Answer(text, thinking, boxes, choice, well_formed and bool(text), tokens)


def _kind(example: Example) -> Kind:
    if example.choices:
        return "option"
    kinds: dict[str, Kind] = {"grounding": "boxes", "report": "report"}
    return kinds.get(example.task, "words")


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

"""What a completion says: the one reader of answers. Training's rewards, the metrics and the page all go through it.

Only what follows the last ``</think>`` is ever scored (RadVLM-GRPO, arXiv 2512.10691).
"""

from __future__ import annotations

import re

from radrl import label_sets
from radrl.choices import read_choice
from radrl.example import Answer, Box, Example
from radrl.prompt import BoxFormat, PromptStyle

_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_BOX = re.compile(rf"\[\s{{0,3}}({_NUMBER})" + rf"\s{{0,3}},\s{{0,3}}({_NUMBER})" * 3 + r"\s{0,3}\]")
_LABEL_AFTER = re.compile(r'\s{0,9},\s{0,9}"label"\s{0,3}:\s{0,3}"([^"\n]{0,200})"')
_MAX_ANSWER = 20_000  # characters that are parsed; no radiology answer is longer


def parse(
    completion: str,
    example: Example,
    style: PromptStyle,
    tokens: int | None = None,
    size: tuple[int, int] | None = None,
) -> Answer:
    """Reads a completion: strips thinking, then reads boxes, labels or the chosen option. It has ``tokens`` tokens, if
    known; ``size`` is the width and height of the resized image, for boxes in pixels.

    Never raises on any text. A completion that was asked to think and never closed its thinking has no answer: its
    text is empty. Boxes that are not boxes (outside the image, x1 >= x2, not four numbers) are left out and make the
    Answer not well formed; no other box notation is guessed.
    """
    thinking, text, well_formed = _split_thinking(completion, style.thinking)
    text = text[:_MAX_ANSWER]
    boxes: tuple[Box, ...] = ()
    choice = None
    labels: tuple[str, ...] = ()
    if example.task == "grounding":
        boxes, readable = _read_boxes(text, style.box_format)
        well_formed = well_formed and readable
    elif example.task == "classification":
        labels, readable = label_sets.read(text, example.choices, example.label_set)
        well_formed = well_formed and readable
    elif example.choices:
        choice = read_choice(text, example.choices)
        well_formed = well_formed and choice is not None
    return Answer(text, thinking, boxes, choice, well_formed and bool(text), tokens, labels)


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

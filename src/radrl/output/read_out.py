"""What was read from one answer, in words and numbers: option, boxes, labels, a denial, or that nothing can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from radrl.boxes.notation import Size
from radrl.choices.options import LETTERS
from radrl.choices.picking import is_yes_no
from radrl.example import Answer, Box, Example

Kind = Literal["boxes", "denied", "option", "labels", "text", "unreadable"]
AMBER, BLACK = (255, 180, 84), (0, 0, 0)  # as the pages draw a model's boxes


class ReadBox(NamedTuple):
    """A box: its label, its corners x1, y1, x2, y2 in 0-1, and in whole pixels of the film as it was given."""

    label: str
    unit: tuple[float, float, float, float]
    pixels: tuple[int, int, int, int]


class ReadOut(NamedTuple):
    """What was read from an answer: of which kind, in a sentence, its boxes, and what is to be said of its form."""

    kind: Kind
    said: str
    boxes: tuple[ReadBox, ...]
    notes: tuple[str, ...]


def read_out(answer: Answer, example: Example, size: Size | None, longest: int) -> ReadOut:
    """Returns what was read from an Answer. ``size`` is that of the first film, ``longest`` how many tokens an answer
    may have."""
    notes = []
    if answer.tokens is not None and answer.tokens >= longest:
        notes.append(f"cut at {longest} tokens; --set evaluation.max_new_tokens allows more")
    if answer.wrong:
        notes.append(f"{_count(len(answer.wrong), 'box')} outside the film, without area or not of four numbers")
    if answer.clamped:
        notes.append(f"{_count(answer.clamped, 'box')} cut at the film's edge")
    boxes = tuple(_box(box, size) for box in answer.boxes) if size else ()
    kind, said = _kind(answer, example)
    if not answer.well_formed and not answer.wrong and kind != "unreadable":
        notes.append("the answer does not keep the form that was asked for")
    return ReadOut(kind, said, boxes, tuple(notes))


def _kind(answer: Answer, example: Example) -> tuple[Kind, str]:
    if not answer.text.strip():
        return "unreadable", "no answer: the thinking never ended" if answer.thinking else "no answer: it is empty"
    if example.task == "grounding":
        if answer.boxes:
            return "boxes", _count(len(answer.boxes), "box")
        if answer.says_none:
            return "denied", "there is nothing to box"
        return "unreadable", "no box of the film, and no denial either"
    if example.task == "classification":
        if answer.labels or answer.well_formed:
            return "labels", ", ".join(answer.labels) or "none of the labels"
        return "unreadable", "no labels could be read"
    if example.choices:
        if answer.choice is None:
            return "unreadable", "none of the options could be read"
        letter = "" if is_yes_no(example.choices) else f"{LETTERS[answer.choice]}. "
        return "option", letter + example.choices[answer.choice]
    return "text", "free text, as it stands"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 'es'}"


def _box(box: Box, size: Size) -> ReadBox:
    x1, y1, x2, y2 = (round(value * size[i % 2]) for i, value in enumerate(box.xyxy))
    return ReadBox(box.label, box.xyxy, (x1, y1, x2, y2))


def as_json(read: ReadOut) -> dict[str, Any]:
    """Returns it for JSON."""
    return {**read._asdict(), "boxes": [box._asdict() for box in read.boxes]}


def draw_boxes(picture: Image.Image, boxes: Sequence[ReadBox]) -> Image.Image:
    """Returns the picture in RGB with each box as an amber frame on a black edge, its label above it, or in it where
    there is no room. The frame's middle runs along the box."""
    drawn = picture.convert("RGB")
    draw = ImageDraw.Draw(drawn)
    line = max(2, round(max(drawn.size) / 400))
    font = ImageFont.load_default(max(12, round(max(drawn.size) / 45)))
    for box in boxes:
        for colour, width in ((BLACK, 2 * line), (AMBER, line)):
            _frame(draw, box.pixels, colour, width)
    for box in boxes:
        if box.label:
            x1, y1, _, _ = box.pixels
            left, top, right, bottom = draw.textbbox((0, 0), box.label, font=font, stroke_width=line)
            x = min(max(0, x1), max(0, drawn.width - (right - left)))
            y = y1 - line - (bottom - top) if y1 - line >= bottom - top else y1 + 2 * line
            draw.text((x - left, y - top), box.label, AMBER, font=font, stroke_width=line, stroke_fill=BLACK)
    return drawn


def _frame(
    draw: ImageDraw.ImageDraw, pixels: tuple[int, int, int, int], colour: tuple[int, int, int], width: int
) -> None:
    half = width // 2
    x1, y1, x2, y2 = pixels
    draw.rectangle((x1 - half, y1 - half, x2 - half + width - 1, y2 - half + width - 1), outline=colour, width=width)

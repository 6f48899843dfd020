"""What a completion says: the one reader of answers. Training's rewards, the metrics and the page all go through it.

Only what follows the last ``</think>`` is ever scored (RadVLM-GRPO, arXiv 2512.10691).
"""

from __future__ import annotations

from radrl.answers import own_format
from radrl.answers.rejection import says_none
from radrl.answers.thinking import split_thinking
from radrl.answers.unwrap import Kind, unwrap
from radrl.boxes.notation import Size, read_boxes
from radrl.choices.picking import read_choice
from radrl.clinical.label_sets import read_labels
from radrl.example import Answer, Example
from radrl.prompt.control_tokens import restored
from radrl.prompt.messages import ANSWER_FORMATS, PromptStyle


def parse(
    completion: str,
    example: Example,
    style: PromptStyle,
    tokens: int | None = None,
    size: Size | None = None,
) -> Answer:
    """Reads a completion: takes off its thinking and what the answer is wrapped in, then reads boxes, labels or the
    chosen option. It has ``tokens`` tokens, if known; ``size`` is the width and height of the resized image, for boxes
    in pixels.

    Never raises on any text, but for an answer format of the user's own. A completion that was asked to think and never
    closed its thinking has no answer: its text is empty. Reasoning before a wrapped answer counts as thinking. Boxes
    are read by `radrl.boxes.notation`; one that is none of the image (outside it, x1 >= x2, not four numbers) is among
    ``wrong`` and makes the Answer not well formed, as does a text that has no box and does not say that there is none.

    Raises:
        UserError: boxes in pixels without ``size``, or an answer format of the user's own fails.
    """
    thinking, text, well_formed = split_thinking(completion, style)
    if style.answer_format not in ANSWER_FORMATS:
        return _with_own_format(thinking, text, well_formed, example, style, tokens)
    text, reasoning, forms = unwrap(text, _kind(example))
    if reasoning:
        thinking = f"{thinking}\n\n{reasoning}" if thinking else reasoning
    text, thinking = restored(text), thinking and restored(thinking)  # only now: marks of the data end no thinking
    if style.answer_format != "plain":
        well_formed = well_formed and style.answer_format in forms
    answer = Answer(text, thinking, well_formed=well_formed and bool(text), tokens=tokens)
    if example.task == "grounding":
        return _with_boxes(answer, example, style, size)
    if example.task == "classification":
        labels, readable = read_labels(text, example.choices, example.label_set)
        return answer._replace(labels=labels, well_formed=answer.well_formed and readable)
    if example.choices:
        choice = read_choice(text, example.choices, example.question)
        return answer._replace(choice=choice, well_formed=answer.well_formed and choice is not None)
    return answer


def _with_own_format(
    thinking: str | None, text: str, well_formed: bool, example: Example, style: PromptStyle, tokens: int | None
) -> Answer:
    """Returns the Answer that a function of the user's reads; one without text where none follows the thinking."""
    text, thinking = restored(text), thinking and restored(thinking)
    if not text.strip():
        return Answer("", thinking, well_formed=False, tokens=tokens)
    answer = own_format.read_answer(style.answer_format, text, example)
    return answer._replace(
        thinking=thinking if answer.thinking is None else answer.thinking,
        well_formed=well_formed and answer.well_formed and bool(answer.text.strip()),
        tokens=tokens,
    )


def _kind(example: Example) -> Kind:
    if example.choices and example.task != "classification":
        return "option"
    kinds: dict[str, Kind] = {"grounding": "boxes", "classification": "boxes", "report": "report"}
    return kinds.get(example.task, "words")


def _with_boxes(answer: Answer, example: Example, style: PromptStyle, size: Size | None) -> Answer:
    read = read_boxes(answer.text, style.box_format, size)
    given = bool(read.boxes or read.wrong)
    none = not given and says_none(answer.text, example)
    return answer._replace(
        boxes=read.boxes,
        wrong=read.wrong,
        clamped=read.clamped,
        says_none=none,
        well_formed=answer.well_formed and read.whole and (given or none),
    )

"""Example to chat messages and to the completion that is taught. Training and evaluation both ask through here;
what comes back is read by `radrl.answers.parsing`.

Thinking is asked for with the suffix `` /think``; a thinking completion is ``<think>...</think>`` and then the answer
(RadVLM-GRPO, arXiv 2512.10691). How boxes are written is in `radrl.boxes.notation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from radrl.boxes.notation import BoxFormat, Size, boxes_text
from radrl.choices.picking import LETTERS, is_yes_no
from radrl.errors import UserError, nearest, one_line
from radrl.example import TASKS, Example, Turn
from radrl.prompt.control_tokens import FAMILIES, ControlTokens

Options = Literal["inline", "lines", "paragraphs", "none"]
AnswerFormat = Literal["plain", "tags", "boxed"]
ANSWER_FORMATS: tuple[AnswerFormat, ...] = ("plain", "tags", "boxed")
TEMPLATE = "{question}{options}"
TEMPLATE_KEYS = (*TASKS, "yes_no", "default")
"""What a template may be given for: a task; ``yes_no``, its closed questions of yes and no; ``default``, the rest."""
_BETWEEN = {"inline": " ", "lines": "\n", "paragraphs": "\n\n"}
_JSON = {"thousand": " Report the box coordinates in JSON format."}
SLOTS = ("question", "options")
_SLOT = re.compile(r"(\{question\}|\{options\})")


class Templates(dict[str, str]):
    """Templates by what they are for (`TEMPLATE_KEYS`): a mapping that is never changed, so that a PromptStyle can be a
    key and compares equal to the one read back from a header."""

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))


@dataclass(frozen=True)
class PromptStyle:
    """How questions are asked and answers are written: the recipe's ``prompt`` section, which says what each field is
    (`radrl.recipe.prompt_section.Prompt`). Whatever is set here stands in the header of the predictions."""

    box_format: BoxFormat = "unit"
    thinking: bool = False
    system: str = ""
    template: str | Mapping[str, str] = TEMPLATE
    think_suffix: str = " /think"
    think_in_template: bool = False
    options: Options = "inline"
    answer_format: str = "plain"  # an AnswerFormat, or FILE.py:NAME#DIGEST of the user's own (answers/own_format.py)
    image_separator: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.template, Mapping):
            object.__setattr__(self, "template", Templates(self.template))

    @property
    def chat_template_kwargs(self) -> dict[str, bool]:
        """Returns what the chat template is called with beside the messages, here and on a server."""
        return {"enable_thinking": self.thinking} if self.think_in_template else {}


def messages(
    example: Example, style: PromptStyle, size: Size | None = None, control: ControlTokens = FAMILIES
) -> list[dict[str, Any]]:
    """Returns the chat messages of an Example: the system message where there is one, the earlier turns and then the
    question, as user and assistant in turn. The images are placeholders at the head of the first user's one; ``size``
    is that of the resized image, for boxes in pixels. No text of the Example can be read as one of ``control``."""
    example = control.plain_example(example)
    texts: list[str] = []
    for turn in example.history:
        texts += [turn.question, boxes_text(turn.boxes, style.box_format, size) or turn.answer]
    texts.append(question(example, style, control))
    if example.images:
        texts[0] = style.image_separator + texts[0]
    turns = [
        {"role": "assistant" if i % 2 else "user", "content": [{"type": "text", "text": text}]}
        for i, text in enumerate(texts)
    ]
    turns[0]["content"][:0] = [{"type": "image"} for _ in example.images]
    if style.system:
        turns.insert(0, {"role": "system", "content": [{"type": "text", "text": style.system}]})
    return turns


def earlier(example: Example, box_format: BoxFormat = "unit", size: Size | None = None) -> str:
    """Returns the earlier turns as text for a reader who is not the model; empty where there are none."""
    answers = [boxes_text(turn.boxes, box_format, size) or turn.answer for turn in example.history]
    return "".join(
        f"Earlier question: {turn.question}\nEarlier answer: {answer}\n"
        for turn, answer in zip(example.history, answers, strict=True)
    )


def question(example: Example, style: PromptStyle, control: ControlTokens = FAMILIES) -> str:
    """Returns the user's text: the template with the Example's question and options, and the thinking suffix.

    Options stand after the question where the template has no ``{options}``. Text of the Example that looks like a
    placeholder stays as it is, and a mark of ``control`` in one of its texts too (`ControlTokens.plain_example`); but
    none comes of two texts that stand side by side.
    """
    template = _template(example, style)
    slots = template if "{options}" in template else template.replace("{question}", TEMPLATE)
    parts = _SLOT.split(slots)  # literal text at even places, placeholders between
    pieces = [parts[0]]
    for before, slot, literal in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
        if slot == "{question}":
            pieces.append(example.question)
        else:
            # the template may have brought the white space itself
            options = _options(example, style)
            pieces.append(options if any(pieces) and before == before.rstrip() else options.lstrip())
        pieces.append(literal)
    written = control.joined(pieces)
    if example.task == "grounding" and template == TEMPLATE:
        written += _JSON.get(style.box_format, "")
    return written + (style.think_suffix if style.thinking and not style.think_in_template else "")


def _template(example: Example, style: PromptStyle) -> str:
    if isinstance(style.template, str):
        return style.template
    keys = ("yes_no",) if example.choices and is_yes_no(example.choices) else ()
    return next((style.template[key] for key in (*keys, example.task, "default") if key in style.template), TEMPLATE)


def _options(example: Example, style: PromptStyle) -> str:
    """Returns the options with their letters and what stands before each; empty where none are written."""
    if not _lettered(example, style):
        return ""
    between = _BETWEEN[style.options]
    return "".join(f"{between}{LETTERS[i]}. {choice}" for i, choice in enumerate(example.choices))


def _lettered(example: Example, style: PromptStyle) -> bool:
    """Returns whether the options are shown with letters. Yes and no are not, unless a template for them alone says
    ``{options}``."""
    if not example.choices or style.options == "none":
        return False
    if not is_yes_no(example.choices):
        return True
    return isinstance(style.template, Mapping) and "{options}" in style.template.get("yes_no", "")


def template_fault(template: str | Mapping[str, str]) -> str:
    """Returns what is wrong with a recipe's template, with the mend; empty where nothing is."""
    if isinstance(template, Mapping):
        for key in template:
            if key not in TEMPLATE_KEYS:
                return f"has a template for '{key}'{nearest(key, TEMPLATE_KEYS)}; {', '.join(TEMPLATE_KEYS)} are known"
        named = {f" for '{key}'": text for key, text in template.items()}
    else:
        named = {"": template}
    for where, text in named.items():
        for word in re.findall(r"\{(\w{1,20})\}", text):
            close = get_close_matches(word.lower(), SLOTS, 1, 0.8)
            if close and word not in SLOTS:
                return f"holds {{{word}}}{where}; write {{{close[0]}}}"
        # a report is asked for in the same words each time, which may be the template's
        if "{question}" not in text and where != " for 'report'":
            return f"has no {{question}}{where}; put it where the question is to stand"
    return ""


def target(example: Example, style: PromptStyle, size: Size | None = None) -> str:
    """Returns the completion that supervised training teaches: the trace when thinking is asked for, then the answer.

    Raises:
        ValueError: thinking is asked for and the Example has no trace.
        UserError: the answer format is a function of the user's, which reads answers and writes none.
    """
    if style.answer_format not in ANSWER_FORMATS:
        raise UserError(
            one_line(
                f"key 'prompt.answer_format': {style.answer_format} reads answers and cannot write the ones to teach; "
                f"set it to {', '.join(ANSWER_FORMATS)} for this command"
            )
        )
    text = answer_text(example, style.box_format, size)
    if example.choices and example.task != "classification":  # the letter is taught where it was shown
        letter = f"{LETTERS[example.choices.index(example.reference)]}. "
        text = (letter if _lettered(example, style) else "") + example.reference
    if style.answer_format == "tags":
        text = f"<answer>{text}</answer>"
    elif style.answer_format == "boxed":
        text = f"\\boxed{{{text}}}"
    if not style.thinking:
        return text
    if not example.thinking:
        raise ValueError(f"Example {example.id} has no thinking trace")
    return f"<think>\n{example.thinking}\n</think>\n\n{text}"


def answer_text(example: Example, box_format: BoxFormat, size: Size | None = None) -> str:
    """Returns the reference answer, boxes in the asked notation, without tags and ``\\boxed{}``: what a teacher sees
    and verl's ground truth."""
    if example.task == "grounding":
        return boxes_text(example.boxes, box_format, size) or example.reference or "none"
    if example.task == "classification":
        return example.reference
    if example.choices and not is_yes_no(example.choices):
        return f"{LETTERS[example.choices.index(example.reference)]}. {example.reference}"
    return example.reference


def as_turn(example: Example) -> Turn:
    """Returns an Example as an earlier turn of the conversation that goes on after it."""
    answer = "" if example.boxes else answer_text(example, "unit")
    return Turn(question=question(example, PromptStyle()), answer=answer, boxes=example.boxes)

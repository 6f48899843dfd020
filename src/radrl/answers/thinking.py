"""Where thinking ends and the answer begins. Only what follows the last closing mark is ever scored (RadVLM-GRPO, arXiv
2512.10691).

The form that is taught and asked for is ``<think>...</think>`` and then the answer. Models of others write other marks,
leave the opening one to their chat template, or think though nobody asked.
"""

from __future__ import annotations

import re

from radrl.prompt.messages import PromptStyle

# Qwen2.5-VL-32B puts spaces inside its tags; Kimi-VL, Magistral, Sky-T1, gpt-oss and MedGemma have marks of their own.
_NAMES = r"(?:think|thinking|thoughts?|seed:think)"
_OPENS = re.compile(
    rf"<\s{{0,3}}{_NAMES}\s{{0,3}}>|◁think▷|\[THINK\]|<\|begin_of_thought\|>"
    r"|<\|channel\|>analysis<\|message\|>|<unused94>(?:thought\b)?",
    re.I,
)
_OPENED = re.compile(rf"({_OPENS.pattern})\s{{0,99}}\Z", re.I)
_CLOSES = re.compile(
    rf"<\s{{0,3}}/\s{{0,3}}{_NAMES}\s{{0,3}}>|◁/think▷|\[/THINK\]|<\|end_of_thought\|>"
    r"|<\|channel\|>final<\|message\|>|<unused95>",
    re.I,
)
# What is thinking only where a completion begins with it: further down such words may belong to the answer.
_HEAD = re.compile(r"<(reasoning|reason|analysis|reflection|scratchpad|rationale)>", re.I)
_HEADING = re.compile(r"(#{1,4} ?Thinking\b).{0,50000}?(\n#{1,4} ?Final Response\b:?)", re.I | re.S)  # HuatuoGPT-o1
_END = re.compile(
    r"(?:\s{0,9}(?:<\|(?:im_end|end|endoftext|end_of_text|eot_id|eom_id|return)\|>|</s>|<eos>|<end_of_turn>"
    r"|<｜end▁of▁sentence｜>)){1,9}\s{0,9}\Z"
)


def opened_thinking(prompt: str) -> str:
    """Returns the mark within which a prompt ends, so that the completion goes on with the thinking; empty where it
    does not."""
    match = _OPENED.search(prompt, max(0, len(prompt) - 200))
    return match.group(1) if match else ""


def split_thinking(completion: str, style: PromptStyle) -> tuple[str | None, str, bool]:
    """Returns the thinking of a completion (None where there is none), what follows it, and whether the form is kept.

    The form asked for with ``style.thinking`` is one ``<think>`` at the head and one ``</think>``; where the chat
    template opens the thinking (``style.think_in_template``), one closing mark. Without it, no thinking; an empty
    ``<think></think>``, as Qwen3 writes it when it does not think, is none. A completion that was asked to think, or
    opened thinking, and never closed it has no answer: what follows is empty.
    """
    completion = completion.strip()
    if completion.endswith(">") and (end := _END.search(completion, max(0, len(completion) - 200))):
        completion = completion[: end.start()]
    opened, closes = _marks(completion)
    if not closes:
        if not style.thinking and not opened:
            return None, completion, True
        start, end = opened or (0, 0)
        return (completion[:start] + completion[end:]).strip(), "", False
    (start, end), answer = closes[-1], completion[closes[-1][1] :].strip()
    at_head = opened is not None and opened[0] == 0
    thinking = completion[opened[1] : start] if opened and at_head else _OPENS.sub("", completion[:start], count=1)
    once = len(closes) == 1 and sum(1 for _ in _OPENS.finditer(completion, 0, start)) == at_head
    if not style.thinking:
        empty = once and at_head and not thinking.strip()
        return (None if empty else thinking.strip()), answer, empty
    taught = completion.startswith("<think>") and completion[start:end] == "</think>"
    return thinking.strip(), answer, once and (taught or style.think_in_template)


def _marks(completion: str) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """Returns where thinking is opened, and where it is closed, as start and end of each mark."""
    if heading := _HEADING.match(completion):
        return heading.span(1), [heading.span(2)]
    if head := _HEAD.match(completion):
        closing = re.compile(rf"</{head.group(1)}\s{{0,3}}>", re.I)
        return head.span(), [match.span() for match in closing.finditer(completion)]
    if not any(sign in completion for sign in "<◁["):
        return None, []
    match = _OPENS.search(completion)
    return match and match.span(), [match.span() for match in _CLOSES.finditer(completion)]

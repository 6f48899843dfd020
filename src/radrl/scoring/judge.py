"""An LLM behind an OpenAI-compatible endpoint that judges whether an answer is clinically sound.

Verdicts are kept on disk by a digest of model, prompt and texts, so that a text is judged once in all runs that share
the file; the file holds no text. What is judged was written by a model that is paid for good verdicts: its text stands
between marks it cannot write, and only the judge's reply is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from radrl.errors import UserError
from radrl.example import Answer, Example, Score
from radrl.prompt import instructions
from radrl.prompt.control_tokens import FAMILIES
from radrl.prompt.messages import earlier
from radrl.recipe.endpoints import Judge
from radrl.scoring.registry import scorer
from radrl.support.endpoint import Chat, Refused, run_coroutine, side_by_side
from radrl.support.files import Journal, journal_lines

MOST = 8_000  # characters of the thinking and of the answer that are shown
BINARY = "1 if the answer and its reasoning are clinically sound and agree with the reference, 0 if not"
GRADED = (
    "5 if the answer and its reasoning are clinically sound and agree with the reference, 4 for a slip without "
    "consequence, 3 for partly right, 2 for mostly wrong, 1 for wrong or unsound"
)
_VERDICT = re.compile(r"\bVERDICT\W{0,6}(\d+)\W*$", re.I)


@scorer(
    "judge",
    tasks=("report", "vqa_closed", "vqa_open"),
    kind="judge",
    source="arXiv 2505.13973",
    needs="key `judge` of the recipe",
    cheated="by text that sounds expert, or that speaks to the judge (it stands between marks, and only the judge's "
    "reply is read)",
)
def judge(examples: Sequence[Example], answers: Sequence[Answer], *, judge: Judge | None = None) -> list[Score | None]:
    """Medical semantic alignment, 0 or 1, or graded in 0-1 (arXiv 2505.13973): a judge on thinking and answer.

    None where no verdict could be had for a single text (the endpoint refused it, or no reply held a verdict in
    ``attempts`` tries); that is warned of.

    Raises:
        UserError: no judge is named, the endpoint fails for good, gives no verdict on any text, or the budget is used
            up. Verdicts had until then are kept.
    """
    if judge is None:
        raise UserError(
            "scorer 'judge' needs an endpoint: name one in the recipe under 'judge' (url, model); radrl score takes it "
            "with --recipe"
        )
    text = instructions.read_instruction("judge", Path(judge.prompt) if judge.prompt else None)
    found = _verdicts(judge, [_prompt(e, a, judge.graded, text) for e, a in zip(examples, answers, strict=True)])
    return [None if value is None else Score(value) for value in found]


def _prompt(example: Example, answer: Answer, graded: bool, text: str | None = None) -> str:
    texts = (answer.thinking or "", answer.text)
    mark = hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]
    thinking, said = (_shown(FAMILIES.plain(text)) for text in texts)
    example = FAMILIES.plain_example(example)
    options = "".join(f"- {_shown(choice)}\n" for choice in example.choices)
    return instructions.fill(
        text or instructions.read_instruction("judge"),
        {
            "earlier": _shown(earlier(example)) + "\n" if example.history else "",
            "question": _shown(example.question),
            "options": f"Options:\n{options}" if options else "",
            "reference": _shown(example.reference),
            "mark": mark,
            "thinking": f"Reasoning: {thinking}\n" if thinking else "",
            "answer": said,
            "scale": GRADED if graded else BINARY,
        },
    )


def _shown(text: str) -> str:
    return text[:MOST].encode(errors="replace").decode()


def read_verdict(reply: str, graded: bool) -> float | None:
    """Returns the verdict at the end of a reply, in 0-1, or None where there is none of the scale."""
    match = _VERDICT.search(reply[-400:].rstrip())
    number = int(match.group(1)) if match and len(match.group(1)) == 1 else None
    if graded:
        return (number - 1) / 4 if number in (1, 2, 3, 4, 5) else None
    return float(number) if number in (0, 1) else None


_calls: dict[str, int] = {}  # calls so far to each judge of this process
_kept: dict[Path, dict[str, float]] = {}
_lock = threading.Lock()


def _verdicts(judge: Judge, prompts: Sequence[str]) -> list[float | None]:
    keys = [_key(judge, prompt) for prompt in prompts]
    known = verdicts("judge", judge, dict(zip(keys, prompts, strict=True)), _ask)
    return [known.get(key) for key in keys]


def verdicts(
    scorer: str,
    judge: Judge,
    wanted: Mapping[str, Any],
    ask: Callable[[Chat, Judge, Any], Awaitable[float | None]],
) -> Mapping[str, float]:
    """Returns the verdicts that are known of what is wanted, by key: those that are kept, and those that ``ask`` gets
    of the rest now, side by side. ``scorer`` is who asks; its keys begin with its name, but the judge's own.

    Raises:
        UserError: the endpoint fails for good, gives no verdict on any text, or the budget is used up.
    """
    path = Path(judge.cache) if judge.cache else None
    with _lock:
        if path and path not in _kept:
            _kept[path] = _read_kept(path)
        known = _kept[path] if path else {}
        todo = {key: one for key, one in wanted.items() if key not in known}
        if todo:
            run_coroutine(_ask_all(judge, todo, ask, known, path))
        if todo and len(todo) > 1 and not any(key in known for key in wanted):
            raise UserError(f"{judge.url}: the {scorer} '{judge.model}' gave no verdict on any of {len(todo)} texts")
        if lost := sum(key not in known for key in todo):
            warnings.warn(
                f"the {scorer} gave no verdict on {lost} of {len(todo)} texts; they are not scored", stacklevel=2
            )
    return known


def _key(judge: Judge, prompt: str) -> str:
    asked = [judge.model, judge.temperature, judge.max_tokens, prompt]
    if (GRADED if judge.graded else BINARY) not in prompt:  # a prompt of the user's that does not tell the scale
        asked.append(judge.graded)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


async def _ask_all(
    judge: Judge,
    todo: Mapping[str, Any],
    ask: Callable[[Chat, Judge, Any], Awaitable[float | None]],
    known: dict[str, float],
    path: Path | None,
) -> None:
    waiting = iter(todo.items())
    kept = Journal(path, shared=True) if path else nullcontext()  # other processes append to the file too
    with kept as journal:
        async with Chat(judge) as chat:

            async def work() -> None:
                for key, one in waiting:
                    value = await ask(chat, judge, one)
                    if value is not None:
                        if journal:
                            journal.append(json.dumps({"key": key, "verdict": value}))
                        known[key] = value

            await side_by_side(work, min(judge.concurrency, len(todo)))


async def _ask(chat: Chat, judge: Judge, prompt: str) -> float | None:
    for _ in range(judge.attempts):
        spend(judge)
        try:
            reply = await chat.complete([{"type": "text", "text": prompt}])
        except Refused:
            return None
        value = None if reply.cut else read_verdict(reply.text, judge.graded)
        if value is not None:
            return value
    return None


def spend(judge: Judge) -> None:
    """Counts a call to the judge. Raises UserError where its budget is used up."""
    name = f"{judge.url} {judge.model}"
    if _calls.get(name, 0) >= judge.budget:
        raise UserError(f"{judge.url}: the judge's budget of {judge.budget} calls is used up; raise 'judge.budget'")
    _calls[name] = _calls.get(name, 0) + 1


def _read_kept(path: Path) -> dict[str, float]:
    """Returns the verdicts of a file by key; none where there is no file. Raises UserError where a line is not one."""
    known = {}
    for number, line in journal_lines(path):
        try:
            record = json.loads(line)
            key, value = record["key"], float(record["verdict"])
            other = ":" in key  # another scorer's verdict: its key begins with that scorer's name
            if not (math.isfinite(value) if other else 0 <= value <= 1):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{path}:{number}: not a judge's verdict; remove the line") from None
        known[key] = value
    return known

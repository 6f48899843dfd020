"""CRIMSON and RadMatch through their own packages, with the model that the recipe names under ``judge``.

Prompts, the reading of replies and the arithmetic are the packages'; the requests go to the recipe's endpoint and
nowhere else, count against its budget, and what comes of them is kept in the judge's file. A pair has no score where
the endpoint refuses a request of it or no reply can be read; that is warned of. The packages are run in threads, for
they wait for each reply.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Literal

from radrl.errors import UserError
from radrl.example import Answer, Example, Score
from radrl.prompt.control_tokens import FAMILIES
from radrl.recipe.endpoints import Judge
from radrl.scoring.judge import spend, verdicts
from radrl.scoring.neural.models import readable
from radrl.scoring.packages_of_others import missing_package
from radrl.scoring.registry import scorer
from radrl.support.endpoint import Chat, Refused

Pair = tuple[str, str]  # (reference, answer)
Bundle = Literal["", "abdomen-ct", "brain-mr", "chest-ct", "chest-xr", "head-ct"]  # an unknown one is none to RadMatch
SEED = 42  # of both packages
PATIENCE = 540.0  # seconds for one reply, RadMatch's longest; these replies are long
CRIMSON_TOKENS = 8192  # the package's own
FINDINGS = ("reference_findings", "predicted_findings", "matched_findings")
ERRORS = ("false_findings", "missing_findings", "attribute_errors")


class Unusable(Exception):
    """A reply that was cut off or cannot be read; the message tells nothing of it."""


class Client:
    """The recipe's endpoint as both packages call theirs, from a thread: ``chat.completions.create`` of OpenAI's
    library for CRIMSON, ``complete`` for RadMatch. A request's model and temperature are those of the recipe."""

    def __init__(self, chat: Chat, judge: Judge, max_tokens: int) -> None:
        self._chat, self._judge, self.max_tokens = chat, judge, max_tokens
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(judge.concurrency))
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self.model, self.reasoning = judge.model, "none"
        self.failure: UserError | None = None  # for good: a package may go on after an error

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        response_format: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,
    ) -> str:
        """Returns the reply to messages, without the thinking before it."""
        return asyncio.run_coroutine_threadsafe(self._reply(messages, response_format, max_tokens), self._loop).result()

    def _create(self, *, messages: Sequence[Mapping[str, Any]], response_format: Any, **_: Any) -> Any:
        message = SimpleNamespace(content=self.complete(messages, response_format))
        return SimpleNamespace(choices=[SimpleNamespace(message=message)])

    async def _reply(self, messages: Sequence[Mapping[str, Any]], response_format: Any, max_tokens: int | None) -> str:
        extra = {"max_tokens": min(max_tokens or self.max_tokens, self.max_tokens), "response_format": response_format}
        *earlier, last = messages
        try:
            spend(self._judge)
            reply = await self._chat.complete(
                [{"type": "text", "text": last["content"]}], SEED, [dict(one) for one in earlier], extra
            )
        except UserError as error:
            self.failure = error
            raise
        text = reply.text.rpartition("</think>")[2].strip()
        if reply.cut or not text:
            raise Unusable(f"a reply is empty, or was cut at {extra['max_tokens']} tokens")
        return text


@scorer(
    "crimson",
    tasks=("report",),
    low=-1.0,
    missing=lambda **_: missing_package("crimson", "CRIMSON", "'radrl[crimson]'"),
    kind="judge",
    source="arXiv 2603.06183",
    needs="`pip install 'radrl[crimson]'`; key `judge` of the recipe",
    cheated="by answers that speak to the judge",
)
def crimson(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    judge: Judge | None = None,
    max_tokens: int = CRIMSON_TOKENS,
) -> list[Score | None]:
    """CRIMSON, above -1 to 1 (arXiv 2603.06183): abnormal findings of both reports as a language model lists, weighs
    and matches them; 1 is without error, 0 as good as a normal report. Without the patient's age and indication."""
    judge = _of(judge, "crimson")

    async def ask(chat: Chat, pair: Pair, client: Client) -> float | None:
        for _ in range(judge.attempts):
            try:
                return await asyncio.to_thread(_crimson, client, *pair)
            except Refused:
                return None
            except Unusable:
                continue
        return None

    found = _scored("crimson", "crimson-score", judge, {"max_tokens": max_tokens}, examples, answers, ask)
    return [None if value is None else Score(value) for value in found]


def _crimson(client: Client, reference: str, answer: str) -> float:
    from CRIMSON import CRIMSONScore  # pyright: ignore[reportMissingImports] an extra

    package = object.__new__(CRIMSONScore)  # its own start wants a key of OpenAI's
    package.api, package.model_name, package.client = "openai", client.model, client
    guided = client.model != CRIMSONScore.DEFAULT_HF_MODEL  # as the package: that model was trained without guidelines
    try:
        found = package.evaluate(reference, answer, include_guidelines=guided)
        read, errors = found["raw_evaluation"], found["raw_evaluation"]["errors"]
        whole = [read[key] for key in FINDINGS] + [errors[key] for key in ERRORS]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise Unusable("a reply of CRIMSON cannot be read") from None
    if not all(isinstance(one, list) for one in whole):  # "{}" would be a perfect report
        raise Unusable("a reply of CRIMSON lacks a list")
    return float(found["crimson_score"])


@scorer(
    "radmatch",
    tasks=("report",),
    high=math.inf,
    higher_is_better=False,
    missing=lambda **_: missing_package("radmatch", "radmatch", "'radrl[radmatch]'"),
    kind="judge",
    reads_blank=True,
    source="RadMatch 0.2.2",
    needs="`pip install 'radrl[radmatch]'`; key `judge` of the recipe",
    cheated="by answers that speak to the judge; at least four calls for each answer",
)
def radmatch(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    judge: Judge | None = None,
    fewshot: Bundle = "",
    max_tokens: int = 32768,
) -> list[Score | None]:
    """RadMatch's actionable errors of a report, 0 and up, lower is better: findings above routine significance that are
    missed, invented or materially wrong. ``fewshot`` is one of the package's bundles of examples (``chest-xr``). An
    answer without text misses every finding, and has one error at least."""
    judge = _of(judge, "radmatch")
    extracted: dict[str, asyncio.Task[list[dict] | None]] = {}

    async def findings(client: Client, text: str) -> list[dict] | None:
        if text not in extracted:  # the reference of many answers is read once
            extracted[text] = asyncio.create_task(asyncio.to_thread(_findings, client, text, fewshot))
        return await extracted[text]

    async def ask(chat: Chat, pair: Pair, client: Client) -> float | None:
        reference, answer = [[] if not text.strip() else await findings(client, text) for text in pair]
        if client.failure:
            raise client.failure
        if reference is None or answer is None:
            return None
        try:
            errors = await asyncio.to_thread(_actionable_errors, client, reference, answer, fewshot)
        except (Refused, Unusable, ValueError):
            return None
        return errors if errors is None or pair[1].strip() else max(errors, 1.0)

    settings = {"max_tokens": max_tokens, "fewshot": fewshot}
    found = _scored("radmatch", "radmatch", judge, settings, examples, answers, ask)
    return [None if value is None else Score(value) for value in found]


def _findings(client: Client, text: str, fewshot: str) -> list[dict] | None:
    from radmatch.finding_extraction.inference import _extract_one_report  # pyright: ignore[reportMissingImports]
    from radmatch.llm_utils import prompts  # pyright: ignore[reportMissingImports]

    logging.getLogger("radmatch").setLevel(logging.CRITICAL)  # what it logs may hold words of a report
    file = SimpleNamespace(stem="report", name="report.txt", read_text=lambda **_: text)
    return _extract_one_report(file, client, prompts.extraction_fewshot_messages(fewshot or None)).findings


def _actionable_errors(client: Client, reference: list[dict], answer: list[dict], fewshot: str) -> float | None:
    from radmatch import MatchingContext, ScoringContext, match_findings, score_pair  # pyright: ignore[reportMissingImports]
    from radmatch.scoring.pipeline import build_per_report_summary  # pyright: ignore[reportMissingImports]

    matched = match_findings(answer, reference, "report", MatchingContext(client, fewshot or None))
    if matched["validation_fallback"]:  # the package goes on with what it could read of a wrong reply
        return None
    scored = score_pair(matched, answer, reference, "report", ScoringContext(client, fewshot or None))
    summary = build_per_report_summary(scored["muc_records"], scored["unmatched_pred"], scored["unmatched_gt"])
    return float(summary["actionable_errors_total"])


def _scored(
    name: str,
    package: str,
    judge: Judge,
    settings: Mapping[str, Any],
    examples: Sequence[Example],
    answers: Sequence[Answer],
    ask: Callable[[Chat, Pair, Client], Awaitable[float | None]],
) -> list[float | None]:
    """Returns the value of each pair; None where the reference has no word or the judge gave nothing to be read."""
    version = importlib.metadata.version(package)
    texts = zip((e.reference for e in examples), (a.text for a in answers), strict=True)
    pairs = [(FAMILIES.plain(readable(reference)), FAMILIES.plain(readable(answer))) for reference, answer in texts]
    keys = [_key([name, version, judge.model, judge.temperature, settings, *pair]) for pair in pairs]
    wanted = {key: pair for key, pair in zip(keys, pairs, strict=True) if pair[0].strip()}
    clients: list[Client] = []

    async def one(chat: Chat, judge: Judge, pair: Pair) -> float | None:
        if not clients:
            clients.append(Client(chat, judge, settings["max_tokens"]))
        return await ask(chat, pair, clients[0])

    known = verdicts(name, judge, {f"{name}:{key}": pair for key, pair in wanted.items()}, one)
    return [known.get(f"{name}:{key}") if key in wanted else None for key in keys]


def _key(of: list[Any]) -> str:
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()


def _of(judge: Judge | None, name: str) -> Judge:
    if judge is None:
        raise UserError(f"scorer '{name}' needs an endpoint: name one in the recipe under 'judge' (url, model)")
    return judge.model_copy(update={"timeout": max(judge.timeout, PATIENCE)})

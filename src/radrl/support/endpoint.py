"""One chat completion from a model behind an OpenAI-compatible endpoint.

Errors name the address and a status, never a part of a request or reply: these hold patient data.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import httpx

from radrl.errors import UserError
from radrl.recipe.endpoints import Endpoint

LONGEST_PAUSE = 60.0  # seconds; the doubling stops here
LONGEST_RETRY_AFTER = 600.0  # seconds; a server that asks for more than this is not waited for longer
REFUSALS_IN_A_ROW = 20  # so many requests refused, and none answered: the fault is not in a single request
ONE_REQUEST = (400, 413, 422)  # statuses that may be the fault of one request (too large, a content filter)
NOT_OPENAIS = ("top_k", "min_p", "repetition_penalty", "min_tokens", "chat_template_kwargs")  # fields of vLLM, SGLang


class Reply(NamedTuple):
    """A completion's text, whether it was cut at ``max_tokens``, how many tokens it has where the server tells, and
    whether a content filter took it. Thinking that the server gives apart is put before the text again, in its tags."""

    text: str
    cut: bool
    tokens: int | None = None
    filtered: bool = False


class Refused(Exception):
    """The endpoint refused this one request (a 400, 413 or 422); the message is the status."""


class Chat:
    """A connection to an endpoint; use it as an async context manager, from any number of tasks.

    Raises:
        UserError: when made, if the API key's variable is not set.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        key = _api_key(endpoint)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=endpoint.timeout)
        self._answered = False
        self._refusals = 0

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._client.__aexit__(*exception)

    async def complete(
        self,
        content: list[dict[str, Any]],
        seed: int | None = None,
        earlier: Sequence[dict[str, Any]] = (),
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> Reply:
        """Returns the reply to one user message; repeats, more and more slowly, what may pass.

        ``earlier`` are the messages before it. ``seed`` asks the server to sample the same way each time; not every
        server heeds it. ``extra`` are further fields of the request.

        Raises:
            Refused: this request was refused; others may not be.
            UserError: the endpoint fails for good.
        """
        body = {
            "model": self.endpoint.model,
            "messages": [*earlier, {"role": "user", "content": content}],
            "max_tokens": self.endpoint.max_tokens,
            "temperature": self.endpoint.temperature,
            **extra,
        }
        if seed is not None:
            body["seed"] = seed
        for repeat in range(self.endpoint.retries + 1):
            wanted = 0.0
            try:
                response = await self._client.post(f"{self.endpoint.url}/chat/completions", json=body)
            except httpx.TransportError as error:  # named by its type only: its text may hold parts of the request
                trouble = f"{type(error).__name__} (is the server up, and the address right?)"
            else:
                status = response.status_code
                if status == 200:
                    reply = _parse_reply(response)
                    if reply:
                        self._answered = True
                        return reply
                    trouble = "a reply that is not a chat completion (does the address end in /v1?)"
                elif status in (408, 429) or status >= 500:
                    trouble = f"HTTP {status} (lower 'concurrency', or wait)"
                    wanted = _retry_after(response.headers.get("retry-after"))
                else:
                    self._refuse(status, [name for name in NOT_OPENAIS if name in extra and name in response.text])
            if repeat < self.endpoint.retries:
                pause = min(LONGEST_PAUSE, self.endpoint.backoff * 2 ** min(repeat, 30))
                # jitter, so that tasks turned away together do not come back together; it decides no result
                await asyncio.sleep(max(wanted, pause * random.uniform(0.5, 1.0)))
        raise self._failure(f"{trouble}, {self.endpoint.retries + 1} times")

    def _refuse(self, status: int, fields: Sequence[str]) -> None:
        """Raises the error for a refusal; ``fields`` are those of the request that the refusal names."""
        self._refusals += 1
        if fields and status in ONE_REQUEST and not self._answered:
            raise self._failure(
                f"HTTP {status} and names {', '.join(fields)} (set 'sampling: openai' at this endpoint where it takes "
                "OpenAI's fields only)"
            )
        if status in ONE_REQUEST and (self._answered or self._refusals < REFUSALS_IN_A_ROW):
            raise Refused(f"the endpoint refused the request (HTTP {status})")
        fix = f"check the address and the model name '{self.endpoint.model}'"
        if status in (401, 403):
            name = self.endpoint.api_key_env
            fix = f"check the key in {name}" if name else "name the key's variable in 'api_key_env'"
        raise self._failure(f"HTTP {status} ({fix})")

    def _failure(self, trouble: str) -> UserError:
        return UserError(f"{self.endpoint.url}: the endpoint gave {trouble}; fix it and run again to go on from here")


def _api_key(endpoint: Endpoint) -> str | None:
    if endpoint.api_key_env is None:
        return None
    key = os.environ.get(endpoint.api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        state = "holds characters that no key has" if key else "is not set"
        raise UserError(f"environment variable {endpoint.api_key_env} {state}; put the key for {endpoint.url} there")
    return key


def _parse_reply(response: httpx.Response) -> Reply | None:
    """Returns the reply of a chat completion; None where the response is none."""
    try:
        body = response.json()
        choice = body["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text = message["content"] if isinstance(message["content"], str) else ""
        thinking = message.get("reasoning_content") or message.get("reasoning")  # vLLM's names, old and new
        if isinstance(thinking, str) and "</think>" not in text:
            text = f"<think>{thinking}</think>\n{text}" if finish != "length" or text else f"<think>{thinking}"
        usage = body.get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        known = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0
        # JSON can spell half a surrogate pair, which no tokenizer or file takes
        text = text.encode(errors="replace").decode()
        return Reply(text, finish == "length", tokens if known else None, finish == "content_filter")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _retry_after(value: str | None) -> float:
    """Returns the seconds a Retry-After header asks for, in either of its two forms; 0 where there is none."""
    try:
        seconds = float(value or 0)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(seconds, LONGEST_RETRY_AFTER) if seconds > 0 else 0.0


async def side_by_side(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Runs ``work()`` ``count`` times at once; when one fails, the others are ended and its error is raised."""
    workers = [asyncio.create_task(work()) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def run_coroutine(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end, in a thread of its own where this one runs a loop already (TRL, notebooks)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    failure: list[BaseException] = []

    def inside() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]

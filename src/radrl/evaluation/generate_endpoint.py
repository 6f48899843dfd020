"""Completions of a model behind an OpenAI-compatible endpoint: many requests side by side, repeated where they fail.

The pictures travel as data URLs, resized by the image processor of the recipe's model, so that a server of the same
model sees the pixels it was trained on. What leaves this machine is the pixels and the question; never an id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from radrl.data.examples import ExampleSet
from radrl.endpoint import Chat, Endpoint, Refused, run, side_by_side
from radrl.errors import UserError
from radrl.evaluation.decoding import Ask, Decoding, Done, Said, case_seed
from radrl.images import data_url
from radrl.prompt import PromptStyle, messages
from radrl.training.processor import resized


def generate(
    endpoint: Endpoint,
    image_processor: Any,
    examples: ExampleSet,
    style: PromptStyle,
    decoding: Decoding,
    todo: Sequence[Ask],
    done: Done,
) -> None:
    """Answers ``todo``, each once, in the order in which replies come; the endpoint's own temperature and length are
    not used.

    Raises:
        UserError: the endpoint fails for good, or refused some requests (an answer is never made up for them). Answers
            had until then were handed to ``done``.
    """
    asked = endpoint.model_copy(update={"temperature": decoding.temperature, "max_tokens": decoding.max_new_tokens})
    refused: list[tuple[str, str]] = []
    # vLLM and SGLang hand these to the chat template
    extra = {"chat_template_kwargs": style.chat_template_kwargs} if style.chat_template_kwargs else {}

    async def all_of_them() -> None:
        waiting = iter(todo)

        async def work() -> None:
            for i, sample in waiting:
                urls = await asyncio.to_thread(_pictures, examples, i, image_processor)
                turns = _with_pictures(messages(examples[i], style), urls)
                seed = case_seed(decoding.seed, examples[i].id, sample) if decoding.temperature > 0 else None
                try:
                    reply = await chat.complete(turns[-1]["content"], seed, turns[:-1], extra)
                except Refused as refusal:
                    refused.append((examples[i].id, str(refusal)))
                    continue
                if reply.filtered:
                    refused.append((examples[i].id, "the endpoint's content filter took the answer"))
                    continue
                done([Said(i, sample, reply.text, reply.tokens)])

        async with Chat(asked) as chat:
            await side_by_side(work, min(asked.concurrency, len(todo)))

    run(all_of_them())
    if refused:
        name, why = refused[0]
        raise UserError(
            f"{endpoint.url}: {len(refused)} of {len(todo)} requests have no answer, '{name}' first ({why}); "
            "the others are kept. Run again to ask once more, or take these cases out of the manifest"
        )


def _pictures(examples: ExampleSet, i: int, image_processor: Any) -> list[str]:
    return [data_url(resized(image_processor, picture)) for picture in examples.pictures(i)]


def _with_pictures(turns: list[dict[str, Any]], urls: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the messages with the pictures in the places that are kept for them."""
    left = iter(urls)
    return [
        {
            **turn,
            "content": [
                {"type": "image_url", "image_url": {"url": next(left)}} if part["type"] == "image" else part
                for part in turn["content"]
            ],
        }
        for turn in turns
    ]

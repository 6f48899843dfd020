"""Completions of a model behind an OpenAI-compatible endpoint: many requests side by side, repeated where they fail.

The pictures travel as data URIs, resized by the image processor of the recipe's model, so that a server of the same
model sees the pixels it was trained on. What leaves this machine is the pixels and the question; never an id.

A server fills in what a request leaves open from its model's ``generation_config.json``: vLLM does so unless it was
begun with ``--generation-config vllm``. So a request says every setting, the neutral ones too, by vLLM's names for
them, which SGLang has as well. Where an endpoint refuses those, ``sampling: openai`` leaves them out, and the Header
says that they are the server's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from radrl.errors import UserError, nearest
from radrl.evaluation.answers import model_settings
from radrl.evaluation.answers.asked_examples import AskedExamples
from radrl.evaluation.answers.backend import Ask, Completion, Done
from radrl.evaluation.answers.decoding import SERVERS, Decoding, case_seed
from radrl.evaluation.answers.digests import json_digest, manifest_digest
from radrl.evaluation.answers.header import Header
from radrl.evaluation.answers.sources import ENDPOINT, Source
from radrl.images.pixels import data_uri
from radrl.images.sizes import box_size, image_resizing
from radrl.models import loading
from radrl.models.processor import resized
from radrl.models.tiny import image_processor as tiny_image_processor
from radrl.prompt.messages import PromptStyle, messages
from radrl.recipe.endpoints import Endpoint, JudgedEndpoint
from radrl.recipe.schema import Recipe
from radrl.recipe.sections import Evaluation
from radrl.support.endpoint import Chat, Refused, run_coroutine, side_by_side
from radrl.support.versions import installed_versions

# our name, the field of the request, and what is said there where the setting is neutral; only top_p is OpenAI's too
FIELDS = (
    ("top_p", "top_p", 1.0),
    ("top_k", "top_k", -1),  # vLLM takes 0 too, SGLang does not
    ("repetition_penalty", "repetition_penalty", 1.0),
    ("min_new_tokens", "min_tokens", 0),
)


class EndpointBackend:
    """A model behind an endpoint that the recipe names. See `backend.Backend`."""

    def __init__(self, recipe: Recipe, source: Source, examples: AskedExamples) -> None:
        wanted, name = recipe.evaluation, source.start.removeprefix(ENDPOINT)
        if name not in wanted.endpoints:
            raise UserError(
                f"{source.option}: no endpoint '{name}'{nearest(name, wanted.endpoints)}; "
                f"name it in {recipe.file} under 'evaluation.endpoints' (url, model)"
            )
        where = f"{recipe.file}: endpoint '{name}'"
        self.examples, self.endpoint = examples, wanted.endpoints[name]
        self.style = model_settings.prompt_style(recipe, source.known_as, source.thinking)
        self.decoding, _ = model_settings.decoding_settings(recipe, self.style.thinking, where=where)
        self.fields = request_fields(wanted, self.endpoint, self.decoding, where)
        self.image_processor = _image_processor(recipe, source)
        self.header = Header(
            model=source.name,
            source=f"{self.endpoint.url} {self.endpoint.model}",
            backend="endpoint",
            prompt=asdict(self.style),
            decoding=endpoint_decoding_facts(wanted, self.decoding, self.fields),
            images=image_resizing(self.image_processor),
            versions=installed_versions(("radrl", "transformers")),
            # not the address: a server that was begun again has another port
            hashes={"manifest": manifest_digest(examples), "model": json_digest(self.endpoint.model)},
        )

    def answer(self, asks: Sequence[Ask], done: Done) -> None:
        generate(
            self.endpoint,
            self.image_processor,
            self.examples,
            self.style,
            self.decoding,
            asks,
            done,
            fields=self.fields,
        )


def _image_processor(recipe: Recipe, source: Source) -> Any:
    """Returns the image processor of the model the recipe trains: an endpoint gets pictures of that size, or of the
    bounds that ``evaluation.models`` gives the endpoint's model."""
    start = recipe.model_start()
    if start != "tiny":
        return loading.load_processor(start, **model_settings.pixel_bounds(recipe, source.known_as)).image_processor
    own = model_settings.model_options(recipe, source.known_as)
    processor = tiny_image_processor(recipe.model.image_size or 192)
    loading.set_bounds(processor, min_pixels=own.min_pixels, max_pixels=own.max_pixels)
    return processor


def request_fields(wanted: Evaluation, endpoint: JudgedEndpoint, decoding: Decoding, where: str) -> dict[str, Any]:
    """Returns the fields of every request beside the model, the messages, temperature, length and seed.

    Raises:
        UserError: the recipe sets one that the endpoint is said not to take.
    """
    guarded = endpoint.sampling == "vllm" and wanted.generation_config == "recipe"
    sent: dict[str, Any] = {}
    for name, field, neutral in FIELDS:
        value = getattr(decoding, name)
        if value == getattr(Decoding(), name):
            said = name in wanted.model_fields_set and (endpoint.sampling == "vllm" or name == "top_p")
            if (guarded or said) and name != "min_new_tokens":  # which no server has of its own
                sent[field] = neutral
        elif endpoint.sampling == "openai" and name != "top_p":
            raise UserError(
                f"{where}: 'sampling: openai' has no {field}; leave 'evaluation.{name}' out, or set 'sampling: vllm'"
            )
        else:
            sent[field] = value
    if guarded and decoding.temperature > 0:
        sent["min_p"] = 0.0
    if decoding.stop:
        sent["stop"] = list(decoding.stop)
    return sent


def endpoint_decoding_facts(wanted: Evaluation, decoding: Decoding, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings in force, for the Header; those that no request says are the server's own."""
    told = {**model_settings.decoding_facts(decoding), "generation_config": wanted.generation_config}
    for name, field, _ in FIELDS[:3]:
        if field not in sent:
            told[name] = SERVERS
    return told


def generate(
    endpoint: Endpoint,
    image_processor: Any,
    examples: AskedExamples,
    style: PromptStyle,
    decoding: Decoding,
    todo: Sequence[Ask],
    done: Done,
    *,
    fields: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Answers ``todo``, each once, in the order in which replies come; the endpoint's own temperature and length are
    not used. ``fields`` stand in every request.

    Raises:
        UserError: the endpoint fails for good, or refused some requests (an answer is never made up for them). Answers
            had until then were handed to ``done``.
    """
    asked = endpoint.model_copy(update={"temperature": decoding.temperature, "max_tokens": decoding.max_new_tokens})
    refused: list[tuple[str, str]] = []
    # vLLM and SGLang hand these to the chat template
    template = {"chat_template_kwargs": style.chat_template_kwargs} if style.chat_template_kwargs else {}
    extra = {**fields, **template}
    images = image_resizing(image_processor) if style.box_format == "pixel" else {}

    async def all_of_them() -> None:
        waiting = iter(todo)

        async def work() -> None:
            for i, sample in waiting:
                urls = await asyncio.to_thread(_pictures, examples, i, image_processor)
                turns = _with_pictures(messages(examples[i], style, box_size(examples, i, style, images)), urls)
                seed = case_seed(decoding.seed, examples[i].id, sample) if decoding.temperature > 0 else None
                try:
                    reply = await chat.complete(turns[-1]["content"], seed, turns[:-1], extra)
                except Refused as refusal:
                    refused.append((examples[i].id, str(refusal)))
                    continue
                if reply.filtered:
                    refused.append((examples[i].id, "the endpoint's content filter took the answer"))
                    continue
                done([Completion(i, sample, reply.text, reply.tokens)])

        async with Chat(asked) as chat:
            await side_by_side(work, min(asked.concurrency, len(todo)))

    run_coroutine(all_of_them())
    if refused:
        name, why = refused[0]
        raise UserError(
            f"{endpoint.url}: {len(refused)} of {len(todo)} requests have no answer, '{name}' first ({why}); "
            "the others are kept. Run again to ask once more, or take these cases out of the manifest"
        )


def _pictures(examples: AskedExamples, i: int, image_processor: Any) -> list[str]:
    return [data_uri(resized(image_processor, picture)) for picture in examples.pictures(i)]


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

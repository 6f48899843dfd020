"""What every model says, collected in files that survive a stop: finished cases are never asked again."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from radrl.errors import UserError, nearest
from radrl.evaluation.answers import foreign, judged
from radrl.evaluation.answers import predictions as store
from radrl.evaluation.answers.decoding import Ask, Done, Said
from radrl.evaluation.answers.header import Header, begin, digest, manifest_hash, read_header
from radrl.evaluation.answers.predictions import Prediction
from radrl.images.sizes import box_size, image_facts
from radrl.manifest.example_set import ExampleSet
from radrl.models.adapters import base_of
from radrl.prompt.messages import PromptStyle
from radrl.recipe.schema import Recipe
from radrl.support.progress import progress_bar

Backend = tuple[Header, Callable[[Sequence[Ask], Done], None]]  # what a model will say, and what asks it
ENDPOINT = "endpoint:"
BLOCKS, BLOCK = 64, 65_536  # of each weight file so many pieces go into its digest: all of it may be 16 GB


class Source(NamedTuple):
    """A model to judge: its name in the tables, where its answers come from, and whether it is asked to think.

    ``start`` is a model folder, a hub id, ``endpoint:NAME`` (of the recipe's ``evaluation.endpoints``), or a file of
    predictions. ``model`` is its name in ``evaluation.models`` where that is another, as for a training seed.
    """

    name: str
    start: str
    thinking: bool = False
    model: str = ""

    @property
    def known_as(self) -> str:
        """The name under which the recipe's ``evaluation.models`` has it."""
        return self.model or self.name


class Shard(NamedTuple):
    """Part ``k`` of ``n``, counted from 1: every n-th Example."""

    k: int
    n: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """Returns what ``2/4`` says. Raises UserError."""
        first, slash, second = text.partition("/")
        if not (slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
            raise UserError(f"--shard {text}: write K/N, such as 1/4")
        found = cls(int(first), int(second))
        if not 1 <= found.k <= found.n:
            raise UserError(f"--shard {text}: the first number goes from 1 to the second")
        return found


class Collected(NamedTuple):
    """All that one model said: a list of Predictions a sample, each in the Examples' order, and their Header."""

    header: Header
    samples: list[list[Prediction]]


def collect(
    recipe: Recipe,
    source: Source,
    examples: ExampleSet,
    folder: Path,
    *,
    control: str | None = None,
    shard: Shard | None = None,
) -> Collected | None:
    """Returns what a model says to the Examples, asking for what is not yet in ``folder``; None for one shard.

    Several processes may each take a shard; the call without one takes up what they have finished, asks for the rest
    and leaves one file in the manifest's order. ``control`` names a changed set of Examples (blank images, say).

    Raises:
        UserError: predictions there were made with other settings; a file of predictions lacks cases, has one twice or
            has unknown ones; a backend fails for good.
    """
    path = folder / f"{store.file_name(source.name + (f' ~ {control}' if control else ''))}.jsonl"
    if is_file(source.start):
        return _from_file(recipe, source, examples, path)
    header, answer = _backend(recipe, source, examples, control)
    name = f"{source.name} ({control})" if control else source.name
    mine = path if shard is None else path.with_name(f"{path.stem}.shard-{shard.k}-of-{shard.n}.jsonl")
    begin(mine, header)
    with store.writer(mine) as append:
        parts = [mine, *(p for p in _parts(path) if p != mine)]
        for part in parts[1:]:
            begin(part, header)
            if shard is None:
                with store.writer(part):  # refused while another process writes it
                    pass
        there = {(one.id, one.sample) for part in parts for one in store.read(part, mend=True)}
        rows = range(len(examples)) if shard is None else range(shard.k - 1, len(examples), shard.n)
        asks = [(i, sample) for i in rows for sample in range(header.samples)]
        todo = [(i, sample) for i, sample in asks if (examples[i].id, sample) not in there]
        if todo:
            settings = header.settings
            with progress_bar() as bar:
                task = bar.add_task(f"Evaluate {name}", total=len(asks), completed=len(asks) - len(todo), note="")

                def done(said: Sequence[Said]) -> None:
                    append(Prediction(examples[s.index].id, s.sample, s.text, s.tokens, settings) for s in said)
                    bar.advance(task, len(said))

                answer(todo, done)
    if shard is not None:
        return None
    samples = store.arrange(
        chain.from_iterable(store.read(part, mend=True) for part in parts), examples, header.samples, path
    )
    if todo or len(parts) > 1:
        store.write(path, samples)
        for part in parts[1:]:
            part.unlink()
            part.with_suffix(".json").unlink(missing_ok=True)
    return Collected(header, samples)


def is_file(start: str) -> bool:
    """Returns whether a model is given as a file of predictions."""
    return not start.startswith(ENDPOINT) and (Path(start).is_file() or Path(start).suffix in foreign.READERS)


def _parts(path: Path) -> list[Path]:
    return [p for p in [path, *sorted(path.parent.glob(f"{path.stem}.shard-*-of-*.jsonl"))] if p.is_file()]


def _from_file(recipe: Recipe, source: Source, examples: ExampleSet, path: Path) -> Collected:
    file, name = Path(source.start), source.known_as
    header, rows = foreign.read(file, examples, judged.style_of(recipe, name, source.thinking))
    if header.backend == "file":
        header = replace(header, images={**header.images, **judged.file_images(recipe, name)})
    else:
        judged.check_style(recipe, name, header, file)
    header = replace(header, model=source.name, hashes={**header.hashes, "manifest": manifest_hash(examples)})
    samples = store.arrange(rows, examples, header.samples, file)
    settings = header.settings
    samples = [[one._replace(settings=settings) for one in row] for row in samples]
    beside = path.with_suffix(".json")
    if beside.is_file() and read_header(beside).backend != "file":
        begin(path, header)  # answers that a model was asked for are not overwritten by others
    if not (path.is_file() and path.samefile(file)):
        store.write(path, samples)
        header.save(beside)
    return Collected(header, samples)


def _backend(recipe: Recipe, source: Source, examples: ExampleSet, control: str | None) -> Backend:
    """Returns the Header of what a model will say, and the function that asks it; no weights are loaded yet."""
    style = judged.style_of(recipe, source.known_as, source.thinking)
    hashes = {"manifest": manifest_hash(examples)}
    begun = Header(model=source.name, source="", backend="", prompt=asdict(style), decoding={}, hashes=hashes)
    if source.start.startswith(ENDPOINT):
        header, answer = _behind_endpoint(recipe, source, examples, style, begun)
    else:
        header, answer = _folder(recipe, source, examples, style, begun)
    return replace(header, images={**header.images, **({"control": control} if control else {})}), answer


def _behind_endpoint(
    recipe: Recipe, source: Source, examples: ExampleSet, style: PromptStyle, begun: Header
) -> Backend:
    from radrl.evaluation.answers import endpoint_backend  # late, with all that needs torch

    known = source.start.removeprefix(ENDPOINT)
    endpoints = recipe.evaluation.endpoints
    if known not in endpoints:
        raise UserError(
            f"--model {source.name}={source.start}: no endpoint '{known}'{nearest(known, endpoints)}; "
            f"name it in {recipe.file} under 'evaluation.endpoints' (url, model)"
        )
    endpoint = endpoints[known]
    where = f"{recipe.file}: endpoint '{known}'"
    decoding, _ = judged.decoding_of(recipe, style.thinking, where=where)
    fields = endpoint_backend.fields(recipe.evaluation, endpoint, decoding, where)
    image_processor = _image_processor(recipe, source)
    header = replace(
        begun,
        source=f"{endpoint.url} {endpoint.model}",
        backend="endpoint",
        decoding=endpoint_backend.facts(recipe.evaluation, decoding, fields),
        images=image_facts(image_processor),
        versions=versions(("radrl", "transformers")),
        # not the address: a server that was begun again has another port
        hashes={**begun.hashes, "model": digest(endpoint.model)},
    )

    def answer(todo: Sequence[Ask], done: Done) -> None:
        endpoint_backend.generate(endpoint, image_processor, examples, style, decoding, todo, done, fields=fields)

    return header, answer


def _folder(recipe: Recipe, source: Source, examples: ExampleSet, style: PromptStyle, begun: Header) -> Backend:
    import torch  # late, with all that needs it: to read files of predictions takes a second and little memory without

    from radrl.evaluation.answers import transformers_backend, vllm_backend
    from radrl.models import loading as loading
    from radrl.models.inputs import prompt_text

    start, wanted, dtype = source.start, recipe.evaluation, recipe.model.dtype
    bounds = judged.bounds_of(recipe, source.known_as)
    processor = loading.load_processor(start, **bounds)
    own = loading.own_generation_config(start)
    taken_from = own if wanted.generation_config == "model" else None
    decoding, taken = judged.decoding_of(recipe, style.thinking, taken_from, f"--model {source.name}={start}")
    if wanted.backend == "vllm":
        vllm_backend.check(start, decoding, f"--model {source.name}={start}")
    images = image_facts(processor.image_processor)
    if style.box_format == "pixel" and "factor" not in images:
        raise UserError(
            f"--model {source.name}={start}: boxes in pixels are of an image that Qwen-VL's processor resizes; this "
            f"model has {images['resized_by']}; set another 'box_format', or judge a file of its predictions"
        )
    header = replace(
        begun,
        source=start,
        backend=wanted.backend,
        decoding={
            **judged.facts_of(decoding),
            "generation_config": wanted.generation_config,
            **({"taken": taken} if wanted.generation_config == "model" else {}),
            "end_tokens": loading.end_tokens(own, processor.tokenizer),
            "dtype": dtype,
        },
        images=images,
        versions=versions(("radrl", "torch", "transformers", *(["vllm"] if wanted.backend == "vllm" else []))),
        hashes={**begun.hashes, "model": model_hash(start)},
    )

    def answer(todo: Sequence[Ask], done: Done) -> None:
        i = todo[0][0]  # a chat template that does otherwise is named before weights are loaded
        prompt_text(processor, examples[i], style, box_size(examples, i, style, images))
        if wanted.backend == "vllm":
            given = {"dtype": dtype, "options": wanted.vllm, "ends": loading.end_tokens(own, processor.tokenizer)}
            given["bounds"] = {name: bound for name, bound in bounds.items() if bound is not None}
            vllm_backend.generate(start, processor, examples, style, decoding, todo, done, **given)
            return
        model, _ = loading.load(start, dtype=dtype, **bounds)
        if torch.cuda.is_available():
            model.to("cuda")
        transformers_backend.generate(model, processor, examples, style, decoding, todo, done)

    return header, answer


def _image_processor(recipe: Recipe, source: Source) -> Any:
    """Returns the image processor of the model the recipe trains: an endpoint gets pictures of that size, or of the
    bounds that ``evaluation.models`` gives the endpoint's model."""
    from radrl.models import loading as loading

    start = recipe.model_start()
    if start == "tiny":
        from radrl.models.tiny import image_processor

        own, found = judged.options(recipe, source.known_as), image_processor(recipe.model.image_size or 192)
        loading.set_bounds(found, min_pixels=own.min_pixels, max_pixels=own.max_pixels)
        return found
    return loading.load_processor(start, **judged.bounds_of(recipe, source.known_as)).image_processor


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Returns Python's version and those of installed packages."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def model_hash(start: str) -> str:
    """Returns a digest of a model's files that tells two trainings of one architecture apart: the small files, and of
    each weight file its size, its beginning and 64 pieces spread over it. A hub id stands for itself."""
    folder = Path(start)
    if not folder.is_dir():
        return start
    found = hashlib.sha256()
    wanted = (".safetensors", ".json", ".jinja", ".txt", ".model")
    for file in sorted(p for p in folder.iterdir() if p.suffix in wanted):
        size = file.stat().st_size
        found.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as content:
            if size <= BLOCKS * BLOCK:
                found.update(content.read())
                continue
            for k in range(BLOCKS):
                content.seek((size - BLOCK) * k // (BLOCKS - 1), os.SEEK_SET)
                found.update(content.read(BLOCK))
    if base := base_of(start):  # of an adapter: what it is merged into
        found.update(model_hash(base).encode())
    return found.hexdigest()[:16]

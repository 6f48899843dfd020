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

from radrl.data.examples import ExampleSet
from radrl.errors import UserError, nearest
from radrl.evaluation import foreign
from radrl.evaluation import predictions as store
from radrl.evaluation.decoding import Ask, Decoding, Done, Said
from radrl.evaluation.header import Header, begin, digest, manifest_hash, read_header
from radrl.evaluation.predictions import Prediction
from radrl.progress import progress_bar
from radrl.prompt import PromptStyle
from radrl.recipe import Recipe

ENDPOINT = "endpoint:"
BLOCKS, BLOCK = 64, 65_536  # of each weight file so many pieces go into its digest: all of it may be 16 GB


class Source(NamedTuple):
    """A model to judge: its name in the tables, where its answers come from, and whether it is asked to think.

    ``start`` is a model folder, a hub id, ``endpoint:NAME`` (of the recipe's ``evaluation.endpoints``), or a file of
    predictions.
    """

    name: str
    start: str
    thinking: bool = False


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
        return _from_file(source, recipe.style(source.thinking), examples, path)
    header, answer = _backend(recipe, source, examples, control)
    name = f"{source.name} ({control})" if control else source.name
    mine = path if shard is None else path.with_name(f"{path.stem}.shard-{shard.k}-of-{shard.n}.jsonl")
    begin(mine, header)
    with store.writer(mine) as append:
        parts = [mine, *(p for p in _parts(path) if p != mine)]
        for part in parts[1:]:
            begin(part, header)
            if shard is None and store.is_written(part):
                raise UserError(f"{part}: another process is writing it; wait for it")
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


def _from_file(source: Source, style: PromptStyle, examples: ExampleSet, path: Path) -> Collected:
    file = Path(source.start)
    header, rows = foreign.read(file, examples, style)
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


def _backend(
    recipe: Recipe, source: Source, examples: ExampleSet, control: str | None
) -> tuple[Header, Callable[[Sequence[Ask], Done], None]]:
    """Returns the Header of what a model will say, and the function that asks it; no weights are loaded yet."""
    import torch  # late, with all that needs it: to read files of predictions takes a second and little memory without

    from radrl.evaluation import generate, generate_endpoint, generate_vllm
    from radrl.training import models as loading

    wanted, settings = recipe.evaluation, recipe.model
    longest = wanted.thinking_max_new_tokens if source.thinking else None
    decoding = Decoding(
        wanted.temperature, longest or wanted.max_new_tokens, wanted.samples, recipe.seed, wanted.batch_size
    )
    style = recipe.style(source.thinking)
    bounds = {"min_pixels": settings.min_pixels, "max_pixels": settings.max_pixels}
    hashes = {"manifest": manifest_hash(examples)}
    if source.start.startswith(ENDPOINT):
        known = source.start.removeprefix(ENDPOINT)
        if known not in wanted.endpoints:
            raise UserError(
                f"--model {source.name}={source.start}: no endpoint '{known}'{nearest(known, wanted.endpoints)}; "
                f"name it in {recipe.file} under 'evaluation.endpoints' (url, model)"
            )
        endpoint = wanted.endpoints[known]
        image_processor = _image_processor(recipe)
        called, backend, packages = f"{endpoint.url} {endpoint.model}", "endpoint", ("radrl", "transformers")
        hashes["model"] = digest(endpoint.model)  # not the address: a server that was begun again has another port

        def answer(todo: Sequence[Ask], done: Done) -> None:
            generate_endpoint.generate(endpoint, image_processor, examples, style, decoding, todo, done)

    else:
        processor = loading.load_processor(source.start, **bounds)
        image_processor = processor.image_processor
        called, backend, packages = source.start, wanted.backend, ("radrl", "torch", "transformers")
        hashes["model"] = model_hash(source.start)
        if backend == "vllm":
            packages += ("vllm",)

        def answer(todo: Sequence[Ask], done: Done) -> None:
            if backend == "vllm":
                options = {"dtype": settings.dtype, "options": wanted.vllm}
                generate_vllm.generate(source.start, processor, examples, style, decoding, todo, done, **options)
                return
            model, _ = loading.load(source.start, dtype=settings.dtype, **bounds)
            if torch.cuda.is_available():
                model.to("cuda")
            generate.generate(model, processor, examples, style, decoding, todo, done)

    told = decoding._asdict()
    del told["batch_size"]  # a sampled completion does not depend on it, a greedy one but for rounding
    if not decoding.temperature:
        told["seed"] = None
    if backend != "endpoint":
        told["dtype"] = settings.dtype
    size = image_processor.size
    header = Header(
        model=source.name,
        source=called,
        backend=backend,
        prompt=asdict(style),
        decoding=told,
        images={
            "resized_by": type(image_processor).__name__,
            "min_pixels": size["shortest_edge"],
            "max_pixels": size["longest_edge"],
            **({"control": control} if control else {}),
        },
        versions=versions(packages),
        hashes=hashes,
    )
    return header, answer


def _image_processor(recipe: Recipe) -> Any:
    """Returns the image processor of the model the recipe trains: an endpoint gets pictures of that size."""
    from radrl.training import models as loading

    start, settings = recipe.model_start(), recipe.model
    if start == "tiny":
        from radrl.training.tiny import image_processor

        return image_processor(settings.image_size or 192)
    bounds = {"min_pixels": settings.min_pixels, "max_pixels": settings.max_pixels}
    return loading.load_processor(start, **bounds).image_processor


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
    return found.hexdigest()[:16]

"""From a published data set to manifests: ``radrl data prepare``.

Records stream from the reader through worker processes, which copy images and write Examples as text, back into one
file a split, in the reader's order (writing.py). Memory does not grow with the data set.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from radrl.data.published.asking import Asking, OutsideFilm, examples_of, why_none
from radrl.data.published.copies import copy, copy_name
from radrl.data.published.parquet import is_there
from radrl.data.published.readers import reader as reader_of
from radrl.data.published.record import Reader, Record, Skipped, chosen_options
from radrl.data.published.safe_files import is_plain
from radrl.data.published.sizes import FILM, OUTSIDE, Size, WrongSize, cut_at_edge, frame_of, read_annotated
from radrl.data.published.unfinished import Manifests, Summary, Text, state_of
from radrl.errors import UserError, one_line
from radrl.example import Example
from radrl.images.copies import RADVLM_PIXELS
from radrl.images.files import image_size
from radrl.manifest.independence import independence_unit
from radrl.support.files import no_space
from radrl.support.hashing import stable_hash
from radrl.support.machine import cores

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
CHUNK = 256  # records
VERSION = 2  # raise it when the same files give other manifests


@dataclass(frozen=True)
class Settings:
    """What decides the manifests, besides the files.

    ``images``: copy them (at most ``max_pixels``, or ``max_side`` a side), or leave them where they are: the manifests
    then name the published paths, and a recipe names the root as ``images``. ``shares`` are of the patients of records
    whose split is not published. ``skip_bad``: broken records are listed and left out instead of stopping.
    ``annotated_size`` says what boxes are measured in where the data set does not: a CSV of sizes, or ``film``.
    """

    asking: Asking
    options: Mapping[str, str] = field(default_factory=dict)
    images: bool = True
    max_pixels: int = RADVLM_PIXELS
    max_side: int | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    skip_bad: bool = False
    annotated_size: str = ""


def prepare(
    name: str,
    root: Path,
    out: Path,
    settings: Settings,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Writes ``out/SPLIT.jsonl``, ``out/skipped.jsonl`` and the images; returns what it did.

    A finished folder of the same settings is kept as it is; an unfinished one is gone on with. ``progress`` is called
    with the number of records done.

    Raises:
        UserError: wrong options, files that are not the data set, a broken record (unless they are skipped), ids that
            are not unique, or a folder that holds something else. What was written before stays, to go on from.
    """
    reader = reader_of(name)
    settings = replace(settings, options=chosen_options(reader, settings.options))
    if settings.annotated_size not in ("", FILM):
        settings = replace(settings, annotated_size=os.path.abspath(settings.annotated_size))
        read_annotated(settings.annotated_size)  # what is wrong with it is said at once
    root, out = Path(os.path.abspath(root)), Path(os.path.abspath(out))
    if not root.is_dir():
        raise UserError(f"--root {root}: no such folder; it should hold the files of {reader.title}")
    made_of = json.loads(json.dumps({"version": VERSION, "name": reader.name, "root": str(root), **asdict(settings)}))
    if reader.origin:  # a reader that has changed since makes another set
        made_of["reader"] = reader.origin
    del made_of["skip_bad"]  # what stopped at a broken record goes on from there when told to skip it
    if not settings.asking.wordings:  # folders from before there was a choice go on
        del made_of["asking"]["wordings"]
    state = state_of(out, made_of)
    if state.get("done"):
        return Summary(**state["summary"])
    try:
        with Manifests(out, made_of, state) as files:
            items = islice(reader.read(root, settings.options), files.summary.records, None)
            pinned = reader.origin if "#" in reader.origin else name  # worker processes run the same text of a file
            for text in _texts(_chunks(items), (pinned, root, out, settings), workers or cores()):
                files.add(text)
                if progress:
                    progress(files.summary.records)
            return files.finish()
    except OSError as error:
        if no_space(error):
            raise UserError(f"{out}: no space left on device; free some and run again to go on") from None
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None


def _chunks(items: Iterable[Record | Skipped]) -> Iterator[list[Record | Skipped]]:
    items = iter(items)
    while chunk := list(islice(items, CHUNK)):
        yield chunk


def _texts(chunks: Iterable[list[Record | Skipped]], work: tuple, workers: int) -> Iterator[Text]:
    """Yields what each chunk becomes, in order; a few chunks are under way at a time."""
    if workers <= 1:
        _begin(*work)
        yield from map(_text, chunks)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=work) as pool:
        waiting: deque[Future[Text]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_text, chunk))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was ended, perhaps for lack of memory; run again with --workers 1"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_work: tuple[Reader, Path, Path, Settings]  # of this worker process
_annotated: Mapping[str, Size] | str = ""


def _begin(name: str, root: Path, out: Path, settings: Settings) -> None:
    global _work, _annotated
    _work = (reader_of(name), root, out, settings)
    given = settings.annotated_size
    _annotated = given if given in ("", FILM) else read_annotated(given)


class _Examples(NamedTuple):
    """What a record became: its Examples, at least one, and how many of its boxes were cut at the edge of the film."""

    record: Record
    examples: list[Example]
    cut: int


def _text(chunk: list[Record | Skipped]) -> Text:
    reader, _, _, settings = _work
    lines: dict[str, list[str]] = {}
    skipped: list[str] = []
    why: Counter[tuple[str, bool]] = Counter()
    ids: list[int] = []
    cuts = renamed = 0
    for item in chunk:
        made = item if isinstance(item, Skipped) else _made(item)
        if isinstance(made, Skipped):
            _stop_at(made, settings)
            skipped.append(json.dumps(made._asdict(), ensure_ascii=True) + "\n")
            why[made.why, made.bad] += 1
            continue
        cuts += made.cut
        renamed += made.record.renamed
        split = made.record.split or _drawn(reader.name, made.record, settings.shares)
        lines.setdefault(split, []).extend(one.model_dump_json(exclude_defaults=True) + "\n" for one in made.examples)
        ids += [stable_hash(example.id) for example in made.examples]
    return Text(
        {split: "".join(own).encode() for split, own in lines.items()},
        {split: len(own) for split, own in lines.items()},
        "".join(skipped).encode(),
        dict(why),
        np.array(ids, np.uint64).tobytes(),
        len(chunk),
        cuts,
        renamed,
    )


def _stop_at(left_out: Skipped, settings: Settings) -> None:
    """Raises UserError where a record is broken and broken ones are not to be left out."""
    # boxes outside the films that they are said to be of: leaving these out would keep the wrong ones
    must_stop = left_out.why == OUTSIDE and settings.annotated_size == FILM
    if not left_out.bad or (settings.skip_bad and not must_stop):
        return
    name = left_out.id if left_out.id != left_out.where else ""
    said = ": ".join(filter(None, (left_out.where, name, left_out.why)))
    detail = f" ({left_out.detail})" if left_out.detail else ""
    fix = "fix it, or leave such records out with --skip-bad"
    if must_stop:
        fix = "the films are not of the published size; give --annotated-size FILE.csv (id, width, height)"
    raise UserError(one_line(f"{said}{detail}; {fix}"))


def _made(record: Record) -> _Examples | Skipped:
    """Returns the Examples of a record, its images copied, or why there are none."""
    reader, root, out, settings = _work
    kinds = settings.asking.kinds
    try:
        for path in record.images:
            if not is_plain(path):
                raise ValueError(f"image path {path!r} should be relative and stay below the root")
        known = None if record.frame in ("unit", "image") else record.frame
        # asked for once without the images: no picture is copied of a record that gives nothing
        if settings.images and record.frame != "image" and not examples_of(record, reader, settings.asking, known):
            return why_none(record, kinds)
        there = [is_there(root, path) for path in record.images]
        if not settings.images and any(".parquet/" in path for path in record.images):
            raise ValueError("its images are inside a Parquet file; prepare it without --no-images")
        if not all(there) and (settings.images or record.frame == "image"):
            return Skipped(record.id, "an image is missing", bad=True, detail=record.images[there.index(False)])
        at_hand = settings.images or (bool(there) and there[0] and _boxed(record))
        size = _size(record, root, out, settings) if at_hand else None
        frame = frame_of(record, root, size, _annotated)
        copied = replace(record, images=tuple(map(copy_name, record.images))) if settings.images else record
        made = examples_of(copied, reader, settings.asking, frame)
        return _Examples(record, made, cut_at_edge(record, frame)) if made else why_none(record, kinds)
    except WrongSize as error:
        return Skipped(record.id, error.why, bad=True, detail=one_line(str(error)))
    except OutsideFilm as error:
        return Skipped(record.id, OUTSIDE, bad=True, detail=one_line(str(error)))
    except (ValueError, UserError) as error:  # of a box, of a text that is none, of an image
        kind = "an image cannot be read" if isinstance(error, UserError) else "not usable"
        return Skipped(record.id, kind, bad=True, detail=one_line(_first(error)))


def _boxed(record: Record) -> bool:
    return bool(record.regions or record.phrases)


def _size(record: Record, root: Path, out: Path, settings: Settings) -> tuple[int, int] | None:
    """Copies the images where that is asked for; returns width and height of the first one as published."""
    sizes = [
        copy(root, path, out, settings.max_pixels, settings.max_side) if settings.images else image_size(root, path)
        for path in (record.images if settings.images else record.images[:1])
    ]
    return sizes[0] if sizes else None


def _first(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):  # its own text quotes the whole Example
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _drawn(name: str, record: Record, shares: Mapping[str, float]) -> str:
    """Returns the split that a unit falls into: the same for all records of one, whatever else is prepared."""
    _, unit = independence_unit(record.patient, record.study, record.images, record.id)
    place = stable_hash(f"{name}/{unit}") / 2**64 * sum(shares.values())
    for split, share in shares.items():
        place -= share
        if place < 0:
            return split
    return list(shares)[-1]

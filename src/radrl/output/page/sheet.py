"""A contact sheet of a data set: Examples drawn at random, with their images, boxes, questions and answers."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from PIL import Image

from radrl.errors import UserError, nearest
from radrl.example import TASKS, Box, Example
from radrl.images.copies import fitted_size
from radrl.images.files import read_image
from radrl.images.pixels import data_uri
from radrl.manifest.jsonl import manifest_lines
from radrl.output.page.cases import TASK_NAMES
from radrl.output.page.rendering import csp_hash, page_environment
from radrl.support.files import write_bytes

SIDE = 420  # pixels of the longer side of a thumbnail
FILTERS = ("task", "source", "split")


class Card(NamedTuple):
    """One Example on the sheet; ``height`` is its image's height where its width is 1000."""

    example: Example
    split: str
    where: str
    image: str | None
    note: str
    height: float
    boxes: list[dict[str, Any]]
    facets: dict[str, str]


def write_sheet(
    path: str | os.PathLike[str],
    manifests: Sequence[Path],
    count: int,
    *,
    tasks: Sequence[str] = (),
    sources: Sequence[str] = (),
    images_root: Path | None = None,
    seed: int = 0,
) -> tuple[int, int]:
    """Writes a page of ``count`` Examples as one self-contained HTML file; returns how many it shows, and of how many.

    Each Example of those tasks and sources is as likely as any other; the same seed draws the same ones. An image that
    cannot be read is said so on the page.

    Raises:
        UserError: an unknown task, a manifest that is missing or wrong, no Example to show, or a page that cannot be
            written.
    """
    for task in tasks:
        if task not in TASKS:
            raise UserError(f"--task {task}: give {', '.join(TASKS)}{nearest(task, TASKS)}")
    drawn, of = _drawn(manifests, count, set(tasks), set(sources), seed)
    if not drawn:
        said = ", ".join([*tasks, *sources]) or "at all"
        raise UserError(f"{', '.join(map(str, manifests))}: no Example {said}; name other tasks, sources or manifests")
    cards = [_card(example, manifest, line, images_root) for example, manifest, line in drawn]
    facets = {name: Counter(card.facets[name] for card in cards) for name in FILTERS}
    numbers = {name: {value: k for k, value in enumerate(sorted(facets[name]), 1)} for name in FILTERS}
    environment = page_environment()
    style = environment.get_template("style.css.jinja").render(models=[])
    style += environment.get_template("sheet.css.jinja").render(
        numbers={n: list(v.values()) for n, v in numbers.items()}
    )
    html = environment.get_template("sheet.html.jinja").render(
        style=Markup(style),
        style_hash=csp_hash(style),
        cards=cards,
        of=of,
        seed=seed,
        facets=facets,
        numbers=numbers,
        task_names=TASK_NAMES,
    )
    write_bytes(path, html.encode(errors="replace"))
    return len(cards), of


def _drawn(
    manifests: Sequence[Path], count: int, tasks: set[str], sources: set[str], seed: int
) -> tuple[list[tuple[Example, Path, int]], int]:
    """Returns the drawn Examples in the manifests' order, and how many there were to draw from."""
    draw = random.Random(seed)
    kept: list[tuple[Example, Path, int]] = []
    seen = 0
    for path in manifests:
        for line in manifest_lines(path):
            example = None
            if tasks or sources:
                example = line.example()
                if (tasks and example.task not in tasks) or (sources and example.source not in sources):
                    continue
            seen += 1
            place = len(kept) if len(kept) < count else draw.randrange(seen)
            if place < count:
                kept[place : place + 1] = [(example or line.example(), path, line.number)]
    order = {path: k for k, path in enumerate(manifests)}
    return sorted(kept, key=lambda one: (order[one[1]], one[2])), seen


def _card(example: Example, manifest: Path, line: int, images_root: Path | None) -> Card:
    image, note, height = _image(example, images_root or manifest.parent)
    return Card(
        example,
        manifest.stem,
        f"{manifest.name}:{line}",
        image,
        note,
        height,
        [_drawable(box, height) for box in example.boxes],
        {"task": example.task, "source": example.source or "not named", "split": manifest.stem},
    )


def _drawable(box: Box, height: float) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy
    # a label goes above its box, or into it where there is no room, and to the left where it would leave the picture
    below, left = y1 * height < 50, x1 > 0.6
    at = {"x": x1 * 1000, "y": y1 * height, "width": (x2 - x1) * 1000, "height": (y2 - y1) * height}
    return {**at, "label": box.label, "at": y1 * height + (44 if below else -12), "left": left}


def _image(example: Example, root: Path) -> tuple[str | None, str, float]:
    """Returns the first image as a data URI, a note, and its height where its width is 1000."""
    if not example.images:
        return None, "no image", 1000.0
    try:
        picture = read_image(root, example.images[0])
    except UserError as error:
        return None, f"cannot be read: {error}", 1000.0
    size = picture.size
    small = picture.resize(fitted_size(size, None, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    note = f"{size[0]} × {size[1]}" + (f", first of {len(example.images)}" if len(example.images) > 1 else "")
    return data_uri(small, "jpeg", quality=80), note, 1000.0 * size[1] / size[0]

"""Detection files in COCO's JSON: images, categories, annotations with ``bbox`` [x, y, width, height] in pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from radrl.data.published.record import Record, Region, Skipped, Split, corner_and_size
from radrl.data.published.safe_files import DAMAGED, read_json
from radrl.errors import UserError, in_words


def read_coco(
    root: Path, file: str, split: Split | None, locate: Callable[[str], str], say: Callable[[str], str]
) -> Iterator[Record | Skipped]:
    """Yields a Record an image; an image without annotations has no boxes. Crowds (``iscrowd``) are left out; an image
    with nothing but crowds is skipped, for it is not an image with nothing to find.

    ``locate`` gives the path below the root of a ``file_name``, ``say`` the words of a category.

    Raises:
        UserError: the file is not there, or not COCO's JSON.
    """
    content = read_json(root, [file])
    images, categories, annotations = (
        content.get(key) if isinstance(content, dict) else None for key in ("images", "categories", "annotations")
    )
    if not (isinstance(images, list) and isinstance(categories, list) and isinstance(annotations, list)):
        raise UserError(f"{root}/{file}: COCO's lists images, categories and annotations are wanted; use such a file")
    names: dict[Any, str] = {}
    regions_of: dict[Any, list[Region]] = {}
    wrong_of: dict[Any, str] = {}  # the first wrong box of an image
    try:
        for category in categories:
            names[category["id"]] = say(str(category["name"]))
        for image in images:
            regions_of[image["id"]] = []
    except (LookupError, TypeError) as error:
        raise UserError(f"{root}/{file}: an image or category without id and name ({error}); mend it") from None
    if len(regions_of) != len(images):
        raise UserError(f"{root}/{file}: two images have one id; mend it")
    crowds: set[Any] = set()
    for number, annotation in enumerate(annotations):
        where = f"{file} annotations[{number}]"
        try:
            regions = regions_of[annotation["image_id"]]
        except (LookupError, TypeError):
            yield Skipped(where, "a box of no image of the file", bad=True, where=where)
            continue
        if annotation.get("iscrowd"):
            crowds.add(annotation["image_id"])
            continue
        try:
            box = corner_and_size(annotation["bbox"])
            regions.append(Region(names[annotation["category_id"]], box))
        except DAMAGED as error:
            wrong_of.setdefault(annotation["image_id"], f"{where}: {in_words(error)}")
    for number, image in enumerate(images):
        where = f"{file} images[{number}]"
        regions, wrong = regions_of[image["id"]], wrong_of.get(image["id"])
        name, size = image.get("file_name"), (image.get("width"), image.get("height"))
        if wrong or not isinstance(name, str) or not all(isinstance(v, int | float) and v > 0 for v in size):
            detail = wrong or "file_name, width or height is wrong"
            yield Skipped(str(name), "not an image with boxes", bad=True, where=where, detail=detail)
            continue
        if not regions and image["id"] in crowds:
            yield Skipped(name, "only crowds are boxed", where=where)
            continue
        frame = (float(size[0]), float(size[1]))
        yield Record(name, (locate(name),), split=split, frame=frame, regions=tuple(regions))

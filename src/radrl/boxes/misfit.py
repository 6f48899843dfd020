"""Whether a model's boxes are in another convention than the one they are read in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

from radrl.boxes.box_labels import KEY, KEY_REACH
from radrl.boxes.notation import BoxFormat, Size, find_brackets, inside_image, is_share, plain_text


def misfit(
    model: str, texts: Iterable[str], box_format: BoxFormat, sizes: Iterable[Size | None] | None = None
) -> str | None:
    """Returns a line where most boxes of a model's answers lie outside its convention and fit another (or more than a
    fifth, and all boxes fit the other), or stand under Gemini's key, whose order is another; else None.

    Args:
        model: the name under ``evaluation.models``.
        texts: what its grounding answers say (``Answer.text``).
        box_format: the convention it is judged by.
        sizes: the size of the resized image of each text, None where it is not known.
    """
    boxes: list[tuple[tuple[float, ...], Size | None]] = []
    turned = 0
    for text, size in zip(texts, repeat(None) if sizes is None else sizes, strict=False):
        text = plain_text(text)
        for one in find_brackets(text)[0]:
            if len(one.numbers) == 4:
                boxes.append((one.numbers, size))
                key = KEY.search(text, max(0, one.start - KEY_REACH), one.start)
                turned += key is not None and key[1] == "box_2d"
    outside = [one for one in boxes if not _fits(*one, box_format)]
    most = 2 * len(outside) > len(boxes)
    if 5 * len(outside) > len(boxes):
        judged = outside if most else boxes
        same = {"thousand", "qwen2"} if box_format in ("thousand", "qwen2") else {box_format}
        fit = [other for other in ("unit", "thousand") if other not in same and _mostly(judged, other)]
        # of images of unknown size pixels are only guessed where nothing else fits
        if box_format != "pixel" and _mostly(judged, "pixel") and (not fit or all(size for _, size in judged)):
            fit.append("pixel")
        if fit:
            return (
                f"{'most' if most else 'many'} boxes of {model} ({len(outside)} of {len(boxes)}) lie outside "
                f"'{box_format}' and fit {' or '.join(map(repr, fit))}; set evaluation.models.{model}.box_format"
            )
    if 2 * turned > len(boxes):
        return (
            f"most boxes of {model} ({turned} of {len(boxes)}) stand under 'box_2d', where Gemini's models give "
            "[y1, x1, y2, x2]; they are read as [x1, y1, x2, y2]"
        )
    return None


def _mostly(boxes: Sequence[tuple[tuple[float, ...], Size | None]], box_format: BoxFormat) -> bool:
    return 20 * sum(_fits(*one, box_format) for one in boxes) >= 19 * len(boxes)


def _fits(numbers: tuple[float, ...], size: Size | None, box_format: BoxFormat) -> bool:
    if box_format == "pixel" and size is None:
        x1, y1, x2, y2 = numbers
        return not is_share(numbers) and 0 <= x1 < x2 and 0 <= y1 < y2
    return inside_image(numbers, box_format, size) is not None

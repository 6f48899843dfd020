"""Run-length masks to boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radrl.data.published.record import XYXY

MOST_PIXELS = 50_000_000


def relative_runs(text: str, width: int, height: int) -> NDArray[np.bool_]:
    """Returns a mask, shape (height, width), from runs ``start length start length ...`` as in SIIM-ACR.

    Starts are counted from the end of the run before, pixels go down the columns.

    Raises:
        ValueError: not pairs of numbers, or runs that leave the image.
    """
    _check(width, height)
    numbers = [int(word) for word in text.split()]
    if len(numbers) % 2 or not all(0 <= number <= width * height for number in numbers):
        raise ValueError("runs are pairs of numbers, none below 0 or beyond the image")
    return _filled(np.array(numbers, dtype=np.int64), width, height)


def coco_runs(text: str, width: int, height: int) -> NDArray[np.bool_]:
    """Returns a mask, shape (height, width), from COCO's compressed run lengths (the ``counts`` text of pycocotools).

    Raises:
        ValueError: not such a text, or runs that do not end with the image.
    """
    _check(width, height)
    counts: list[int] = []
    value = shift = 0
    for sign in text.encode("ascii"):
        bits = sign - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("not the run lengths of COCO")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        if len(counts) > 2:  # later ones are differences to the count before the last
            value += counts[-2]
        counts.append(value)
        value = shift = 0
    if shift or min(counts, default=0) < 0 or sum(counts) != width * height:
        raise ValueError(f"run lengths of {sum(counts)} pixels for {width} x {height}")
    return _filled(np.array(counts, dtype=np.int64), width, height)


def _check(width: int, height: int) -> None:
    if not (width > 0 and height > 0 and width * height <= MOST_PIXELS):
        raise ValueError(f"a mask of {width} x {height} pixels")


def _filled(gaps_and_runs: NDArray[np.int64], width: int, height: int) -> NDArray[np.bool_]:
    ends = np.cumsum(gaps_and_runs)
    if len(ends) and ends[-1] > width * height:
        raise ValueError(f"runs of {ends[-1]} pixels for {width} x {height}")
    flat = np.zeros(width * height, dtype=bool)
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        flat[start:end] = True
    return flat.reshape(width, height).T


def boxes_of(mask: NDArray[np.bool_], smallest: int = 1) -> list[XYXY]:
    """Returns a box ``(x1, y1, x2, y2)`` in pixels around each part of a mask that hangs together, from the left.

    Pixels that touch at a corner hang together. Ends are outer edges: a single pixel gives a box one wide. Parts of
    fewer than ``smallest`` pixels are left out, but for the largest one.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]  # to label only what is not empty is many times faster
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    labelled = np.empty(part.shape, np.int32)
    ndimage.label(part, structure=np.ones((3, 3)), output=labelled)
    sizes = np.bincount(labelled.ravel())[1:]
    wanted = min(smallest, sizes.max())
    return sorted(
        (float(left + x.start), float(top + y.start), float(left + x.stop), float(top + y.stop))
        for (y, x), size in zip(ndimage.find_objects(labelled), sizes, strict=True)
        if size >= wanted
    )

"""Geometry of boxes. Everywhere inside, a box is ``[x1, y1, x2, y2]``, 0-1, origin top left.

Arrays of boxes have shape (N, 4). A box with no or negative area overlaps nothing: its IoU is 0, never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from radrl.example import Box

LARGEST = 1e150  # beyond this, an area is no longer a finite number


def array(boxes: Iterable[Box]) -> NDArray[np.float64]:
    """Returns the coordinates of Boxes, shape (N, 4), also for N = 0."""
    return np.array([box.xyxy for box in boxes], dtype=np.float64).reshape(-1, 4)


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Returns the intersection over union of each pair, shape (N, M), in 0-1.

    Args:
        a, b: boxes of shape (N, 4) and (M, 4), in the same unit. Not finite or degenerate boxes give 0.
    """
    a, b = _coordinates(a), _coordinates(b)
    a_fine, b_fine = _proper(a), _proper(b)
    # A unit box stands in for an improper one, so that nothing below divides by zero or meets infinity.
    a, b = (np.where(fine[:, None], x, (0.0, 0.0, 1.0, 1.0)) for x, fine in ((a, a_fine), (b, b_fine)))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0.0, None), axis=-1)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], axis=-1) for x in (a, b))
    union = area_a[:, None] + area_b[None, :] - common
    return np.where(a_fine[:, None] & b_fine[None, :], common / union, 0.0)


def assign(weights: ArrayLike) -> list[tuple[int, int]]:
    """Returns the one-to-one pairs (row, column) that maximise the sum of weights, in order of rows.

    Args:
        weights: shape (N, M), not negative, usually an IoU. Pairs of weight zero are left out.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.size == 0:
        return []
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if weights[i, j] > 0]


def _coordinates(boxes: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _proper(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns which boxes have an area that is a number, shape (N,)."""
    known = np.all(np.abs(x) < LARGEST, axis=1)  # False for NaN
    x = np.where(known[:, None], x, 0.0)
    size = np.maximum(x[:, 2:] - x[:, :2], 0.0)
    return size.prod(axis=1) > 0

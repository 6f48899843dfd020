"""Several readers' boxes to one set, and masks to boxes."""

from __future__ import annotations

import numpy as np
import pytest
import sets
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.data.published.fusion import fuse
from radrl.data.published.masks import boxes_of, coco_runs, relative_runs

A, B, C, FAR = (0, 0, 10, 10), (2, 0, 12, 10), (0, 1, 10, 13), (50, 50, 60, 61)


def test_groups_by_hand():
    boxes, readers = [A, FAR, B, C], ["1", "1", "2", "3"]
    assert fuse(boxes, readers, "wbf", 0.5, 3) == [pytest.approx((2 / 3, 1 / 3, 32 / 3, 11)), FAR]
    assert fuse(boxes, readers, "majority", 0.5, 3) == [pytest.approx((2 / 3, 1 / 3, 32 / 3, 11))]
    assert fuse(boxes, readers, "union", 0.5, 3) == [(0, 0, 12, 13), FAR]
    assert fuse([A, A], ["1", "1"], "majority", 0.5, 3) == []  # one reader twice is no majority
    assert fuse([A, B], ["1", "2"], "majority", 0.5, 4) == []  # nor are two of four
    assert fuse([], [], "wbf", 0.5, 3) == []


def test_weighted_box_fusion_is_that_of_ensemble_boxes():
    """What weighted_boxes_fusion of ensemble-boxes 1.0.9 gave for these boxes, scores 1 less 1e-9 a box."""
    rng = np.random.default_rng(5)
    low = rng.uniform(0, 0.6, (12, 2))
    boxes = [tuple(row) for row in np.hstack([low, low + rng.uniform(0.1, 0.4, (12, 2))]).tolist()]
    found = fuse(boxes, ["1"] * 12, "wbf", 0.3, 3)
    assert np.array(sorted(found)) == pytest.approx(np.array(sorted(FUSED)), abs=1e-6)


FUSED = (
    (0.36238956, 0.15178855, 0.61285943, 0.37659016),
    (0.27231908, 0.23364732, 0.47369847, 0.58780545),
    (0.51080418, 0.49565154, 0.73503715, 0.83094162),
    (0.03235842, 0.23002133, 0.39401706, 0.33557649),
    (0.24508392, 0.02716512, 0.55733259, 0.12752502),
    (0.02925463, 0.59950567, 0.28026382, 0.83050578),
    (0.26096853, 0.58451172, 0.60283313, 0.77944734),
    (0.40601361, 0.03648163, 0.57666855, 0.23241702),
    (0.5277907, 0.03852866, 0.7797062, 0.2093869),
)

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda pixels: np.array(pixels).reshape(size)
    )
)


@settings(deadline=None)
@given(masks)
def test_masks_come_back_from_both_kinds_of_runs(mask):
    height, width = mask.shape
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(np.r_[False, flat, False])).tolist()
    counts = np.diff([0, *changes, flat.size]).tolist()
    text = sets.module("chexlocalize").runs(counts)
    assert np.array_equal(coco_runs(text, width, height), mask)
    pairs = counts[: len(counts) // 2 * 2]
    assert np.array_equal(relative_runs(" ".join(map(str, pairs)), width, height), mask)
    inside = np.zeros_like(mask)
    for x1, y1, x2, y2 in boxes_of(mask):
        inside[int(y1) : int(y2), int(x1) : int(x2)] = True
        assert mask[int(y1) : int(y2), int(x1) : int(x2)].any(axis=0).all()
    assert not (mask & ~inside).any()


@given(st.text(max_size=40))
def test_any_text_is_a_mask_or_a_value_error(text):
    for read in (coco_runs, relative_runs):
        try:
            assert read(text, 7, 5).shape == (5, 7)
        except ValueError:
            continue


def test_small_parts_are_left_out_but_never_all():
    mask = np.zeros((20, 20), bool)
    mask[2:8, 3:9] = mask[15, 15] = mask[8, 9] = True  # the last one touches at a corner
    assert boxes_of(mask) == [(3, 2, 10, 9), (15, 15, 16, 16)]
    assert boxes_of(mask, 4) == [(3, 2, 10, 9)]
    assert boxes_of(mask, 100) == [(3, 2, 10, 9)]

"""Box geometry against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radrl.boxes import geometry

UNIT = (0.0, 0.0, 1.0, 1.0)
coordinate = st.floats(allow_nan=True, allow_infinity=True)
any_boxes = st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=4)


def test_iou_of_worked_pairs():
    a = [(0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 1.0, 1.0)]
    b = [(0.2, 0.0, 0.6, 0.4), (0.5, 0.5, 1.0, 1.0), (0.9, 0.0, 1.0, 0.1)]
    assert geometry.iou(a, b) == pytest.approx(np.array([[1 / 3, 0, 0], [0, 1, 0]]), abs=1e-12)


@pytest.mark.parametrize("bad", [(0.5, 0.5, 0.5, 0.9), (0.9, 0.1, 0.2, 0.8), (np.nan, 0, 1, 1), (0, 0, np.inf, 1)])
def test_degenerate_boxes_overlap_nothing(bad):
    assert geometry.iou([bad], [UNIT, bad]).tolist() == [[0, 0]]


@settings(max_examples=200, deadline=None)
@given(any_boxes, any_boxes)
def test_geometry_stays_in_range_for_any_numbers(a, b):
    iou = geometry.iou(a, b)
    assert iou.shape == (len(a), len(b))
    assert ((iou >= 0) & (iou <= 1)).all()


def test_assign_maximises_the_sum_and_leaves_out_zeros():
    assert geometry.assign([[0.9, 0.8], [0.8, 0.0]]) == [(0, 1), (1, 0)]  # greedy would take 0.9 and stop
    assert geometry.assign([[0.5, 0.0], [0.0, 0.0]]) == [(0, 0)]
    assert geometry.assign(np.zeros((0, 3))) == []

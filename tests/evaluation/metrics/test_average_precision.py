"""mAP against pycocotools and torchmetrics, and that weights mean what resampling needs."""

from __future__ import annotations

import contextlib
import importlib.util
import io

import numpy as np
import pytest
import torch

from radrl.boxes import geometry
from radrl.evaluation.metrics.average_precision import (
    RECALLS,
    THRESHOLDS,
    ap_with_confidence,
    ap_without_confidence,
    match_boxes,
)


def random_set(draw, images=4):
    """Returns for each image the reference boxes, answer boxes near some of them, and confidences, all different."""
    found = []
    for _ in range(images):
        corner, size = draw.uniform(0, 0.6, (draw.integers(0, 4), 2)), draw.uniform(0.1, 0.4, (1, 2))
        wanted = np.hstack([corner, corner + size])
        near = wanted[draw.random(len(wanted)) < 0.8]
        near = near + draw.normal(0, 0.03, near.shape)
        corner = draw.uniform(0, 0.6, (draw.integers(0, 3), 2))
        given = np.vstack([near, np.hstack([corner, corner + draw.uniform(0.1, 0.4, corner.shape)])]).clip(0, 1)
        given = given[((given[:, 2:] - given[:, :2]) > 0.01).all(axis=1)]
        found.append((wanted, given, draw.random(len(given))))
    return found


def ours(found, thresholds=THRESHOLDS):
    return ap_with_confidence(
        [geometry.iou(given, wanted) for wanted, given, _ in found], [s for _, _, s in found], thresholds
    )


def value(statistic):
    return float(statistic.at(np.ones((1, len(statistic.there))))[0])


def theirs(found):
    coco_api, evaluator = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")

    def annotations(side):
        rows = []
        for image, (wanted, given, scores) in enumerate(found, 1):
            for k, (x1, y1, x2, y2) in enumerate(wanted if side == "wanted" else given):
                row = {"id": len(rows) + 1, "image_id": image, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                rows.append(
                    row
                    | {"area": (x2 - x1) * (y2 - y1), "iscrowd": 0, "score": float(scores[k]) if side == "given" else 1}
                )
        return rows

    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for side in ("wanted", "given"):
            api = coco_api.COCO()
            api.dataset = {
                "images": [{"id": i} for i in range(1, len(found) + 1)],
                "categories": [{"id": 1}],
                "annotations": annotations(side),
            }
            api.createIndex()
            sides.append(api)
        run = evaluator.COCOeval(*sides, "bbox")
        run.params.areaRng, run.params.areaRngLbl, run.params.maxDets = [[0, 1e10]], ["all"], [100]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"]
    return float(precision.mean()) if (precision > -1).all() else float("nan")


def test_equal_to_pycocotools_on_a_thousand_random_sets():
    draw = np.random.default_rng(0)
    worst, defined = 0.0, 0
    for _ in range(1000):
        found = random_set(draw)
        a, b = value(ours(found)), theirs(found)
        assert np.isnan(a) == np.isnan(b)
        if not np.isnan(a):
            defined += 1
            worst = max(worst, abs(a - b))
    assert worst < 1e-9
    assert defined > 950


def test_equal_to_torchmetrics():
    detection = torchmetrics_detection()
    tensor = lambda x: torch.tensor(np.asarray(x), dtype=torch.float64).reshape(-1, 4)  # noqa: E731
    draw = np.random.default_rng(1)
    for _ in range(20):
        metric = detection.MeanAveragePrecision(backend="pycocotools")
        found = random_set(draw, images=30)
        metric.update(
            [
                {"boxes": tensor(g), "scores": torch.tensor(s), "labels": torch.zeros(len(g), dtype=torch.int)}
                for _, g, s in found
            ],
            [{"boxes": tensor(w), "labels": torch.zeros(len(w), dtype=torch.int)} for w, _, _ in found],
        )
        told = metric.compute()
        assert value(ours(found)) == pytest.approx(float(told["map"]), abs=1e-6)  # it answers in float32
        assert value(ours(found, (0.5,))) == pytest.approx(float(told["map_50"]), abs=1e-6)


def torchmetrics_detection():
    """torchmetrics' mAP needs torchvision, but of it Python alone. Beside a CPU build of torch its operators cannot be
    loaded; the two that its import asks for are declared then."""
    for package in ("torchmetrics", "torchvision"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; torchmetrics' mAP needs it")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou) -> Tensor")
    import torchmetrics.detection

    return torchmetrics.detection


def test_weights_are_copies_of_cases():
    draw = np.random.default_rng(2)
    for _ in range(50):
        found = random_set(draw, images=5)
        weights = draw.integers(0, 4, 5)
        copied = [one for one, times in zip(found, weights, strict=True) for _ in range(times)]
        if not copied:
            continue
        for make in (ours, lambda some: ap_without_confidence([geometry.iou(g, w) for w, g, _ in some])):
            a, b = make(found).at(weights[None].astype(float))[0], value(make(copied))
            assert a == pytest.approx(b, nan_ok=True, abs=1e-12)
            rows = np.flatnonzero(weights)
            assert value(make(found).take(rows)) == pytest.approx(value(make([found[i] for i in rows])), nan_ok=True)


def test_unscored_boxes_are_all_equally_sure_and_their_order_is_no_matter():
    draw = np.random.default_rng(3)
    for _ in range(50):
        found = random_set(draw)
        ious = [geometry.iou(given, wanted) for wanted, given, _ in found]
        plain = value(ap_without_confidence(ious))
        assert plain == pytest.approx(
            value(ap_with_confidence(ious, [np.zeros(len(iou)) for iou in ious])), nan_ok=True
        )
        assert plain == pytest.approx(value(ap_without_confidence(ious[::-1])), nan_ok=True)
    # two of three boxes right at 0.5, one of two found: precision 1/3, recall 1/2 reaches 51 of the 101 values
    iou = np.array([[0.6, 0.0], [0.0, 0.2], [0.0, 0.0]])
    assert value(ap_without_confidence([iou], (0.5,))) == pytest.approx(1 / 3 * 51 / len(RECALLS))
    assert np.isnan(value(ap_without_confidence([np.zeros((2, 0))])))
    assert value(ap_without_confidence([np.zeros((0, 2))])) == 0


def test_each_reference_box_is_found_once():
    assert match_boxes(np.array([[0.9], [0.95]]), (0.5,)).tolist() == [[True], [False]]
    assert match_boxes(np.array([[0.6, 0.9], [0.55, 0.7]]), (0.5, 0.8)).tolist() == [[True, True], [True, False]]


def test_two_models_side_by_side_may_have_confidences_of_another_scale():
    found = random_set(np.random.default_rng(4), images=20)
    one = ours(found)
    large = ours([(w, g, 1000 * s) for w, g, s in found])
    half = np.repeat([[0.5]], 40, axis=1)
    assert one.beside(large).at(half)[0] == pytest.approx(value(one), abs=0.02)

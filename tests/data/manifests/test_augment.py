"""Augmentation keeps the answer true: boxes move with the pixels, a mirror image swaps left and right."""

from __future__ import annotations

import numpy as np
from PIL import Image

from radrl.boxes import geometry
from radrl.data.manifests.augment import augment, mirror
from radrl.example import Box, Example
from radrl.recipe.augmentation import Augment

SIZE = (160, 120)  # not square: a share of the width is not one of the height
EXAMPLE = Example(
    id="a",
    task="vqa_closed",
    question="Left or right? The patient's left.",
    choices=("Left lung", "right lung"),
    reference="right lung",
    boxes=(Box(xyxy=(0.25, 0.3, 0.5, 0.7), label="right lung"),),
    thinking="bright left, leftover dark right",
)


def film(box: Box) -> Image.Image:
    """A dark picture with the box filled."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    x1, y1, x2, y2 = (round(v * s) for v, s in zip(box.xyxy, SIZE * 2, strict=True))
    pixels[y1:y2, x1:x2] = 210
    return Image.fromarray(pixels)


def seen(picture: Image.Image) -> tuple[float, ...]:
    """The box around what is bright."""
    pixels = np.asarray(picture)[..., 0]
    y, x = np.nonzero(pixels > (pixels.max() + np.median(pixels)) / 2)
    return (x.min() / SIZE[0], y.min() / SIZE[1], (x.max() + 1) / SIZE[0], (y.max() + 1) / SIZE[1])


def test_boxes_move_with_the_pixels():
    settings = Augment(shift=0.2, scale=0.3, flip=0.5, contrast=0.2, brightness=0.1)
    moved = mirrored = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        after, (picture,) = augment(EXAMPLE, [film(EXAMPLE.boxes[0])], settings, rng)
        assert picture.size == SIZE
        assert geometry.iou([after.boxes[0].xyxy], [seen(picture)])[0, 0] > 0.9
        moved += after.boxes[0].xyxy[1] != EXAMPLE.boxes[0].xyxy[1]
        mirrored += after.boxes[0].label == "left lung"
    assert moved > 40
    assert 20 < mirrored < 40


def test_a_box_is_not_pushed_out_of_the_picture():
    edge = EXAMPLE.model_copy(update={"boxes": (Box(xyxy=(0, 0, 0.3, 0.3)),)})
    for seed in range(40):
        after, (picture,) = augment(edge, [film(edge.boxes[0])], Augment(shift=0.5), np.random.default_rng(seed))
        assert geometry.iou([after.boxes[0].xyxy], [seen(picture)])[0, 0] > 0.9
        width, height = np.diff(np.reshape(after.boxes[0].xyxy, (2, 2)), axis=0)[0]
        assert min(width, height) > 0.3 * 0.94


def test_a_mirror_image_swaps_left_and_right_in_every_text():
    once = mirror(EXAMPLE)
    assert once.question == "Right or left? The patient's right."
    assert once.choices == ("Right lung", "left lung")
    assert once.reference == "left lung"
    assert once.boxes[0].label == "left lung"
    assert once.thinking == "bright right, leftover dark left"
    twice = mirror(once)
    np.testing.assert_allclose(twice.boxes[0].xyxy, EXAMPLE.boxes[0].xyxy)
    assert twice.model_copy(update={"boxes": EXAMPLE.boxes}) == EXAMPLE


def test_a_mirror_image_swaps_left_and_right_in_labels():
    sides = ("left effusion", "right effusion", "mass")
    asked = Example(id="a", task="classification", question="?", label_set=sides, labels=sides[::2])
    once = mirror(asked)
    assert (once.labels, once.reference) == (("right effusion", "mass"), "right effusion, mass")
    assert set(once.labels) <= set(once.label_set)


def test_off_by_default_and_grey_values_only_for_several_pictures():
    picture = film(EXAMPLE.boxes[0])
    rng = np.random.default_rng(0)
    after, (same,) = augment(EXAMPLE, [picture], Augment(), rng)
    assert after is EXAMPLE
    assert same is picture
    assert rng.random() == np.random.default_rng(0).random()  # what is off draws nothing
    after, pictures = augment(EXAMPLE, [picture, picture], Augment(flip=1, shift=0.4, brightness=0.3), rng)
    assert after is EXAMPLE
    assert seen(pictures[1]) == seen(picture)
    assert pictures[0].getpixel((0, 0)) != picture.getpixel((0, 0))

"""Sizes of resized images: what Qwen-VL's own image processors make of an image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from radrl.evaluation.answers import model_settings
from radrl.evaluation.controls import bias
from radrl.images.sizes import image_resizing, resized_size, seen_size
from radrl.manifest.example_set import read_manifests

# patch, merge, least and most pixels: Qwen2.5-VL as published, with RadVLM's bound, Qwen3-VL as published, tiny
KINDS = [(14, 2, 3136, 12_845_056), (14, 2, 3136, 451_584), (16, 2, 65_536, 16_777_216), (16, 4, 33_178, 40_550)]
side = st.integers(8, 700)


@settings(deadline=None, max_examples=150)
@given(st.tuples(side, side).filter(lambda s: max(s) <= 200 * min(s)), st.sampled_from(KINDS))
@example((2021, 3000), KINDS[1])  # a film
@example((3, 550), KINDS[0])  # a side of less than half a patch
@example((42, 70), KINDS[0])  # halves are rounded to even
@example((561, 799), KINDS[1])  # below the bound, and above it once rounded
def test_sizes_are_the_processors(size, kind):
    patch, merge, least, most = kind
    processor = Qwen2VLImageProcessorPil(
        patch_size=patch, merge_size=merge, size={"shortest_edge": least, "longest_edge": most}
    )
    picture = Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8))
    _, height, width = processor([picture], return_tensors="np")["image_grid_thw"][0] * patch
    facts = image_resizing(processor)
    assert resized_size(size, facts["factor"], facts["min_pixels"], facts["max_pixels"]) == (width, height)


def test_a_line_is_no_image(refusal):
    assert "too narrow" in refusal(resized_size, (1, 300), 28, 3136, 10_000)


@pytest.fixture(scope="module")
def films(phantom_set):
    return read_manifests([phantom_set / "test.jsonl"])


def test_the_size_is_read_from_the_file_and_of_the_image_that_was_shown(films, phantom_set):
    assert [films.sizes(i) for i in range(3)] == [[films.pictures(i)[0].size] for i in range(3)]
    assert seen_size(films.sizes(0), {}) == (64, 64)
    assert seen_size(films.sizes(0), {"factor": 28, "min_pixels": 3136, "max_pixels": 4000}) == (56, 56)
    for changed in (bias.blank(films), bias.swapped(films)):
        assert [changed.sizes(i) for i in range(3)] == [[p.size for p in changed.pictures(i)] for i in range(3)]


def test_a_processor_that_is_not_qwens_has_a_size_of_its_own():
    other = CLIPImageProcessorPil(size={"shortest_edge": 336})
    assert image_resizing(other) == {"resized_by": "CLIPImageProcessorPil", "size": {"shortest_edge": 336}}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("{}", {}),
        ("{max_pixels: 451584}", {"min_pixels": 3136, "max_pixels": 451_584, "factor": 28}),
        ("{min_pixels: 5000}", {"min_pixels": 5000, "max_pixels": 12_845_056, "factor": 28}),
    ],
)
def test_images_behind_a_file_are_of_their_own_size_unless_the_recipe_bounds_them(make_recipe, options, wanted):
    assert model_settings.file_image_facts(make_recipe(f"evaluation.models.A={options}"), "A") == wanted

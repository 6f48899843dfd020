"""Ranges of TRL's settings: the installed TRL's own defaults are in them."""

from __future__ import annotations

import dataclasses

import pytest
import trl

from radrl.recipe.ranges import RANGES, out_of_range

CONFIGS = (trl.SFTConfig, trl.GRPOConfig)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_default_is_in_its_range(config):
    for field in dataclasses.fields(config):
        assert out_of_range(field.name, field.default) is None, field.name


def test_every_key_is_a_field():
    assert set(RANGES) <= {field.name for config in CONFIGS for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("temperature", 0, "above 0"),
        ("top_p", 1.5, "above 0 and at most 1"),
        ("adam_beta1", 1, "0 or more and below 1"),
        ("num_generations", 1, "2 or more"),
        ("max_steps", 0, "1 or more, or -1 for num_train_epochs"),
        ("max_steps", -1, None),
        ("top_k", 0, None),
        ("label_smoothing_factor", True, None),
        ("no such key", -1, None),
    ],
)
def test_what_is_out_of_range(key, value, wanted):
    assert out_of_range(key, value) == wanted

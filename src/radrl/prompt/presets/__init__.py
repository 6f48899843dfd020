"""Prompts of published models: a YAML file each, with keys of the recipe's ``prompt`` section and where they are from.

``prompt: {preset: NAME}`` in a recipe, or ``prompt: NAME`` for a model under ``evaluation.models``, asks a model as it
was trained. The texts are settings that their authors published; each file names repository, file and commit.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from radrl.errors import nearest

_FOLDER = resources.files("radrl.prompt.presets")


@lru_cache
def preset_names() -> tuple[str, ...]:
    """Returns the names of the presets, in order."""
    found = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def read_preset(name: str) -> dict[str, Any]:
    """Returns the keys of a preset, for the recipe's ``prompt`` section.

    Raises:
        ValueError: there is no such preset; the message names the nearest one.
    """
    if name not in preset_names():
        raise ValueError(f"no preset '{name}'{nearest(name, preset_names())}; there are {', '.join(preset_names())}")
    return yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))

"""Checks of a whole recipe, beyond what its schema says of each section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radrl.errors import UserError, one_line
from radrl.recipe import libraries
from radrl.recipe.own_files import OwnFile, own_file
from radrl.recipe.schema import Recipe


def check_sections(recipe: Recipe) -> None:
    """Checks every section that TRL or PEFT reads.

    Raises:
        UserError: a key is unknown, without effect, or its value wrong.
    """
    sections: tuple[tuple[libraries.Kind, Mapping[str, Any], str], ...] = (
        ("peft.LoraConfig", recipe.model.lora or {}, "model.lora"),
        ("trl.SFTConfig", recipe.sft, "sft"),
        ("trl.SFTConfig", recipe.coldstart.sft, "coldstart.sft"),
        ("trl.GRPOConfig", recipe.grpo, "grpo"),
    )
    for kind, section, name in sections:
        libraries.typed_settings(kind, section, name, recipe.file)
    _check_losses(recipe)


def _check_losses(recipe: Recipe) -> None:
    """Raises UserError where soft labels on coordinates would displace another change of the loss, or find none."""
    if not recipe.losses.coordinate_sigma:
        return
    if (written := recipe.style().box_format) != "unit":  # what they are laid over is written nowhere
        raise UserError(
            f"{recipe.file}: key 'losses.coordinate_sigma' is for boxes of 'prompt.box_format: unit', not '{written}'; "
            "leave one out"
        )
    for section, name in ((recipe.sft, "sft"), (recipe.coldstart.sft, "coldstart.sft")):
        for key, plain in (("loss_type", ("nll", "chunked_nll")), ("label_smoothing_factor", (0,))):
            if section.get(key, plain[0]) not in plain:
                at = f"{recipe.file}: key '{name}.{key}'"
                raise UserError(one_line(f"{at} cannot go with 'losses.coordinate_sigma'; leave one out"))


def _scorer_files(recipe: Recipe) -> list[OwnFile]:
    """Returns the files of scorers that a recipe names, one for each place where it names one. Raises UserError."""
    named = [name for rewards in recipe.rewards.values() for one in rewards for name in (one.scorer, one.gate) if name]
    named += [column.scorer for column in recipe.evaluation.metrics]
    return [file for name in named if (file := own_file(name, recipe.path)) is not None]


def check_scorer_files(recipe: Recipe) -> None:
    """Raises UserError where two files of scorers have one name: their scores would share a column."""
    seen: dict[str, Path] = {}
    for file in _scorer_files(recipe):
        if seen.setdefault(file.path.name, file.path) != file.path:
            other = seen[file.path.name]
            raise UserError(one_line(f"{recipe.file}: {file.path} has the name of {other}; rename one of the files"))

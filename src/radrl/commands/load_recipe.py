"""What the libraries behind a recipe say of it: TRL and PEFT of their sections, the scorers of rewards and metrics.

Apart from recipe.py, since importing them takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radrl.commands import load_recipe
from radrl.recipe import libraries, own_scorers, unused

if TYPE_CHECKING:
    pass
from radrl.recipe.schema import Recipe, read

if TYPE_CHECKING:
    from radrl.recipe.schema import Recipe


def check(recipe: Recipe) -> None:
    """Checks the settings that TRL, PEFT and the scorers read.

    Raises:
        UserError: a setting is unknown or wrong.
    """
    for kind, section, name in (
        ("peft.LoraConfig", recipe.model.lora or {}, "model.lora"),
        ("trl.SFTConfig", recipe.sft, "sft"),
        ("trl.SFTConfig", recipe.coldstart.sft, "coldstart.sft"),
        ("trl.GRPOConfig", recipe.grpo, "grpo"),
    ):
        libraries.fitted(kind, section, name, recipe.file)
    unused.check_losses(recipe)
    if recipe.rewards or recipe.evaluation.metrics:
        from radrl.scoring.reward_terms import read_columns, read_items  # late: it imports every scorer

        read_items(recipe)
        read_columns(recipe, recipe.evaluation.metrics, "evaluation.metrics")
        own_scorers.check_names(recipe)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe; each override is ``a.b=c`` with a YAML value, applied before the check.

    Raises:
        UserError: anything wrong, in one line with file, line or dotted key, and the mend.
    """
    recipe = read(path, overrides)
    load_recipe.check(recipe)
    return recipe

"""What the libraries behind a recipe say of it: TRL and PEFT of their sections, the scorers of rewards and metrics.

Apart from recipe.py, since importing them takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radrl import recipe_own, recipe_trl, recipe_unused

if TYPE_CHECKING:
    from radrl.recipe import Recipe


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
        recipe_trl.fitted(kind, section, name, recipe.file)
    recipe_unused.check_losses(recipe)
    if recipe.rewards or recipe.evaluation.metrics:
        from radrl.scoring.items import read_columns, read_items  # late: it imports every scorer

        read_items(recipe)
        read_columns(recipe, recipe.evaluation.metrics, "evaluation.metrics")
        recipe_own.check_names(recipe)

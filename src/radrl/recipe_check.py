"""What the libraries behind a recipe say of it: TRL and PEFT of their sections, the scorers of rewards and metrics.

Apart from recipe.py, since importing them takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from radrl import recipe_own, recipe_trl
from radrl.errors import UserError
from radrl.recipe_yaml import one_line

if TYPE_CHECKING:
    from radrl.recipe import Recipe

AGGREGATIONS = ("sum_then_normalize", "normalize_then_sum")  # TRL looks at it only in the first step


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
    if recipe.rewards or recipe.evaluation.metrics:
        from radrl.scoring.items import read_columns, read_items  # late: it imports every scorer

        read_items(recipe)
        read_columns(recipe, recipe.evaluation.metrics, "evaluation.metrics")
        recipe_own.check_names(recipe)
    summing = recipe.grpo.get("multi_objective_aggregation", AGGREGATIONS[0])
    if summing not in AGGREGATIONS:
        at = f"{recipe.file}: key 'grpo.multi_objective_aggregation'"
        raise UserError(one_line(f"{at} should be {' or '.join(AGGREGATIONS)}, not {summing!r}"))

"""A recipe read whole: by its schema, by TRL and PEFT of their sections, and by the scorers it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radrl.recipe import libraries, own_scorers
from radrl.recipe.schema import Recipe, read


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe; each override is ``a.b=c`` with a YAML value, applied before the check.

    Raises:
        UserError: anything wrong, in one line with file, line or dotted key, and the mend.
    """
    recipe = read(path, overrides)
    check(recipe)
    return recipe


def check(recipe: Recipe) -> None:
    """Checks the settings that TRL, PEFT and the scorers read.

    Raises:
        UserError: a setting is unknown or wrong.
    """
    libraries.check_sections(recipe)
    if recipe.rewards or recipe.evaluation.metrics:
        from radrl.scoring.reward_terms import read_columns, read_items  # late: it imports every scorer

        read_items(recipe)
        read_columns(recipe, recipe.evaluation.metrics, "evaluation.metrics")
        own_scorers.check_names(recipe)

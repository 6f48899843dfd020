"""A recipe read whole: by its schema, by TRL and PEFT of their sections, and by the scorers and files it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radrl.errors import UserError, one_line
from radrl.prompt.messages import ANSWER_FORMATS
from radrl.recipe import checks, protocols
from radrl.recipe.apply_protocol import protocol_of, with_protocol
from radrl.recipe.schema import Recipe, read_recipe


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Returns the recipe of a file, checked; each override is ``a.b=c`` with a YAML value, applied before the check.

    Raises:
        UserError: anything wrong, in one line with file, line or dotted key, and the fix.
    """
    recipe = read_recipe(path, overrides)
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Checks the settings that TRL, PEFT and the scorers read, and runs the user's own files that it names.

    Raises:
        UserError: a setting is unknown or wrong, or a file fails.
    """
    checks.check_sections(recipe)
    _check_answer_formats(recipe)
    if recipe.rewards or recipe.evaluation.metrics:
        from radrl.scoring.reward_terms import read_columns, read_reward_terms  # late: it imports every scorer

        read_reward_terms(recipe)
        read_columns(recipe, recipe.evaluation.metrics, "evaluation.metrics")
        checks.check_scorer_files(recipe)
    _check_own_protocol(recipe)


def _check_answer_formats(recipe: Recipe) -> None:
    """Raises UserError where a function that reads answers is missing in its file."""
    names = {recipe.prompt.answer_format}
    for model in recipe.evaluation.models.values():
        names |= {model.answer, model.prompt and model.prompt.answer_format}
    for name in sorted(filter(None, names - set(ANSWER_FORMATS))):
        from radrl.answers import own_format  # late: most recipes have none

        own_format.check(name)


def _check_own_protocol(recipe: Recipe) -> None:
    """Raises UserError where a protocol of the user's own does not go with the recipe, or names a scorer wrongly: of
    radrl's own protocols a column that cannot be computed here is left out."""
    name = recipe.evaluation.protocol or protocols.NONE
    if (protocol := protocol_of(recipe)) is None or name in protocols.protocol_names():
        return
    from radrl.scoring.own import find

    with_protocol(recipe)
    for index, column in enumerate(protocol.columns):
        at = f"{name.partition('#')[0]}: key 'columns.{index}"
        try:
            scorer = find(column.scorer, recipe.path).with_options(column.options)
        except UserError as error:
            raise UserError(one_line(f"{at}': {error}")) from None
        if column.task and column.task not in scorer.tasks:
            said = f"'{scorer.name}' scores {', '.join(scorer.tasks)}, not {column.task}"
            raise UserError(one_line(f"{at}.task': {said}"))

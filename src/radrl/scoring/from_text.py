"""A scorer's verdict on texts, for a script or a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.answers.parsing import parse
from radrl.example import Example, Score
from radrl.prompt.messages import PromptStyle
from radrl.recipe.own_files import below
from radrl.recipe.schema import Recipe
from radrl.scoring import own
from radrl.scoring.registry import Scorer
from radrl.scoring.reward_terms import ready


def find_scorer(name: str, options: Mapping[str, Any] | None = None, *, recipe: Recipe | None = None) -> Scorer:
    """Returns the scorer of a name: radrl's own, an installed package's, or ``FILE.py:NAME``.

    Args:
        name: as in a recipe; a file's path starts from the recipe's folder, without a recipe from where we are.
        options: the scorer's own options.
        recipe: says which judge, weights and device it uses.

    Raises:
        UserError: there is none, or it has no such option.
    """
    scorer = own.find(name, recipe.path if recipe else below(Path.cwd()))
    if recipe:
        scorer = ready(recipe, scorer, f"{recipe.file}: scorer '{name}'")
    return scorer.with_options(options or {})


def score(
    name: str,
    completions: Sequence[str],
    examples: Sequence[Example],
    options: Mapping[str, Any] | None = None,
    *,
    recipe: Recipe | None = None,
) -> list[Score | None]:
    """Returns what a scorer says of each completion to the Example beside it; None where it does not apply.

    Completions are read as everywhere in radrl: what stands in thinking is not scored, and a completion without an
    answer has the worst value. They are read as the recipe's ``prompt`` says, without a recipe as radrl's own are
    (boxes 0-1). A scorer that needs a corpus (CIDEr) takes these Examples for it.

    Raises:
        UserError: there is no such scorer or option, a package or weights are missing, or boxes are in pixels.
    """
    style = recipe.style() if recipe else PromptStyle()
    answers = [parse(text, example, style) for text, example in zip(completions, examples, strict=True)]
    return find_scorer(name, options, recipe=recipe).fitted(examples)(examples, answers)

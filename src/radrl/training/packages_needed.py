"""Packages that a setting of a recipe needs and that are not part of radrl: one line where they are missing."""

from __future__ import annotations

import importlib.util

from radrl.errors import UserError
from radrl.recipe_yaml import one_line


def require(package: str, key: str, extra: str | None = None) -> None:
    """Checks that a package is installed, without importing it.

    Args:
        package: its name, such as ``wandb``; as Python imports it.
        key: what asks for it, as the message names it: ``f"{recipe.file}: key 'grpo.report_to': 'wandb'"``.
        extra: what to install: radrl's extra of this name (pyproject.toml), or, where None, the package itself.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        wanted = package if extra is None else f"'radrl[{extra}]'"
        raise UserError(one_line(f"{key} needs the package {package}: pip install {wanted}"))

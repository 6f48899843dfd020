"""Packages of others that a scorer needs and the user installs."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def missing_package(scorer: str, module: str, install: str) -> str | None:
    """Returns the line that says that a scorer's package is not installed, and how to install it; None where it is.
    ``install`` is what pip is given."""
    if importlib.util.find_spec(module) is not None:
        return None
    return f"scorer '{scorer}' needs the package {module.replace('_', '-')}: pip install {install}"


def package_folder(module: str) -> Path | None:
    """Returns the folder of an installed package; None where it is not installed."""
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) if folders else None

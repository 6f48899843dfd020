"""Names that a package offers and imports when they are first asked for: ``import radrl`` loads no library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns the ``__getattr__`` of a package. ``places`` says of each name where it is: its module,
    ``module:other_name``, or ``module:`` for the module itself."""

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        place, colon, other = places[name].partition(":")
        module = import_module(place)
        return module if colon and not other else getattr(module, other or name)

    return __getattr__

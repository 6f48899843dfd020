"""Published data sets: a module each, with a `Reader` named ``READER``; a new module here is a new data set."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from radrl.data.published.record import Reader
from radrl.errors import UserError, nearest


@cache
def names() -> tuple[str, ...]:
    """Returns the names of the data sets, sorted; none of their modules is imported for it."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def reader(name: str) -> Reader:
    """Returns the reader of a data set. Raises UserError where there is none of this name."""
    if name not in names():
        raise UserError(f"unknown data set '{name}'{nearest(name, names())}; known: {', '.join(names())}")
    return import_module(f"{__name__}.{name}").READER

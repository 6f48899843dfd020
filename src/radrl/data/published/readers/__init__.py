"""Published data sets: a module each, with a `Reader` named ``READER``; a new module here is a new data set.

Readers of a file of the user's and of installed packages: _others.py.
"""

from __future__ import annotations

import os
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from radrl.data.published.readers import _others
from radrl.data.published.record import Reader
from radrl.errors import UserError, nearest
from radrl.recipe.own_files import own_file
from radrl.support import plug_ins


@cache
def names() -> tuple[str, ...]:
    """Returns the names of radrl's own readers, sorted; none of their modules is imported for it."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


def reader(name: str) -> Reader:
    """Returns the reader of a data set: radrl's own, an installed package's, or that of a file, ``FILE.py:NAME``.

    Raises:
        UserError: there is none of this name, or one that is not radrl's own cannot be used.
    """
    file = own_file(name, lambda path: Path(os.path.abspath(Path(path).expanduser())), "reader")
    if file is not None:
        return _others.in_file(file, names())
    if name in _others.in_packages():
        return _others.of_package(name, names())
    if name not in names():
        known = (*names(), *_others.in_packages())
        raise UserError(f"unknown data set '{name}'{nearest(name, known)}; known: {', '.join(known)}, or FILE.py:NAME")
    return import_module(f"{__name__}.{name}").READER


def titles() -> list[tuple[str, str]]:
    """Returns name and title of every reader; of a package's that cannot be used, why, instead of the title."""
    rows = [(name, import_module(f"{__name__}.{name}").READER.title) for name in names()]
    for name, entries in _others.in_packages().items():
        try:
            rows.append((name, f"{_others.of_package(name, names()).title} ({plug_ins.package_of(entries[0])})"))
        except UserError as error:
            rows.append((name, f"cannot be used: {error}"))
    return rows

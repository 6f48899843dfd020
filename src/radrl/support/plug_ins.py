"""Code that is not radrl's own: a file that the user names, and what installed packages offer by entry points.

Nothing is imported before it is asked for. A failure is one line that names the file or the package.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from radrl.errors import UserError, one_line

FILES = "radrl_own_"  # what the module of a file that is run here is called, before a digest
FAILS = (Exception, SystemExit)  # a script's sys.exit must not end the run as if it were done


def run_file(path: Path, source: bytes) -> ModuleType:
    """Runs the text of a file and returns it as a module, whose name is the same in every process.

    Raises:
        UserError: it fails, or is no Python.
    """
    module = ModuleType(f"{FILES}{hashlib.sha256(bytes(path) + b':' + source).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except UserError:
        raise
    except FAILS as error:
        line = error.lineno if isinstance(error, SyntaxError) else line_in(error, path)
        raise UserError(one_line(f"{path}:{line or 1}: {type(error).__name__}: {error}")) from None
    return module


def line_in(error: BaseException, path: Path | str) -> int | None:
    """Returns the innermost line of a file where an exception passed; None where it did not pass there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def offered(group: str) -> dict[str, list[EntryPoint]]:
    """Returns by name what installed packages offer in a group of entry points; nothing of it is imported."""
    by_name: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=group):  # a package that is on sys.path twice is one package
        by_name.setdefault(entry.name, {})[package_of(entry), entry.value] = entry
    return {name: list(by_name[name].values()) for name in sorted(by_name)}


def package_of(entry: EntryPoint) -> str:
    """Returns name and version of the package that an entry point is of."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def load(entries: list[EntryPoint]) -> Any:
    """Imports and returns what the entry points of one name stand for.

    Raises:
        UserError: there are several, or the import fails.
    """
    name, packages = entries[0].name, " and ".join(package_of(entry) for entry in entries)
    if len(entries) > 1:
        raise UserError(one_line(f"'{name}' is offered by {packages}; uninstall all but one of them"))
    try:
        return entries[0].load()
    except FAILS as error:
        said = f"its '{name}' ({entries[0].value}) cannot be imported: {type(error).__name__}: {error}"
        raise UserError(one_line(f"package {packages}: {said}; fix or uninstall the package")) from None

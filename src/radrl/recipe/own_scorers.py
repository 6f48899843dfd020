"""Files of the user's own that a recipe names as scorers: ``FILE.py:NAME``, or with its digest ``FILE.py:NAME#DIGEST``.

They are read here and run in scoring/own.py. The digest is written into the recipe that a run keeps, so that a run is
not gone on with, nor judged, by a reward that has changed since.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from radrl.errors import UserError, one_line

if TYPE_CHECKING:
    from radrl.recipe.schema import Recipe

_NAMED = re.compile(r"(?P<file>.+\.py):(?P<name>[^:#]*)(?:#(?P<digest>.*))?", re.DOTALL)


class OwnFile(NamedTuple):
    """A scorer's file as it was read, its absolute path, and the name it is registered under there."""

    path: Path
    name: str
    source: bytes

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the file's SHA-256."""
        return hashlib.sha256(self.source).hexdigest()[:16]


def own_file(name: str, path: Callable[[str], Path], what: str = "scorer") -> OwnFile | None:
    """Returns the file a scorer, or other thing, is named by, found by ``path``; None for a name without a file.

    Raises:
        UserError: it cannot be read, or is not the one of the digest.
    """
    named = _NAMED.fullmatch(name)
    if named is None:
        return None
    place = path(named["file"])
    try:
        found = OwnFile(place, named["name"], place.read_bytes())
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UserError(one_line(f"{place}: cannot read the {what}'s file: {reason}")) from None
    if named["digest"] is not None and named["digest"] != found.digest:
        said = f"has changed (it is {found.digest} now); mend it, or remove '#{named['digest']}' from the recipe"
        raise UserError(one_line(f"{place}: {said}"))
    return found


def pinned(values: dict[str, Any], path: Callable[[str], Path]) -> None:
    """Makes the files of scorers absolute and adds their digests, in place, in a recipe's values. Raises UserError."""
    places = [reward for rewards in values.get("rewards", {}).values() for reward in rewards]
    for place in [*places, *values.get("evaluation", {}).get("metrics", [])]:
        for key in {"scorer", "gate"} & {k for k, value in place.items() if value}:
            if (file := own_file(place[key], path)) is not None:
                place[key] = f"{file.path}:{file.name}#{file.digest}"


def files(recipe: Recipe) -> list[OwnFile]:
    """Returns the files of scorers that a recipe names, one for each place where it names one. Raises UserError."""
    named = [name for rewards in recipe.rewards.values() for one in rewards for name in (one.scorer, one.gate) if name]
    named += [column.scorer for column in recipe.evaluation.metrics]
    return [file for name in named if (file := own_file(name, recipe.path)) is not None]


def check_names(recipe: Recipe) -> None:
    """Raises UserError where two files of scorers have one name: their scores would share a column."""
    seen: dict[str, Path] = {}
    for file in files(recipe):
        if seen.setdefault(file.path.name, file.path) != file.path:
            other = seen[file.path.name]
            raise UserError(one_line(f"{recipe.file}: {file.path} has the name of {other}; rename one of the files"))

"""Files of the user's own that a recipe names in place of a name that radrl knows.

``FILE.py:NAME`` is a scorer or an answer format, ``FILE.yaml`` a preset or a protocol. They are read here, and run
where they are used. Behind ``#`` stands the digest of a file: it is written into the recipe that a run keeps, so that
no run goes on with, and no comparison uses, a file that has changed since.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationInfo

from radrl.errors import UserError, one_line

_PYTHON = re.compile(r"(?P<file>.+\.py):(?P<name>[^:#]*)(?:#(?P<digest>.*))?", re.DOTALL)
_YAML = re.compile(r"(?P<file>.+\.ya?ml)(?:#(?P<digest>.*))?", re.DOTALL)


class OwnFile(NamedTuple):
    """A file as it was read: its absolute path, the name of what is wanted of it (empty of YAML), and its bytes."""

    path: Path
    name: str
    source: bytes

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the file's SHA-256."""
        return hashlib.sha256(self.source).hexdigest()[:16]

    @property
    def pinned(self) -> str:
        """The file as a recipe names it that is read from anywhere: ``/home/me/my.py:NAME#DIGEST``."""
        return f"{self.path}:{self.name}#{self.digest}" if self.name else f"{self.path}#{self.digest}"


def own_file(name: str, path: Callable[[str], Path], what: str = "scorer") -> OwnFile | None:
    """Returns the Python file that a name stands for, found by ``path``; None for a name without a file. ``what`` it
    holds stands in the error lines.

    Raises:
        UserError: it cannot be read, or is not the one of the digest.
    """
    return _read(_PYTHON.fullmatch(name), path, what)


def own_yaml(name: str, path: Callable[[str], Path], what: str) -> OwnFile | None:
    """Returns the YAML file that a name stands for, as `own_file` does."""
    return _read(_YAML.fullmatch(name), path, what)


def _read(named: re.Match[str] | None, path: Callable[[str], Path], what: str) -> OwnFile | None:
    if named is None:
        return None
    place = path(named["file"])
    try:
        file = OwnFile(place, named.groupdict().get("name") or "", place.read_bytes())
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UserError(one_line(f"{place}: cannot read the {what}'s file: {reason}")) from None
    if named["digest"] is not None and named["digest"] != file.digest:
        said = f"has changed (it is {file.digest} now); restore it, or remove '#{named['digest']}' from the recipe"
        raise UserError(one_line(f"{place}: {said}"))
    return file


def shown(name: str) -> str:
    """Returns a name as tables show it; of a file without its folder: ``my.yaml (sha256 DIGEST)``."""
    named = _PYTHON.fullmatch(name) or _YAML.fullmatch(name)
    if named is None:
        return name
    parts = named.groupdict()
    title = Path(parts["file"]).name + (f":{parts['name']}" if parts.get("name") else "")
    return f"{title} (sha256 {parts['digest']})" if parts["digest"] else title


def below(folder: Path) -> Callable[[str], Path]:
    """Returns what makes the paths of a file in ``folder`` absolute: relative ones start from there."""
    return lambda path: Path(os.path.normpath(folder / Path(path).expanduser()))


def paths_of(info: ValidationInfo) -> Callable[[str], Path]:
    """Returns how the paths of the recipe that is being validated are made absolute: by ``path`` of its context, else
    from where we are."""
    return (info.context or {}).get("path") or below(Path.cwd())


def pinned(values: dict[str, Any], path: Callable[[str], Path]) -> None:
    """Makes the files of scorers absolute and adds their digests, in place, in a recipe's values. Raises UserError."""
    places = [reward for rewards in values.get("rewards", {}).values() for reward in rewards]
    for place in [*places, *values.get("evaluation", {}).get("metrics", [])]:
        for key in {"scorer", "gate"} & {k for k, value in place.items() if value}:
            if (file := own_file(place[key], path)) is not None:
                place[key] = file.pinned

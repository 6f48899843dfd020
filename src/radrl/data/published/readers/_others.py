"""Readers that are not radrl's own: in a file that the user names (``FILE.py:NAME``), or in an installed package that
offers them by entry points of the group ``radrl.readers``.

Nobody has tested them here, so what they are and each Record that they give is held against the types of record.py.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from radrl.data.published.record import Reader, Record, Skipped
from radrl.data.published.wordings import own_wordings
from radrl.errors import UserError, nearest, one_line
from radrl.recipe.own_files import OwnFile
from radrl.support import plug_ins

GROUP = "radrl.readers"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")  # ids of Examples begin with it


def in_file(file: OwnFile, built_in: tuple[str, ...]) -> Reader:
    """Returns the reader of a file whose name is ``file.name``. Raises UserError where the file holds none."""
    readers = _readers_of(file.path, file.source)
    if file.name not in readers:
        hint = nearest(file.name, readers) or f"; it has: {', '.join(readers) or 'none'}"
        raise UserError(one_line(f"{file.path}: holds no Reader of the name '{file.name}'{hint}"))
    origin = f"{file.path}:{file.name}#{file.digest}"
    return _checked(readers[file.name], file.name, str(file.path), origin, built_in)


@lru_cache(maxsize=16)
def _readers_of(path: Path, source: bytes) -> dict[str, Reader]:
    values = vars(plug_ins.run_file(path, source)).values()
    return {str(value.name): value for value in values if isinstance(value, Reader)}


@cache
def in_packages() -> dict[str, list[plug_ins.EntryPoint]]:
    """Returns the readers that installed packages offer, by name; none of them is imported."""
    return plug_ins.offered(GROUP)


def of_package(name: str, built_in: tuple[str, ...]) -> Reader:
    """Imports and returns the reader that a package offers under this name.

    Raises:
        UserError: the import fails, it is no reader, or radrl or another package has a reader of this name.
    """
    entries = in_packages()[name]
    package = f"package {plug_ins.package_of(entries[0])}"
    if name in built_in:
        raise UserError(one_line(f"{package}: its reader '{name}' has the name of one of radrl's; uninstall it"))
    return _checked(plug_ins.load(entries), name, package, plug_ins.package_of(entries[0]), built_in)


def _checked(reader: Reader, name: str, where: str, origin: str, built_in: tuple[str, ...]) -> Reader:
    """Returns a reader that fails in one line, and gives nothing that is not a Record or Skipped as it should be."""
    if not isinstance(reader, Reader):
        raise UserError(one_line(f"{where}: '{name}' should be a Reader, not {type(reader).__name__}"))
    try:
        reader = TypeAdapter(Reader).validate_python(reader)
    except ValidationError as error:
        raise UserError(one_line(f"{where}: reader '{name}': {_first(error)}")) from None
    if reader.name != name:
        raise UserError(one_line(f"{where}: reader '{name}' says name='{reader.name}'; give it one name"))
    if not NAME.fullmatch(name):
        raise UserError(one_line(f"{where}: '{name}' is no name for a reader; use letters, digits and _"))
    if name in built_in:
        raise UserError(f"{where}: radrl has a reader '{name}' of its own; give this one another name")
    if not reader.kinds:
        raise UserError(f"{where}: reader '{name}': kinds says what can be asked; name one at least")
    for template in reader.templates.values():
        if template not in own_wordings() and f"{template}-findings" not in own_wordings():
            raise UserError(one_line(f"{where}: reader '{name}': templates names '{template}', which there is not"))
    return replace(reader, read=lambda root, options: _checked_records(reader, where, root, options), origin=origin)


def _checked_records(reader: Reader, where: str, root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields what a reader yields, checked. An exception's own words are left out: they may hold a report."""
    source = getattr(getattr(inspect.unwrap(reader.read), "__code__", None), "co_filename", where)
    record_type = TypeAdapter(Record)
    number = 0
    try:
        for number, item in enumerate(reader.read(root, options), 1):  # noqa: B007  said where it fails
            if not isinstance(item, Record | Skipped):
                raise UserError(f"{where}: reader '{reader.name}' gives {type(item).__name__}, no Record or Skipped")
            yield record_type.validate_python(item) if isinstance(item, Record) else item
    except ValidationError as error:
        raise UserError(one_line(f"{where}: reader '{reader.name}', record {number}: {_first(error)}")) from None
    except UserError:
        raise
    except plug_ins.FAILS as error:
        line = plug_ins.line_in(error, source)
        place = f"{source}:{line}" if line else where
        said = f"reader '{reader.name}' fails with {type(error).__name__} after {number} records"
        raise UserError(one_line(f"{place}: {said}")) from None


def _first(error: ValidationError) -> str:
    """Returns where an error is and what should be there; not what is there, which may be of a report."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"

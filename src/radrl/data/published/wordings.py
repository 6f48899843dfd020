"""The words in which a record is asked: our own (``templates/*.yaml``), published ones (``templates/published``), or a
user's file. Each is a YAML mapping from what is asked to a list of wordings; which one a question gets depends on its
id alone, so the same record is always asked the same way, whatever else is prepared beside it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from radrl.errors import UserError, nearest, one_line
from radrl.recipe.yaml_file import read_mapping

Wordings = Mapping[str, Sequence[str]]
_SLOT = re.compile(r"\{(\w+)(:lower)?\}")


@lru_cache
def own_wordings() -> dict[str, list[str]]:
    """Returns our own wordings by what is asked."""
    folder = resources.files("radrl.data.published") / "templates"
    found: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            found |= yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def published_wordings() -> list[str]:
    """Returns the names of the published wordings that are at hand."""
    folder = resources.files("radrl.data.published") / "templates" / "published"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_wordings(given: str) -> dict[str, list[str]]:
    """Returns the wordings of a publication's name or of a user's YAML file; what they lack is asked in our own.

    Raises:
        UserError: no such name or file, something is asked that there is no question for, or a wording lacks a word in
            braces that the question is about, or has an unknown one.
    """
    if given in published_wordings():
        packaged = resources.files("radrl.data.published") / "templates" / "published" / f"{given}.yaml"
        return yaml.safe_load(packaged.read_text(encoding="utf-8"))
    file = Path(given)
    if file.suffix not in (".yaml", ".yml") and not file.is_file():
        names = ", ".join(published_wordings())
        raise UserError(
            f"--wordings {given}: no such wordings{nearest(given, published_wordings())}; give {names} or a YAML file"
        )
    found = read_mapping(file, "file of wordings")
    for key, texts in found.items():
        fault = _fault(key, texts)
        if fault:
            raise UserError(one_line(f"{file}: key '{key}': {fault}"))
    return found


def _fault(key: str, texts: Any) -> str:
    if key not in own_wordings():
        return f"unknown{nearest(key, own_wordings())}; there are {', '.join(own_wordings())}"
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        return "should be a list of questions"
    needed = {name for text in own_wordings()[key] for name, _ in _SLOT.findall(text)}
    for number, text in enumerate(texts, 1):
        slots = {name for name, _ in _SLOT.findall(text)}
        if lacking := needed - slots:
            return f"wording {number} has no {{{min(lacking)}}}"
        if unknown := slots - needed:
            return f"wording {number} has {{{min(unknown)}}}{nearest(min(unknown), needed)}, which nothing stands for"
    return ""


def worded(wordings: Wordings, key: str, name: str, words: Mapping[str, str]) -> str:
    """Returns the question of id ``name``: its wording, with ``words`` for those in braces.

    ``{label:lower}`` is RadVLM's way: in lower case where it begins with a capital and is not all capitals.
    """
    texts = wordings.get(key) or own_wordings()[key]
    text = texts[zlib.crc32(name.encode()) % len(texts)]

    def word(match: re.Match[str]) -> str:
        said = words.get(match[1], match[0])
        return said.lower() if match[2] and said[:1].isupper() and not said.isupper() else said

    # in one pass and not with str.format: a phrase of a report may hold braces
    return _SLOT.sub(word, text)

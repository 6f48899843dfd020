"""What the readers of question-answer sets share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from radrl.choices.picking import LETTERS
from radrl.data.published.record import QA, Option, Skipped

DUPLICATES = Option(("keep", "drop"), "questions that stand twice with the same image and answer: keep or drop")


def yes_no(answer: str) -> tuple[str, ...]:
    """Returns yes and no in the spelling of the answer (``Yes``, ``No``); nothing where it is neither."""
    if answer.lower() not in ("yes", "no"):
        return ()
    spelt = str.upper if answer.isupper() else str.title if answer[0].isupper() else str.lower
    return (spelt("yes"), spelt("no")) if answer in (spelt("yes"), spelt("no")) else ()


def said(row: Mapping[str, Any], key: str) -> str:
    """Returns a text of a record without white space around it; numbers are written out.

    Raises:
        KeyError: there is no such key.
        ValueError: it holds something else.
    """
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"'{key}' holds {type(value).__name__}, not text")
    return str(value).strip()


def text_or_none(row: Mapping[str, Any], key: str) -> str:
    """Returns a text as `said` does; empty where there is no such key, or nothing under it."""
    return said(row, key) if row.get(key) is not None else ""


def lettered(options: Any) -> dict[str, str]:
    """Returns the options of a question by letter, A first: of a mapping by letter, of a list of ``{"letter",
    "content"}``, or of a list of texts, whose own letters (``A. ...``) are left out where each has its own.

    Raises:
        ValueError: the letters have gaps, or there is no such thing.
    """
    if isinstance(options, Mapping):
        found = {str(letter): said(options, letter) for letter, text in options.items() if text is not None}
    elif isinstance(options, list) and options and all(isinstance(option, Mapping) for option in options):
        found = {said(option, "letter"): said(option, "content") for option in options}
    elif isinstance(options, list) and all(isinstance(option, str) for option in options):
        texts = [option.strip() for option in options]
        own = [match for text in texts if (match := re.fullmatch(r"\(?([A-Z])[.):]\s*(.*)", text, re.S))]
        if [match.group(1) for match in own] == list(LETTERS[: len(texts)]):
            texts = [match.group(2) for match in own]
        found = dict(zip(LETTERS, texts, strict=False))
    else:
        raise ValueError("its options are no list and no mapping of texts")
    if sorted(found) != list(LETTERS[: len(found)]) or (isinstance(options, list) and len(found) != len(options)):
        raise ValueError(f"its options have the letters {', '.join(sorted(found)) or 'of none'}, not A, B, C ...")
    return {letter: found[letter] for letter in LETTERS[: len(found)]}


def letter(row: Mapping[str, Any], key: str) -> str:
    """Returns the letter under a key, which may be written as ``(b)`` or ``B.``. Raises as `said` does."""
    return said(row, key).strip(" .:()").upper()


def closed(name: str, where: str, options: Mapping[str, str], right: str) -> Skipped | None:
    """Returns why a question of these options, whose right one has the letter ``right``, cannot be asked; None where it
    can.

    Raises:
        ValueError: the right one is none of them.
    """
    if right not in options:
        raise ValueError(f"the answer '{right[:80]}' is none of {', '.join(options) or 'no options'}")
    if len(options) < 2 or not all(options.values()):
        return Skipped(name, "an option is empty", where=where)
    if list(options.values()).count(options[right]) > 1:
        return Skipped(name, "two options are the same", where=where)
    return None


def multiple_choice(
    name: str, where: str, question: str, options: Mapping[str, str], right: str, kind: str = ""
) -> QA | Skipped:
    """Returns the question of these options by letter, answered with the one of letter ``right``; or why it cannot be
    asked, as `closed` does. Raises as `closed` does."""
    return closed(name, where, options, right) or QA("", question, options[right], tuple(options.values()), kind)


def first_folder(root: Path, folders: Iterable[str]) -> str:
    """Returns the first of the folders that is there below the root, else the first one."""
    folders = list(folders)
    return next((folder for folder in folders if (Path(root) / folder).is_dir()), folders[0])


class Seen:
    """Tells questions that stand twice. Holds a hash of each, 8 bytes."""

    def __init__(self) -> None:
        self.hashes: set[int] = set()

    def twice(self, *parts: str) -> bool:
        """Returns whether these texts, but for case and white space around them, came before."""
        key = hash(tuple(part.strip().lower() for part in parts))
        before = key in self.hashes
        self.hashes.add(key)
        return before

"""Answer formats of the user's own: ``prompt.answer_format: FILE.py:NAME`` names a function that reads an answer.

    def NAME(text: str, example: Example) -> Answer

``text`` is what follows the thinking, without what ends a completion; it is never empty. Boxes in the Answer are 0-1 of
the image, ``choice`` is the index of an option. An answer that cannot be read is ``Answer(text, well_formed=False)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from radrl.errors import UserError, nearest, one_line
from radrl.example import Answer, Example
from radrl.recipe.own_files import OwnFile, own_file
from radrl.support import plug_ins

_ANSWER = TypeAdapter(Answer)


@lru_cache(maxsize=64)
def _function(name: str) -> tuple[OwnFile, Callable[[str, Example], object]]:
    file = own_file(name, Path, "answer format")
    if file is None:
        raise UserError(one_line(f"answer format '{name}': write plain, tags, boxed or FILE.py:NAME"))
    names = vars(plug_ins.run_file(file.path, file.source))
    function = names.get(file.name)
    if not callable(function):
        functions = [key for key, value in names.items() if callable(value) and not key.startswith("_")]
        raise UserError(one_line(f"{file.path}: has no function '{file.name}'{nearest(file.name, functions)}"))
    return file, function


def check(name: str) -> None:
    """Runs the file of an answer format. Raises UserError where it fails or has no such function."""
    _function(name)


def read_answer(name: str, text: str, example: Example) -> Answer:
    """Returns what the function of an answer format reads in a text.

    Raises:
        UserError: it fails, or returns something else than an Answer that fits the Example. The line names file, line
            and Example, and no text: an exception's own words may hold an answer.
    """
    file, function = _function(name)

    def fault(said: str, line: int | None = None) -> UserError:
        place = f"{file.path}:{line}" if line else f"{file.path}"
        return UserError(one_line(f"{place}: answer format '{file.name}' {said} for '{example.id}'"))

    try:
        answer = function(text, example)
    except UserError:
        raise
    except plug_ins.FAILS as error:
        raise fault(f"fails with {type(error).__name__}", plug_ins.line_in(error, file.path)) from None
    if not isinstance(answer, Answer):
        raise fault(f"should return an Answer, not {type(answer).__name__},")
    try:
        answer = _ANSWER.validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise fault(f"returns an Answer whose {'.'.join(map(str, first['loc']))} is wrong ({first['msg']})") from None
    if answer.choice is not None and not 0 <= answer.choice < len(example.choices):
        raise fault(f"picks option {answer.choice} of {len(example.choices)}")
    return answer

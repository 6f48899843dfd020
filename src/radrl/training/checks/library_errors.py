"""Errors that transformers, TRL, peft or torch raise because of a setting: one line instead of their tracebacks.

What our own code is in keeps its traceback: it may be a fault of ours, and has to look like one.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import radrl
from radrl.errors import UserError, in_words, one_line, out_of_memory
from radrl.recipe.schema import Recipe, StageKind
from radrl.support.files import no_space

OURS = str(Path(radrl.__file__).parent)
LIBRARIES = ("trl", "peft", "transformers", "accelerate", "torch")


@contextmanager
def one_line_refusals(recipe: Recipe, kind: StageKind, where: str = "", *, deliberate: bool = False) -> Iterator[None]:
    """Turns an error that a library raises within the block into one line that names a stage's section of the recipe,
    and the key that the error speaks of. ``where`` it happened stands in the line.

    An error with our own code between the block and the library passes, as a fault that may be ours. With
    ``deliberate``, where nothing is computed and libraries only look at settings, what is raised within a library
    does not: our trainers' methods call theirs.

    Raises:
        UserError: a library refused a setting.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        library = _library(error, deliberate)
        if library is None or out_of_memory(error) or no_space(error):
            raise
        said = in_words(error)
        section, settings = recipe.trl_section(kind)
        named = [key for key in settings if re.search(rf"\b{re.escape(key)}\b", said)]
        at = f"key '{section}.{named[0]}'" if len(named) == 1 else f"section '{section}'"
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UserError(one_line(f"{recipe.file}: {at}: {library} refuses it{where}: {what}{said[:400]}")) from error


def _library(error: BaseException, deliberate: bool) -> str | None:
    """Returns the library that raised an error which is no fault of our code; None where it may be one."""
    names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    libraries = [name.partition("site-packages/")[2].partition("/")[0] for name in names]
    ours = max(k for k, name in enumerate(names) if name.startswith(OURS))
    first = next((k for k, library in enumerate(libraries) if library in LIBRARIES), None)
    # what our own code raises, or a call that it makes wrongly, is ours
    if first is None or (ours > first and not (deliberate and libraries[-1] in LIBRARIES)):
        return None
    return next((library for library in reversed(libraries) if library in LIBRARIES[:3]), libraries[-1])

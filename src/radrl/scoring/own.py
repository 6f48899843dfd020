"""Scorers of the user's own: ``FILE.py:NAME`` in a recipe is what ``@scorer("NAME", ...)`` registers in that file.

The file is code that the user names on purpose; it is run when the recipe is checked. What it registers is known under
its file's name alone, so that no recipe sees another's scorers, and none takes a built-in's place. The text of the file
travels with a scorer to worker processes and machines, so all run what was checked.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import radrl.scoring  # noqa: F401  before a file is run: else its import of radrl would register the built-ins as its own
from radrl.errors import UserError, nearest, one_line
from radrl.example import TASKS, Answer, Example, Score
from radrl.recipe.own_scorers import OwnFile, own_file
from radrl.scoring import registry
from radrl.scoring.registry import Scorer

NOT_OWN = ("pooled", "fit", "missing", "kind", "low_of")  # fields of Scorer that only radrl's own may set
FAILS = (Exception, SystemExit)  # a script's sys.exit must not end the run as if it were done


def find(name: str, path: Callable[[str], Path]) -> Scorer:
    """Returns the scorer that a recipe or command names: a built-in, or ``FILE.py:NAME`` with the file found by
    ``path``.

    Raises:
        UserError: there is none, or its file cannot be read, run, or does not keep to what a scorer is.
    """
    file = own_file(name, path)
    return registry.get(name) if file is None else load(file)


def load(file: OwnFile) -> Scorer:
    """Returns the scorer that a file of the user's registers. Raises UserError."""
    found, names = _run(file.path, file.source)
    if file.name not in found:
        hint = nearest(file.name, found) or f"; it has: {', '.join(found) or 'none'}"
        if callable(names.get(file.name)) and not found:
            hint = f'; put @scorer("{file.name}", tasks=("report",)) before it, with the tasks it scores'
        raise UserError(one_line(f"{file.path}: registers no scorer '{file.name}'{hint}"))
    return replace(found[file.name], own=file)


@functools.lru_cache(maxsize=64)
def _run(path: Path, source: bytes) -> tuple[Mapping[str, Scorer], Mapping[str, Any]]:
    """Runs a file; returns the scorers it registers, checked, and all its names."""
    module = ModuleType(f"radrl_own_{abs(hash((path, source)))}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        with registry.apart() as found:
            exec(compile(source, str(path), "exec"), module.__dict__)
    except UserError:
        raise
    except FAILS as error:
        line = error.lineno if isinstance(error, SyntaxError) else _line(error, path)
        raise UserError(one_line(f"{path}:{line or 1}: {type(error).__name__}: {error}")) from None
    return {name: _checked(scorer, path) for name, scorer in found.items()}, vars(module)


def _checked(scorer: Scorer, path: Path) -> Scorer:
    """Returns a scorer under its file's name, that fails in one line. Raises UserError where it can be no scorer."""

    def wrong(text: str) -> NoReturn:
        raise UserError(one_line(f"{path}:{first}: scorer '{scorer.name}' {text}"))

    function = inspect.unwrap(scorer.function)
    first = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        wrong("is no plain function")
    if said := [name for name in NOT_OWN if getattr(scorer, name) is not getattr(Scorer, name)]:
        wrong(f"may not set {said[0]}, which is for radrl's own scorers")
    tasks = tuple(scorer.tasks) if isinstance(scorer.tasks, tuple | list) else ()
    if not tasks or not set(tasks) <= set(TASKS):
        wrong(f'should have tasks=(...) of {", ".join(TASKS)}, such as tasks=("report",)')
    low, high = scorer.low, scorer.high
    if not (isinstance(low, numbers.Real) and isinstance(high, numbers.Real) and low < high):
        wrong("should have a low below its high")
    if not math.isfinite(low if scorer.higher_is_better else high):
        wrong("needs a finite worst value: an answer without text gets it")
    try:
        signature = inspect.signature(scorer.function, eval_str=True)
        signature.bind([], [])
    except Exception as error:  # annotations are evaluated, so of any type
        wrong(f"should take (examples, answers) and options with defaults after '*': {error}")
    name = f"{path.name}:{scorer.name}"
    title = scorer.title or scorer.name.replace("_", " ")
    return replace(scorer, name=name, title=title, tasks=tasks, function=_guarded(scorer, path, first))


def _guarded(scorer: Scorer, path: Path, first: int) -> Callable[..., list[Score | None]]:
    """Returns the scorer's function with every failure as one line that names file, line and case, and no text of it:
    an exception's own words may hold a report."""

    @functools.wraps(scorer.function)
    def call(examples: Sequence[Example], answers: Sequence[Answer], **options: Any) -> list[Score | None]:
        def wrong(text: str, example: Example, line: int = first) -> NoReturn:
            raise UserError(one_line(f"{path}:{line}: scorer '{scorer.name}' {text} for '{example.id}'"))

        try:
            found = list(scorer.function(examples, answers, **options))
        except UserError:
            raise
        except FAILS as error:
            case = _first_failing(scorer.function, examples, answers, options)
            wrong(f"fails with {type(error).__name__}", case, _line(error, path) or first)
        if len(found) != len(examples):
            case = examples[min(len(found), len(examples) - 1)]
            wrong(f"gives {len(found)} values for {len(examples)} Examples; the first that does not fit is", case)
        for i, (example, score) in enumerate(zip(examples, found, strict=True)):
            if score is None:
                continue
            if not isinstance(score, Score) or not isinstance(score.value, numbers.Real):
                kind = type(score.value if isinstance(score, Score) else score).__name__
                wrong(f"should give Score(number) or None, not {kind},", example)
            if not scorer.low <= score.value <= scorer.high:  # also catches NaN
                wrong(f"gives {score.value}, outside [{scorer.low}, {scorer.high}],", example)
            found[i] = score._replace(value=float(score.value))
        return found

    return call


def _first_failing(function: Any, examples: Sequence[Example], answers: Sequence[Answer], options: Any) -> Example:
    """Returns the first Example with which the function fails alone; the first of all where none does."""
    for example, answer in zip(examples, answers, strict=True):
        try:
            list(function([example], [answer], **options))
        except FAILS:
            return example
    return examples[0]


def _line(error: BaseException, path: Path) -> int | None:
    """Returns the line of a file where an exception came from, the innermost; None where it did not pass there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None

"""Scorers that are not radrl's own: of a file, and of an installed package.

``FILE.py:NAME`` in a recipe is what ``@scorer("NAME", ...)`` registers in that file. The file is code that the user
names on purpose; it is run when the recipe is checked. What it registers is known under its file's name alone, so that
no recipe sees another's scorers, and none takes a built-in's place. The text of the file travels with a scorer to
worker processes and machines, so all run what was checked.

A package offers a scorer by an entry point of the group ``radrl.scorers``: its name is the scorer's, its value the
function below ``@scorer``. It is imported when a recipe or a command names it, or the list of scorers is asked for.
"""

from __future__ import annotations

import copyreg
import functools
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from radrl.errors import UserError, nearest, one_line
from radrl.example import TASKS, Answer, Example, Score
from radrl.recipe.own_files import OwnFile, own_file
from radrl.scoring import registry
from radrl.scoring.registry import Scorer
from radrl.support import plug_ins

GROUP = "radrl.scorers"
NOT_OWN = ("pooled", "fit", "missing", "kind", "low_of")  # fields of Scorer that only radrl's own may set


def find(name: str, path: Callable[[str], Path]) -> Scorer:
    """Returns the scorer that a recipe or command names: a built-in, that of an installed package, or ``FILE.py:NAME``
    with the file found by ``path``.

    Raises:
        UserError: there is none, or its file or package cannot be read, run, or does not keep to what a scorer is.
    """
    file = own_file(name, path)
    if file is not None:
        return of_file(file)
    return of_package(name) if name in in_packages() else registry.get(name, in_packages())


def _by_name(scorer: Scorer) -> tuple[Any, ...]:
    return _again, (scorer.name, dict(scorer.options), scorer.own)


def _again(name: str, options: dict[str, Any], file: OwnFile | None) -> Scorer:
    return (find(name, Path) if file is None else of_file(file)).with_options(options)


copyreg.pickle(Scorer, _by_name)  # a worker process finds it anew: functions made in a loop cannot be pickled


@functools.cache
def in_packages() -> dict[str, list[plug_ins.EntryPoint]]:
    """Returns the scorers that installed packages offer, by name; none of them is imported."""
    return plug_ins.offered(GROUP)


@functools.cache
def of_package(name: str) -> Scorer:
    """Imports and returns the scorer that a package offers under this name.

    Raises:
        UserError: the import fails, it is no scorer, or radrl or another package has a scorer of this name.
    """
    entries = in_packages()[name]
    package = plug_ins.package_of(entries[0])
    if registry.is_own(name):
        raise UserError(
            one_line(f"package {package}: its scorer '{name}' has the name of one of radrl's; uninstall the package")
        )
    with registry.apart():
        function = plug_ins.load(entries)
    scorer = registry.scorers_of(function).get(name)
    if scorer is None:
        said = f"its '{name}' ({entries[0].value}) is no function below @scorer(\"{name}\", ...)"
        raise UserError(one_line(f"package {package}: {said}; fix or uninstall the package"))
    source = Path(inspect.getsourcefile(inspect.unwrap(scorer.function)) or entries[0].value)
    checked = _checked(scorer, source)
    return replace(checked, name=name, package=package)


def of_file(file: OwnFile) -> Scorer:
    """Returns the scorer that a file of the user's registers. Raises UserError."""
    scorers, names = _run(file.path, file.source)
    if file.name not in scorers:
        hint = nearest(file.name, scorers) or f"; it has: {', '.join(scorers) or 'none'}"
        if callable(names.get(file.name)) and not scorers:
            hint = f'; put @scorer("{file.name}", tasks=("report",)) before it, with the tasks it scores'
        raise UserError(one_line(f"{file.path}: registers no scorer '{file.name}'{hint}"))
    return replace(scorers[file.name], own=file)


@functools.lru_cache(maxsize=64)
def _run(path: Path, source: bytes) -> tuple[Mapping[str, Scorer], Mapping[str, Any]]:
    """Runs a file; returns the scorers it registers, checked, and all its names."""
    with registry.apart() as registered:
        module = plug_ins.run_file(path, source)
    checked = {name: _checked(scorer, path) for name, scorer in registered.items()}
    names_of_file = {name: replace(scorer, name=f"{path.name}:{name}") for name, scorer in checked.items()}
    return names_of_file, vars(module)


def _checked(scorer: Scorer, path: Path) -> Scorer:
    """Returns a scorer that fails in one line. Raises UserError where it can be no scorer."""

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
    title = scorer.title or scorer.name.replace("_", " ")
    return replace(scorer, title=title, tasks=tasks, function=_guarded(scorer, path, first))


def _guarded(scorer: Scorer, path: Path, first: int) -> Callable[..., list[Score | None]]:
    """Returns the scorer's function with every failure as one line that names file, line and case, and no text of it:
    an exception's own words may hold a report."""

    @functools.wraps(scorer.function)
    def call(examples: Sequence[Example], answers: Sequence[Answer], **options: Any) -> list[Score | None]:
        def wrong(text: str, example: Example, line: int = first) -> NoReturn:
            raise UserError(one_line(f"{path}:{line}: scorer '{scorer.name}' {text} for '{example.id}'"))

        try:
            scores = list(scorer.function(examples, answers, **options))
        except UserError:
            raise
        except plug_ins.FAILS as error:
            case = _first_failing(scorer.function, examples, answers, options)
            wrong(f"fails with {type(error).__name__}", case, plug_ins.line_in(error, path) or first)
        if len(scores) != len(examples):
            case = examples[min(len(scores), len(examples) - 1)]
            wrong(f"gives {len(scores)} values for {len(examples)} Examples; the first that does not fit is", case)
        for i, (example, score) in enumerate(zip(examples, scores, strict=True)):
            if score is None:
                continue
            if not isinstance(score, Score) or not isinstance(score.value, numbers.Real):
                kind = type(score.value if isinstance(score, Score) else score).__name__
                wrong(f"should give Score(number) or None, not {kind},", example)
            if not scorer.low <= score.value <= scorer.high:  # also catches NaN
                wrong(f"gives {score.value}, outside [{scorer.low}, {scorer.high}],", example)
            scores[i] = score._replace(value=float(score.value))
        return scores

    return call


def _first_failing(function: Any, examples: Sequence[Example], answers: Sequence[Answer], options: Any) -> Example:
    """Returns the first Example with which the function fails alone; the first of all where none does."""
    for example, answer in zip(examples, answers, strict=True):
        try:
            list(function([example], [answer], **options))
        except plug_ins.FAILS:
            return example
    return examples[0]

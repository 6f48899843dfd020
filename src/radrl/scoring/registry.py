"""Scorers by name. A scorer is one function; a reward and a metric are the same scorer."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radrl.errors import UserError, nearest
from radrl.example import Answer, Example, Score, Task
from radrl.recipe.own_files import OwnFile
from radrl.support import plug_ins

ScoreFunction = Callable[..., list[Score | None]]


class Pooled(NamedTuple):
    """The value of a set as a function of sums over its cases. ``table`` takes Examples, Answers and options, as a
    score function does, and returns what is added up, (cases, s); ``value`` maps sums (..., s) to values (...). A case
    that has no Score adds nothing. Both are plain functions of a module: they are sent to other processes."""

    table: Callable[..., NDArray[np.float64]]
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Scorer:
    """A named scorer with what a table must know of it.

    ``function`` takes Examples and their Answers (same length) and returns a Score each, or None where the scorer
    does not apply; it is only called with Examples of its ``tasks``. Each Score depends on its own pair only, so that
    equal pairs are scored once. Every value is finite and in [low, high]. Keyword-only parameters of the function are
    its options.

    ``pooled`` gives the value of a whole set where that is not the mean of its cases (BLEU): a function of sums over
    them, which an evaluation can also resample. ``fit`` takes Examples and the options set, and returns options that
    come from a whole corpus of references (CIDEr's document frequencies). ``missing`` returns None, or the line that
    says which package or weights the scorer lacks and how to get them. ``reads_blank``: the function also scores
    Answers without text, which else get the worst value. ``title`` is the figure's name in tables, with its variant.
    ``own`` is the file of a scorer that is the user's own, ``package`` name and version of the package that offers it.

    For docs/scorers.md (`radrl.scoring.table`): ``source`` is the paper, ``needs`` what has to be installed or named,
    ``cheated`` how a policy can earn it without a better answer. What it gives is the first sentence of the function's
    docstring.

    To other processes a Scorer is sent by its name (own.py).
    """

    name: str
    function: ScoreFunction
    tasks: tuple[Task, ...]
    low: float
    high: float
    higher_is_better: bool
    pooled: Pooled | None = None
    fit: Callable[..., Mapping[str, Any]] | None = None
    missing: Callable[..., str | None] = lambda **options: None
    kind: Literal["cpu", "neural", "judge"] = "cpu"
    low_of: Callable[..., float] | None = None  # the low end of the range, where it depends on the options
    reads_blank: bool = False
    title: str = ""
    source: str = ""
    needs: str = ""
    cheated: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    own: OwnFile | None = None
    package: str = ""

    @property
    def origin(self) -> str:
        """Where a scorer that is not radrl's own comes from, as tables say it; empty for radrl's."""
        return f"sha256 {self.own.digest}" if self.own else self.package

    def __call__(self, examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
        """Scores each pair; None where the Example's task is not one of this scorer's.

        An Answer without text (thinking never closed, say) gets the worst value: it must not be paid for a normal
        film whose reference names no finding, nor for a question with nothing to find. Equal Answers to one Example
        are scored once.

        Raises:
            UserError: a package, weights or an option is missing.
            ValueError: a value is not in [low, high].
        """
        self._check_ready()
        scores: list[Score | None] = [None] * len(examples)
        blank = Score(self.low if self.higher_is_better else self.high)
        tasks, low, high = self.tasks, self.low, self.high
        first, by_task = _first_like(examples, answers)
        rows = sorted(chain.from_iterable([by_task.get(task, ()) for task in tasks]))
        blanks = self.reads_blank
        if blanks:
            rows = sorted(rows + [i for i, same in enumerate(first) if same == BLANK and examples[i].task in tasks])
        if rows:
            found = self.function([examples[i] for i in rows], [answers[i] for i in rows], **self.options)
            for i, score in zip(rows, found, strict=True):
                if score is not None and not low <= score.value <= high:  # also catches NaN
                    at = examples[i].id
                    raise ValueError(f"scorer {self.name} gave {score.value} for {at}, outside [{low}, {high}]")
                scores[i] = score
        if len(rows) < len(first):
            for i, same in enumerate(first):
                if same != i and examples[i].task in tasks and not (blanks and same == BLANK):
                    scores[i] = blank if same == BLANK else scores[same]
        return scores

    def sums(
        self, examples: Sequence[Example], answers: Sequence[Answer], scores: Sequence[Score | None]
    ) -> NDArray[np.float64]:
        """Returns what is added up for the value of a set, (cases, s); 0 for a case whose score is None. Only of a
        scorer that has ``pooled``."""
        if self.pooled is None:
            raise ValueError(f"the value of a set of {self.name} is the mean of its cases, not made of sums")
        rows = [i for i, score in enumerate(scores) if score is not None]
        found = self.pooled.table([examples[i] for i in rows], [answers[i] for i in rows], **self.options)
        wide = np.zeros((len(scores), found.shape[1]))
        wide[rows] = found
        return wide

    def corpus_value(
        self, examples: Sequence[Example], answers: Sequence[Answer], scores: Sequence[Score | None]
    ) -> float | None:
        """Returns the value of a whole set whose ``scores`` this scorer gave; None where it applies to no case."""
        known = [score.value for score in scores if score is not None]
        if not known:
            return None
        if self.pooled is None:
            return sum(known) / len(known)
        return float(self.pooled.value(self.sums(examples, answers, scores).sum(axis=0)))

    def with_options(self, options: Mapping[str, Any]) -> Scorer:
        """Returns this scorer with some of its options set.

        Raises:
            UserError: it has no such option, or the value is of another type.
        """
        known = self._parameters()
        for name, value in options.items():
            if name not in known:
                offered = f"; it has: {', '.join(known)}" if known else "; it has none"
                raise UserError(f"scorer '{self.name}' has no option '{name}'{nearest(name, known)}{offered}")
            hint = known[name].annotation
            if not _fits(value, hint):
                said = hint.__name__ if isinstance(hint, type) else hint
                raise UserError(f"option '{name}' of scorer '{self.name}' should be {said}, not {value!r}")
        every = {**self.options, **options}
        return replace(self, options=every, low=self.low_of(**every) if self.low_of else self.low)

    def fitted(self, examples: Sequence[Example]) -> Scorer:
        """Returns this scorer made ready with a corpus of references; itself where it needs none."""
        return self if self.fit is None else self.with_options(self.fit(examples, **self.options))

    def _parameters(self) -> dict[str, inspect.Parameter]:
        every = inspect.signature(self.function, eval_str=True).parameters
        return {name: one for name, one in every.items() if one.kind is one.KEYWORD_ONLY}

    def _required(self) -> set[str]:
        return {name for name, one in self._parameters().items() if one.default is one.empty}

    def _check_ready(self) -> None:
        if problem := self.missing(**self.options):
            raise UserError(problem)
        if self.fit is not None and (self._required() - self.options.keys()):
            raise ValueError(f"scorer {self.name} needs a corpus: call .fitted(examples) first")


BLANK = -1
_last: tuple[Any, ...] = ((), (), ([], {}))


def _first_like(examples: Sequence[Example], answers: Sequence[Answer]) -> tuple[list[int], dict[Task, list[int]]]:
    """Returns for each pair the row of the first that is equal to it, BLANK where the Answer has no text, and of each
    task the rows that are the first of their kind.

    What the last batch gave is kept: the scorers of a rollout all ask for the same.
    """
    global _last
    key = (tuple(map(id, examples)), tuple(map(id, answers)))
    last = _last
    if key != last[0]:
        seen: dict[tuple[int, Answer], int] = {}
        pairs = zip(examples, answers, strict=True)
        found = [
            seen.setdefault((id(example), answer), i) if answer.text.strip() else BLANK
            for i, (example, answer) in enumerate(pairs)
        ]
        by_task: dict[Task, list[int]] = {}
        for i, same in enumerate(found):
            if same == i:
                by_task.setdefault(examples[i].task, []).append(i)
        # the pairs are held, so that their ids stay theirs
        _last = last = (key, (tuple(examples), tuple(answers)), (found, by_task))
    return last[2]


def _fits(value: Any, hint: Any) -> bool:
    if hint is inspect.Parameter.empty:
        return True
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if origin is Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


_SCORERS: dict[str, Scorer] = {}
_apart = False
_REGISTERED = "_radrl_scorers"  # attribute of a function: the scorers it was registered as
_RETIRED: dict[str, str] = {}


def scorer(
    name: str,
    *,
    tasks: tuple[Task, ...],
    low: float = 0.0,
    high: float = 1.0,
    higher_is_better: bool = True,
    **more: Any,
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Registers a function as the scorer ``name``; ``more`` are the other fields of Scorer.

    @scorer("lesion_count", tasks=("report",), low=0.0, high=1.0)
    def lesion_count(examples, answers, *, word="nodule"):
        return [Score(...) for example, answer in zip(examples, answers)]
    """

    def register(function: ScoreFunction) -> ScoreFunction:
        registered = Scorer(name, function, tasks, low, high, higher_is_better, **more)
        attributes = getattr(function, "__dict__", None)
        if isinstance(attributes, dict):
            attributes.setdefault(_REGISTERED, {})[name] = registered
        if _apart or not _module(function).startswith(plug_ins.FILES):  # else: a file that is run for something else
            _SCORERS[name] = registered
        return function

    return register


def retired(name: str, instead: str) -> None:
    """Makes a name that was ambiguous or is gone an error that says what to name instead."""
    _RETIRED[name] = instead


def scorers_of(function: Any) -> dict[str, Scorer]:
    """Returns the scorers that a function was registered as, by name."""
    return getattr(function, _REGISTERED, {})


def is_own(name: str) -> bool:
    """Returns whether radrl has a scorer of this name itself, or had one."""
    return name in _RETIRED or (name in _SCORERS and _module(_SCORERS[name].function).startswith("radrl."))


def _module(function: Any) -> str:
    return getattr(function, "__module__", None) or ""


def get(name: str, others: Iterable[str] = ()) -> Scorer:
    """Returns the scorer of that name; ``others`` are further names that an error line may mean.

    Raises:
        UserError: there is none; the nearest right name is given.
    """
    if name in _RETIRED:
        raise UserError(f"scorer '{name}': {_RETIRED[name]}")
    if name not in _SCORERS:
        known = sorted({*_SCORERS, *others})
        raise UserError(f"unknown scorer '{name}'{nearest(name, known)}; known: {', '.join(known)}")
    return _SCORERS[name]


@contextmanager
def apart() -> Iterator[dict[str, Scorer]]:
    """Meanwhile, scorers are registered in the mapping it gives and nowhere else."""
    global _SCORERS, _apart
    before, _SCORERS, _apart = (_SCORERS, _apart), {}, True
    try:
        yield _SCORERS
    finally:
        _SCORERS, _apart = before


def names() -> list[str]:
    """Returns the names of all scorers, sorted."""
    return sorted(_SCORERS)

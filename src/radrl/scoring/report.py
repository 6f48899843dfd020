"""Scorers of report text by what it says: findings, and clinical errors.

A reference that says nothing of a chest film (no finding present, absent or in doubt, and no "normal") gives None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from radrl.clinical import extract
from radrl.clinical.compare import KINDS, Comparison, Report, compare_merged, weighted_error
from radrl.example import Answer, Example, Finding, Mark, MarkKind, MarkSide, Score
from radrl.scoring.registry import scorer


@lru_cache(maxsize=16384)
def _read(text: str) -> Report:
    """A reference is scored with each answer and once an epoch, an answer once by each scorer here."""
    return Report.read(text)


@lru_cache(maxsize=4096)
def compared(reference: str, answer: str) -> Comparison:
    """Returns the comparison of two texts."""
    return compare_merged(_read(reference), _read(answer))


class _Marks(Sequence[Mark]):
    """The marks of a pair of texts, made when they are first looked at: a page does, a reward never."""

    def __init__(self, reference: str, answer: str) -> None:
        self._texts = reference, answer

    @cached_property
    def _made(self) -> tuple[Mark, ...]:
        reference, answer = self._texts
        return _marks(extract.findings(reference), extract.findings(answer), compared(reference, answer))

    def __getitem__(self, index: Any) -> Any:
        return self._made[index]

    def __len__(self) -> int:
        return len(self._made)


@scorer("finding_f1", tasks=("report",), source="ours", cheated="severity and change are not compared")
def finding_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """F1 of the findings that the answer says are there against those of the reference text, in 0-1.

    Both texts are read by clinical.extract and compared by clinical.compare, which has the rules: names and sides
    count, severity and change do not. For a normal film it is 1 where the answer says so, 0 for a text that says
    nothing of the film. Parts: ``precision``, ``recall``, and ``name_f1``, which leaves sides aside. Marks colour
    both texts.
    """
    return _scores(examples, answers, lambda found: found.f1, _parts)


@scorer(
    "faithfulness",
    tasks=("report",),
    source="after arXiv 2512.00601",
    cheated="by a report of a normal film, which is always faithful: not as the only reward",
)
def faithfulness(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """The share of the answer's findings that the reference has too, names and sides, in 0-1.

    After the objective of that name in CRPO (arXiv 2512.00601), which rewards the reasoning of a text model: figures
    are not comparable. An answer that names no finding gets 1 if it says something of the film, for a normal film
    something that the reference says too. So it must not be rewarded alone: a report of a normal film is always
    faithful.
    """

    def value(found: Comparison) -> float:
        if found.matched or found.false:
            return found.precision
        return float(not found.silent if found.missed else found.agreed_absent > 0)

    return _scores(examples, answers, value)


@scorer(
    "comprehensiveness",
    tasks=("report",),
    source="after arXiv 2512.00601",
    cheated="by naming every finding: not as the only reward",
)
def comprehensiveness(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """The share of the reference's findings that the answer has too, names and sides, in 0-1.

    After the objective of that name in CRPO, as faithfulness is. 1 where the reference has none and the answer speaks
    of the film. It must not be rewarded alone: an answer that names every finding is comprehensive.
    """

    def value(found: Comparison) -> float:
        if found.matched or found.missed:
            return found.recall
        return float(found.agreed_absent > 0 or bool(found.false))

    return _scores(examples, answers, value)


def clinical_error(
    examples: Sequence[Example], answers: Sequence[Answer], weights: Mapping[str, float] | None = None
) -> list[Score | None]:
    """Weighted clinical errors of the answer, in 0-1; 0 is without error, 1 agrees in nothing.

    The value is clinical.compare.weighted_error; ``weights`` by kind of error replace those of clinical/errors.yaml.
    Parts are the counts of each kind of error.
    """
    counts = lambda found: {kind: float(found.count(kind)) for kind in KINDS}  # noqa: E731
    return _scores(examples, answers, lambda found: weighted_error(found, weights), counts)


@scorer("clinical_error", tasks=("report",), higher_is_better=False, source="ours")
def _clinical_error(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """Weighted clinical errors of the answer, as a share of all that both texts say: 0 is without error."""
    return clinical_error(examples, answers)


def _scores(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    value: Callable[[Comparison], float],
    parts: Callable[[Comparison], Mapping[str, float]] = lambda _: {},
) -> list[Score | None]:
    scores: list[Score | None] = []
    for example, answer in zip(examples, answers, strict=True):
        if _read(example.reference).silent:
            scores.append(None)  # nothing to compare with
            continue
        found = compared(example.reference, answer.text)
        scores.append(Score(value(found), parts(found), _Marks(example.reference, answer.text)))
    return scores


def _parts(found: Comparison) -> dict[str, float]:
    return {"precision": found.precision, "recall": found.recall, "name_f1": found.name_f1}


def _marks(reference: Sequence[Finding], given: Sequence[Finding], found: Comparison) -> tuple[Mark, ...]:
    """Returns a mark for every finding either text speaks of, also for those merged into one."""
    matched = {finding.name for finding, _ in found.matched}
    wrong: dict[str, list[str]] = {}
    for error in found.errors:
        if error.reference is not None and error.answer is not None:
            wrong.setdefault(error.reference.name, []).append(error.kind.replace("_", " "))
    marks = []
    sides: tuple[tuple[MarkSide, Sequence[Finding], MarkKind], ...]
    sides = ("reference", reference, "missed"), ("answer", given, "false")
    for side, findings, alone in sides:
        for finding in findings:
            if finding.span is None:
                continue
            kind: MarkKind = "absent" if finding.presence == "absent" else "match" if finding.name in matched else alone
            note = _note(finding, wrong.get(finding.name, ()) if kind == "match" else ())
            marks.append(Mark(side, *finding.span, kind, note))
    return tuple(marks)


def _note(finding: Finding, wrong: Sequence[str]) -> str:
    """Returns a finding in words: ``pleural effusion, left, mild, worse; wrong severity``."""
    presence = "uncertain" if finding.presence == "uncertain" else None
    said = (finding.name, finding.side, finding.region, finding.severity, finding.change, finding.position, presence)
    return "; ".join([", ".join(x for x in said if x), *wrong])

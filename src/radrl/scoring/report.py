"""Scorers of report text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from radrl.clinical import extract
from radrl.clinical.compare import Comparison, compare
from radrl.example import Answer, Example, Finding, Mark, Score
from radrl.scoring.registry import scorer


@lru_cache(maxsize=4096)
def _reference_findings(text: str) -> tuple[Finding, ...]:
    """A reference is scored once a rollout and once an epoch; an answer is seldom seen twice."""
    return extract.findings(text)


@scorer("finding_f1", tasks=("report",))
def finding_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """F1 of the findings that the answer says are there against those of the reference text, in 0-1.

    Both texts are read by clinical.extract and compared by clinical.compare, which has the rules. Parts:
    ``precision``, ``recall``, and ``name_f1``, which leaves sides aside. Marks colour both texts.
    """
    scores: list[Score | None] = []
    for example, answer in zip(examples, answers, strict=True):
        reference, given = _reference_findings(example.reference), extract.findings(answer.text)
        found = compare(reference, given)
        parts = {"precision": found.precision, "recall": found.recall, "name_f1": found.name_f1}
        scores.append(Score(found.f1, parts, _marks(reference, given, found)))
    return scores


def _marks(reference: Sequence[Finding], given: Sequence[Finding], found: Comparison) -> tuple[Mark, ...]:
    """Returns a mark for every finding either text speaks of, also for those merged into one."""
    matched = {finding.name for finding, _ in found.matched}
    marks = []
    for side, findings, alone in (("reference", reference, "missed"), ("answer", given, "false")):
        for finding in findings:
            if finding.span is None:
                continue
            kind = "absent" if finding.presence == "absent" else "match" if finding.name in matched else alone
            marks.append(Mark(side, *finding.span, kind, _note(finding)))
    return tuple(marks)


def _note(finding: Finding) -> str:
    """Returns a finding in words: ``pleural effusion, left, mild``."""
    presence = "uncertain" if finding.presence == "uncertain" else None
    return ", ".join(x for x in (finding.name, finding.side, finding.region, finding.severity, presence) if x)

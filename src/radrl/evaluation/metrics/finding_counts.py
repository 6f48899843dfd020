"""How often each finding is reported rightly, falsely, or missed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from radrl.evaluation.metrics.records import FindingCounts
from radrl.example import Answer, Example
from radrl.scoring.report import compared


def count_findings(examples: Sequence[Example], answers: Sequence[Sequence[Answer]]) -> dict[str, FindingCounts]:
    """Counts each finding over the reports of all samples, by the rules of ``clinical.compare``.

    A finding said of the wrong side is both false and missed; one said of both sides where one is meant, or the
    other way round, counts as a match here (one half in finding_f1).
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    reports = [i for i, example in enumerate(examples) if example.task == "report"]
    for given in answers:
        for i in reports:
            one = compared(examples[i].reference, given[i].text)
            for kind, findings in enumerate(([wanted for wanted, _ in one.matched], one.false, one.missed)):
                for finding in findings:
                    counts[finding.name][kind] += 1
    return {name: FindingCounts(*kinds) for name, kinds in sorted(counts.items())}

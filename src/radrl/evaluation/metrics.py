"""The metrics of an evaluation: scorers from the registry, each on the tasks it is a metric of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

import radrl.scoring  # noqa: F401  (registers the scorers)
from radrl.clinical import extract
from radrl.clinical.compare import compare
from radrl.example import TASKS, Answer, Example, Score, Task
from radrl.scoring import registry


class Metric(NamedTuple):
    """A column of the tables: a scorer on some tasks. A headline metric lies in 0-1, and higher is better."""

    name: str
    title: str
    scorer: str
    tasks: tuple[Task, ...]
    headline: bool = True
    trivial: bool = False  # a baseline has the best value by its making, so being below it means nothing


METRICS: tuple[Metric, ...] = (
    Metric("finding_f1", "Report: finding F1", "finding_f1", ("report",)),
    Metric("soft_f1", "Grounding: soft F1", "soft_f1", ("grounding",)),
    Metric("mean_iou", "Grounding: mean IoU", "mean_iou", ("grounding",)),
    Metric("map50_radvlm", "Grounding: mAP50 (RadVLM)", "map50_radvlm", ("grounding",)),
    Metric("vqa_closed accuracy", "Closed VQA: accuracy", "vqa_accuracy", ("vqa_closed",)),
    Metric("vqa_open accuracy", "Open VQA: accuracy", "vqa_accuracy", ("vqa_open",)),
    Metric("format", "All tasks: format kept", "format", TASKS, trivial=True),
    # A model that shortens or pads its reports must show up in every table (METHODS.md), but length is no merit.
    Metric("length", "Report: words", "length", ("report",), headline=False),
    # Only where $RADRL_WEIGHTS has their weights.
    Metric("radgraph", "Report: RadGraph-XL F1, partial", "radgraph", ("report",), headline=False),
    Metric("chexbert_f1", "Report: CheXbert F1 a report", "chexbert_f1", ("report",), headline=False),
    Metric("bertscore", "Report: BERTScore", "bertscore", ("report",), headline=False),
    Metric("radcliq", "Report: RadCliQ-v1, lower is better", "radcliq", ("report",), headline=False),
)
BY_NAME = {metric.name: metric for metric in METRICS}
MAIN: dict[Task, str] = {  # the one metric of each task that ranks its cases
    "report": "finding_f1",
    "grounding": "soft_f1",
    "vqa_closed": "vqa_closed accuracy",
    "vqa_open": "vqa_open accuracy",
}


class FindingCounts(NamedTuple):
    """How often a finding was said by both, by the answer only (false) and by the reference only (missed)."""

    match: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Returns match / all said; None where the model never said it."""
        return self.match / (self.match + self.false) if self.match + self.false else None

    @property
    def recall(self) -> float | None:
        """Returns match / all there; None where no reference has it."""
        return self.match / (self.match + self.missed) if self.match + self.missed else None

    @property
    def f1(self) -> float | None:
        """Returns 2 match / (2 match + false + missed); None where neither ever said it."""
        total = 2 * self.match + self.false + self.missed
        return 2 * self.match / total if total else None


@dataclass(frozen=True)
class ModelScores:
    """What one model scored, case by case, in the order of the Examples.

    ``values[metric]`` is (n,), NaN where the metric does not apply; ``scores[metric]`` the Score it came from (parts
    and marks), None where it does not apply; ``findings[name]`` the counts of that finding over all reports.
    """

    values: dict[str, np.ndarray]
    scores: dict[str, list[Score | None]]
    findings: dict[str, FindingCounts] = field(default_factory=dict)


def score(examples: Sequence[Example], answers: Sequence[Answer]) -> ModelScores:
    """Scores one model's Answers with every metric.

    Raises:
        ValueError: there are not as many Answers as Examples.
        UserError: a scorer is not installed.
    """
    if len(examples) != len(answers):
        raise ValueError(f"{len(answers)} answers for {len(examples)} examples")
    values: dict[str, np.ndarray] = {}
    scores: dict[str, list[Score | None]] = {}
    for metric in METRICS:
        chosen = [i for i, example in enumerate(examples) if example.task in metric.tasks]
        mine: list[Score | None] = [None] * len(examples)
        scorer = registry.get(metric.scorer)
        if scorer.kind == "neural" and scorer.missing():
            chosen = []
        found = scorer([examples[i] for i in chosen], [answers[i] for i in chosen]) if chosen else []
        for i, one in zip(chosen, found, strict=True):
            mine[i] = one
        scores[metric.name] = mine
        values[metric.name] = np.array([np.nan if one is None else one.value for one in mine], dtype=float)
    reports = [i for i, example in enumerate(examples) if example.task == "report"]
    findings = count_findings((examples[i].reference, answers[i].text) for i in reports)
    return ModelScores(values, scores, findings)


def count_findings(reports: Iterable[tuple[str, str]]) -> dict[str, FindingCounts]:
    """Counts each finding over pairs of (reference, answer), by the rules of ``clinical.compare``.

    A finding said of the wrong side is both false and missed; one said of both sides where one is meant, or the
    other way round, counts as a match here (one half in finding_f1).
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for reference, answer in reports:
        found = compare(reference, extract.findings(answer))
        for kind, findings in enumerate(([wanted for wanted, _ in found.matched], found.false, found.missed)):
            for finding in findings:
                counts[finding.name][kind] += 1
    return {name: FindingCounts(*kinds) for name, kinds in sorted(counts.items())}

"""The table of the usual metrics: every scorer of the registry that an evaluation reports in any case.

Metrics of a whole set that no scorer gives (mAP, CheXpert F1, pass@k …) are in files of their own beside this one;
`score_cases` lists them.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

import radrl.scoring  # noqa: F401  registers the scorers
from radrl.evaluation.metrics.records import Metric
from radrl.example import TASKS, Task
from radrl.scoring import registry
from radrl.scoring.registry import Scorer

BY_CASE = "mean over cases; where none is there, 1 if the answer says so"

TASK_TITLES: dict[Task, str] = {
    "report": "Report",
    "grounding": "Grounding",
    "vqa_closed": "Closed VQA",
    "vqa_open": "Open VQA",
    "classification": "Classification",
}


class ScorerMetric(NamedTuple):
    """A scorer as a metric of some tasks."""

    metric: Metric
    scorer: Scorer


def _usual(name: str, title: str, scorer: str, tasks: tuple[Task, ...], **more: Any) -> ScorerMetric:
    own = scorer_metric(registry.get(scorer), tasks)
    return own._replace(metric=own.metric._replace(name=name, title=title, **more))


def scorer_metric(scorer: Scorer, tasks: tuple[Task, ...], title: str = "") -> ScorerMetric:
    """Returns a scorer of the registry as a metric, under a title of its own or the one given; the tasks and its
    options are in the name where they must be."""
    told = {k: v for k, v in scorer.options.items() if isinstance(v, int | float | str) and k != "device"}
    options = f"({', '.join(f'{key}={value}' for key, value in told.items())})" if told else ""
    said = f"{scorer.name}{options}"
    alone = scorer.tasks == tasks or tasks == ("report",)
    titled = title or f"{scorer.title or scorer.name.replace('_', ' ')}{options}"
    sentence = re.split(r"\.(?:\s|$)", inspect.getdoc(scorer.function) or "", maxsplit=1)[0]
    metric = Metric(
        name=said if alone else f"{tasks[0]} {said}",
        title=f"{TASK_TITLES[tasks[0]]}: {titled}",
        tasks=tasks,
        low=scorer.low,
        high=scorer.high,
        better="higher" if scorer.higher_is_better else "lower",
        about=f"scorer {said}{f' ({scorer.origin})' if scorer.origin else ''}: {' '.join(sentence.split())}",
    )
    return ScorerMetric(metric, scorer)


USUAL_METRICS: tuple[ScorerMetric, ...] = (
    _usual("finding_f1", "Report: finding F1", "finding_f1", ("report",), headline=True),
    _usual("clinical_error", "Report: clinical error", "clinical_error", ("report",)),
    # A model that shortens or pads its reports must show up in every table (METHODS.md), but length is no merit.
    _usual("length", "Report: words", "length", ("report",), better="neither"),
    _usual("soft_f1", "Grounding: soft F1", "soft_f1", ("grounding",), headline=True),
    _usual("soft_f1_labels", "Grounding: soft F1, labels agreeing", "soft_f1_labels", ("grounding",), headline=True),
    _usual("mean_iou", "Grounding: mean IoU", "mean_iou", ("grounding",), headline=True),
    _usual("map50_radvlm", "Grounding: mAP50 (RadVLM)", "map50_radvlm", ("grounding",), headline=True),
    _usual("vqa_closed accuracy", "Closed VQA: accuracy", "vqa_accuracy", ("vqa_closed",), headline=True),
    _usual("vqa_open accuracy", "Open VQA: accuracy", "vqa_accuracy", ("vqa_open",), headline=True),
    _usual("token_f1", "Open VQA: token F1", "token_f1", ("vqa_open",)),
    _usual("label_f1", "Classification: label F1", "label_f1", ("classification",), headline=True, about=BY_CASE),
    _usual("label_precision", "Classification: label precision", "label_precision", ("classification",), about=BY_CASE),
    _usual("label_recall", "Classification: label recall", "label_recall", ("classification",), about=BY_CASE),
    _usual(
        "label_accuracy",
        "Classification: accuracy",
        "label_accuracy",
        ("classification",),
        about="exactly the labels that are there are named",
    ),
    _usual("format", "All tasks: format kept", "format", TASKS, headline=True, trivial=True),
)
MAIN_METRICS: dict[Task, str] = {  # the one metric of each task that ranks its cases
    "report": "finding_f1",
    "grounding": "soft_f1",
    "vqa_closed": "vqa_closed accuracy",
    "vqa_open": "vqa_open accuracy",
    "classification": "label_f1",
}

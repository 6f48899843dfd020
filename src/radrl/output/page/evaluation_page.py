"""The page of an evaluation: one HTML file that asks nothing of any network; its one script draws the cases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from radrl.evaluation.metrics.records import CaseScores
from radrl.evaluation.statistics.result import Comparison
from radrl.example import Answer, Example
from radrl.output.page import cases, charts, pictures
from radrl.output.page.findings import Row, findings_table
from radrl.output.page.first_look import Training, first_look
from radrl.output.page.rendering import csp_hash, page_environment
from radrl.support.files import write_text


def write_page(
    path: str | os.PathLike[str],
    comparison: Comparison,
    examples: Sequence[Example],
    answers_by_model: Mapping[str, Sequence[Answer]],
    scores_by_model: Mapping[str, CaseScores],
    logs_by_stage: Mapping[str, Sequence[Mapping[str, Any]]],
    image_roots: Sequence[str | os.PathLike[str]],
    facts: Mapping[str, Any],
    training: Mapping[str, Training] | None = None,
) -> None:
    """Writes the page of a comparison: one HTML file, with its pictures in it or, where they are many, beside it.

    Answers and scores are of one training run, the answers of its first sample. ``logs_by_stage`` holds
    ``trainer_state.log_history`` of each stage; ``image_roots`` the folder each Example's image paths start from.
    ``facts`` are what a reader must know of the run: under ``title`` the heading, and groups of facts (``{"Versions":
    {"torch": "2.11"}, "Seconds": {...}}``); a fact that stands alone goes under "Run". ``training`` says how models
    were trained, where that is known. Model output, names and facts are untrusted: everything is escaped, and signs
    that cannot be shown are replaced.

    Raises:
        ValueError: the models of the comparison, answers and scores differ, or an answer is lacking.
        UserError: a file cannot be written.
    """
    _check(comparison, examples, answers_by_model, scores_by_model, image_roots)
    path = Path(path)
    shown = pictures.make_pictures(path, examples, image_roots)
    beside = any(one.source and not one.source.startswith("data:") for one in shown)
    environment = page_environment()
    style = environment.get_template("style.css.jinja").render()
    script = environment.get_template("browser.js.jinja").render()
    browsed = cases.case_data(
        examples,
        {name: answers_by_model[name] for name in comparison.models},
        {name: scores_by_model[name] for name in comparison.models},
        shown,
        comparison.baselines,
        comparison.base,
    )
    html = environment.get_template("page.html.jinja").render(
        title=facts.get("title", "Comparison of models"),
        facts=_grouped(facts),
        comparison=comparison,
        look=first_look(comparison, examples, answers_by_model, scores_by_model, shown, training or {}),
        values=charts.forest(comparison, None),
        forests=_forests(comparison),
        stages=charts.curves(logs_by_stage),
        reports=[
            ("findings", "Findings", findings_table(comparison, comparison.findings), _FINDINGS),
            ("labels", "CheXpert labels", findings_table(comparison, comparison.labels), _LABELS),
            ("classes", "Labels", _without_means(findings_table(comparison, comparison.classes)), _CLASSES),
        ],
        browsed=bool(examples),
        sampled=any(scores.samples > 1 for scores in scores_by_model.values()),
        task_names=cases.TASK_NAMES,
        drawn=bool(examples) and all(example.source == "phantom" for example in examples),
        beside=f"{path.stem}-images" if beside else "",
        image_sources="'self' file:" if beside else "data:",
        style=Markup(style),  # ours alone: nothing of the run goes into it
        style_hash=csp_hash(style),
        script=Markup(script),  # likewise
        script_hash=csp_hash(script),
        data=Markup(cases.as_script(browsed)),  # escaped there
    )
    write_text(path, html)


def _check(
    comparison: Comparison,
    examples: Sequence[Example],
    answers_by_model: Mapping[str, Sequence[Answer]],
    scores_by_model: Mapping[str, CaseScores],
    image_roots: Sequence[str | os.PathLike[str]],
) -> None:
    models = comparison.models
    if set(answers_by_model) != set(models) or set(scores_by_model) != set(models):
        raise ValueError(f"answers and scores must be of the compared models: {', '.join(models)}")
    if len(image_roots) != len(examples):
        raise ValueError(f"{len(image_roots)} image roots for {len(examples)} examples")
    for name in models:
        if len(answers_by_model[name]) != len(examples):
            raise ValueError(f"{name}: {len(answers_by_model[name])} answers for {len(examples)} examples")


def _forests(comparison: Comparison) -> list[charts.Forest]:
    """Returns the plots of differences to the base models that have any."""
    bases = [name for name in dict.fromkeys((comparison.base, comparison.others_base)) if name]
    return [plot for base in bases if (plot := charts.forest(comparison, base))]


def _without_means(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not row.mean]


_FINDINGS = (
    "F1 of each finding in the reports. A finding counts when the report says that it is or may be there; said of the "
    "wrong side it is both false and missed."
)
_LABELS = "F1 of each label, read from both reports by rules; one that may be there counts as there."

_CLASSES = (
    "F1 of each label of the classification questions. The means over labels are among all metrics: there a label that "
    "nobody has counts 0."
)


def _grouped(facts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Returns the facts in groups, as text; what stands alone under "Run"."""
    groups: dict[str, dict[str, str]] = {}
    for key, value in facts.items():
        if key == "title":
            continue
        if isinstance(value, Mapping):
            groups.setdefault(str(key), {}).update({str(k): _said(v) for k, v in value.items()})
        else:
            groups.setdefault("Run", {})[str(key)] = _said(value)
    return groups


def _said(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)

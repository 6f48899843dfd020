"""The page of a run: one HTML file that needs nothing else, no network and no JavaScript."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from radrl.evaluation.comparison import Comparison, digits
from radrl.evaluation.metrics import BY_NAME, ModelScores
from radrl.example import Answer, Example
from radrl.files import write_text
from radrl.page import charts
from radrl.page.cases import choose, view
from radrl.page.findings import table
from radrl.page.text import clean

__all__ = ["write"]

_TASKS = {"report": "report", "grounding": "grounding", "vqa_closed": "closed question", "vqa_open": "open question"}


def write(
    path: str | os.PathLike[str],
    comparison: Comparison,
    examples: Sequence[Example],
    answers_by_model: Mapping[str, Sequence[Answer]],
    scores_by_model: Mapping[str, ModelScores],
    logs_by_stage: Mapping[str, Sequence[Mapping[str, Any]]],
    image_roots: Sequence[str | os.PathLike[str]],
    facts: Mapping[str, Any],
    cases: int = 12,
    seed: int = 0,
) -> None:
    """Writes the page of a comparison as one self-contained HTML file.

    ``logs_by_stage`` holds ``trainer_state.log_history`` of each stage; ``image_roots`` the folder each Example's
    image paths start from. ``facts`` are what a reader must know of the run: under ``title`` the heading, and groups
    of facts (``{"Versions": {"torch": "2.11"}, "Seconds": {...}}``); a fact that stands alone goes under "Run". Model
    output, names and facts are untrusted: everything is escaped, and signs that cannot be shown are replaced.

    Raises:
        ValueError: the models of the comparison, answers and scores differ, or an answer is lacking.
    """
    models = comparison.models
    if set(answers_by_model) != set(models) or set(scores_by_model) != set(models):
        raise ValueError(f"answers and scores must be of the compared models: {', '.join(models)}")
    if len(image_roots) != len(examples):
        raise ValueError(f"{len(image_roots)} image roots for {len(examples)} examples")
    for name in models:
        if len(answers_by_model[name]) != len(examples):
            raise ValueError(f"{name}: {len(answers_by_model[name])} answers for {len(examples)} examples")
    scores = {name: scores_by_model[name] for name in models}
    trained = {name: own for name, own in scores.items() if name not in comparison.baselines} or scores
    views = [
        view(
            number,
            chosen,
            examples[chosen.index],
            {name: answers_by_model[name][chosen.index] for name in models},
            {name: {m: s[chosen.index] for m, s in scores[name].scores.items()} for name in models},
            Path(image_roots[chosen.index]),
        )
        for number, chosen in enumerate(choose(examples, trained, cases, seed), 1)
    ]
    bases = [name for name in (comparison.base, comparison.others_base) if name]
    environment = _environment()
    style = environment.get_template("style.css.jinja").render(models=range(1, len(models) + 1))
    html = environment.get_template("page.html.jinja").render(
        title=facts.get("title", "Comparison of models"),
        facts=_grouped(facts),
        comparison=comparison,
        metrics=[BY_NAME[name] for name in comparison.metrics],
        forests=[plot for base in bases if (plot := charts.forest(comparison, base))],
        stages=charts.curves(logs_by_stage),
        findings=table(comparison),
        cases=views,
        task_names=_TASKS,
        drawn=bool(examples) and all(example.source == "phantom" for example in examples),
        style=Markup(style),  # ours alone: nothing of the run goes into it but the number of models
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    write_text(path, html)


def _environment() -> Environment:
    """Returns the templates with escaping on; ``finalize`` cleans every value on its way out, so none is forgotten."""
    environment = Environment(
        loader=PackageLoader("radrl.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters["digits"] = lambda value, metric: f"{value:.{digits(metric)}f}"
    environment.filters["signed"] = lambda value, metric: f"{value:+.{digits(metric)}f}".replace("-", "\u2212")
    environment.filters["p"] = lambda value: "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
    environment.filters["short"] = lambda value: f"{value:.3f}".rstrip("0").rstrip(".")
    environment.globals.update(direction=charts.direction, chart=charts)
    return environment


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

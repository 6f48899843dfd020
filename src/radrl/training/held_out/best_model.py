"""Which metric chooses among a stage's checkpoints, and which checkpoint it chose.

The keys are transformers': ``metric_for_best_model``, ``load_best_model_at_end``, ``save_strategy: best``. The metric's
direction is its scorer's, and whether there is such a metric is known before the model is loaded.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transformers import Trainer

from radrl.answers.parsing import parse
from radrl.errors import UserError, nearest, one_line
from radrl.evaluation.metrics.records import Metric
from radrl.evaluation.metrics.select_scorers import select_scorers
from radrl.evaluation.metrics.usual_metrics import USUAL_METRICS, scorer_metric
from radrl.prompt.messages import target
from radrl.recipe.schema import Recipe
from radrl.training.held_out.dev import Dev, log_key

log = logging.getLogger(__name__)

LOSS = Metric("loss", "Loss", (), better="lower")
PLATEAU = ("reduce_lr_on_plateau", "greedy")  # schedules that read the metric


def choosing_metric(recipe: Recipe, name: str, section: Mapping[str, Any], dev: Dev) -> Metric | None:
    """Returns the metric of section ``name`` that chooses; None where nothing is chosen. What it needs to be scored
    with is noted in ``dev.scorers``.

    Raises:
        UserError: there is no such metric on these Examples, or its better direction is another one.
    """
    at = f"{recipe.file}: key '{name}.metric_for_best_model'"
    said = section.get("metric_for_best_model")
    if said is None and not needs_metric(section):
        return None
    wanted = log_key(said or "loss").removeprefix("eval_")
    known = {} if name == "grpo" else {"loss": LOSS}
    # a right answer in whatever notation
    direct = replace(dev.style, thinking=False, box_format="unit", answer_format="plain")
    references = [parse(target(one, direct), one, direct) for one in dev.examples]
    known |= {log_key(name): column.metric for name, column in dev.columns(references).items()}
    if wanted not in known:  # a scorer by its own name, where one metric has it
        mine = [log_key(one.metric.name) for one in USUAL_METRICS if one.scorer.name == wanted]
        mine = [key for key in mine if key in known]
        wanted = mine[0] if len(mine) == 1 else wanted
    if wanted not in known:
        for one in select_scorers(dev.recipe, Counter(example.task for example in dev.examples)).scorers:
            metric = scorer_metric(one.scorer, (one.task,), one.title).metric
            known.setdefault(log_key(metric.name), metric)
            if log_key(metric.name) == wanted:
                dev.scorers = [one._replace(place=None)]  # no column of a protocol, which would stand alone
    if wanted not in known:
        what = f"is {said!r}, which 'data.dev' has not" if said else "is missing"
        hint = nearest(wanted, known) if said else ""
        names = sorted(known, key=lambda key: key != "loss" and not known[key].headline)  # a line holds not all of them
        raise UserError(one_line(f"{at} {what}{hint}; there are: {', '.join(names)}"))
    metric = known[wanted]
    if metric.better == "neither":
        raise UserError(one_line(f"{at} is {said!r}, which is better neither way; choose another"))
    higher = section.get("greater_is_better")
    if higher is not None and higher != (metric.better == "higher"):
        raise UserError(
            f"{recipe.file}: key '{name}.greater_is_better' is {str(higher).lower()}, but {metric.better} is better of "
            f"{wanted}; leave it out"
        )
    return metric


def needs_metric(section: Mapping[str, Any]) -> bool:
    """Returns whether the section's settings need a metric."""
    return bool(
        section.get("load_best_model_at_end")
        or section.get("save_strategy") == "best"
        or section.get("lr_scheduler_type") in PLATEAU
    )


def best_step_notes(trainer: Trainer) -> dict[str, Any]:
    """Returns for done.json which step's model is saved and why; nothing where it is the last one's unasked."""
    args, state = trainer.args, trainer.state
    if not args.load_best_model_at_end:
        return {}
    folder = state.best_model_checkpoint
    if folder is not None and folder.endswith(f"checkpoint-{state.best_global_step}"):
        return {"model_step": state.best_global_step, str(args.metric_for_best_model): state.best_metric}
    if trainer.is_world_process_zero():
        log.warning(
            "load_best_model_at_end: no checkpoint of the best %s is there; the model is that of the last step, %d",
            args.metric_for_best_model,
            state.global_step,
        )
    return {"model_step": state.global_step}

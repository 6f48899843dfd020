"""``radrl check-run``: the checks of a run, one line each, and what the run would do."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from radrl.errors import UserError, one_line
from radrl.recipe.schema import Recipe, StageKind
from radrl.training.checks import run_checks
from radrl.training.checks.run_checks import Kind, Run


def print_checks(recipe: Recipe, stage: Kind | None, name: str | None, processes: int) -> None:
    """Prints what each check has seen, mistakes on standard error, and what would be trained.

    ``stage`` None checks every stage that the recipe has a section of. On several ``processes`` a batch is that many
    times ``per_device_train_batch_size``.

    Raises:
        UserError: the last mistake; those before it have been printed.
    """
    mistakes: list[str] = []
    kinds: list[Kind] = [stage] if stage else _stages(recipe)
    for kind in kinds:
        of_kind = recipe if kind == "evaluate" else _as_there(recipe, kind, processes)
        mistakes += [line for line in _check(Run(of_kind, kind, _folder(recipe, name or kind))) if line not in mistakes]
    for line in mistakes[:-1]:
        print(f"radrl: {line}", file=sys.stderr)
    if mistakes:
        raise UserError(mistakes[-1])


def _stages(recipe: Recipe) -> list[Kind]:
    """Returns the stages that a recipe has a section of; evaluation where it names nothing to train on."""
    sections: dict[Kind, object] = {
        "sft": recipe.sft,
        "coldstart": recipe.coldstart.sft,
        "grpo": recipe.grpo or recipe.rewards,
    }
    stages: list[Kind] = [kind for kind, section in sections.items() if section]
    if not recipe.data.train:
        return ["evaluate"]
    return stages or ["sft"]


def _folder(recipe: Recipe, name: str) -> Path:
    return recipe.path(recipe.out) / name


def _as_there(recipe: Recipe, kind: StageKind, processes: int) -> Recipe:
    """Returns the recipe as this process can look at it for the machine where it will run."""
    section, settings = recipe.trl_section(kind)
    settings = dict(settings)
    if not torch.cuda.is_available():
        settings.pop("tf32", None)  # which transformers refuses where there is no GPU
    if processes > 1:
        settings["per_device_train_batch_size"] = processes * settings.get("per_device_train_batch_size", 8)
        # this process is no part of a group, which sharding asks for
        settings = {key: value for key, value in settings.items() if not key.startswith("fsdp")}
    if kind == "coldstart":
        return recipe.model_copy(update={"coldstart": recipe.coldstart.model_copy(update={"sft": settings})})
    return recipe.model_copy(update={section: settings})


def _check(asked: Run) -> list[str]:
    """Prints what the checks of one stage have seen; returns the mistakes."""
    print(f"{asked.kind}: {asked.recipe.file}")
    mistakes: list[str] = []
    for check in run_checks.EVALUATION if asked.kind == "evaluate" else run_checks.TRAINING:
        seen = "not looked at while there are mistakes above"
        if check in run_checks.APART or not mistakes:
            try:
                seen = check(asked)
            except UserError as error:
                line = one_line(error)
                seen = f"MISTAKE: {line}"
                mistakes += [] if line in mistakes else [line]
        print(f"  {check.__name__.removeprefix('check_'):<10} {seen}")
    if not mistakes:
        print(f"  {_would_do(asked)}")
    return mistakes


def _would_do(asked: Run) -> str:
    """Returns what the stage would do, in a line."""
    tokens = run_checks.tokens_of_a_row(asked)
    if asked.kind == "evaluate":
        return f"would judge {len(asked.examples):,} Examples of about {tokens:.0f} tokens"
    steps, rows, _ = asked.plan
    of = "completions, each after" if asked.kind == "grpo" else "rows, each of"
    return f"would train {steps:,} steps of {rows:,} {of} about {tokens:.0f} tokens"

"""``radrl sft``, ``radrl coldstart`` and ``radrl grpo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radrl.commands.cli.options import Overrides, RecipeFile, Restart, Resume, Start, read_and_check
from radrl.errors import UserError
from radrl.support import processes

if TYPE_CHECKING:
    from radrl.training.stage import Stage


def sft(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006  typer wants the default so
    start: Start = None,
    name: Annotated[str, typer.Option(help="the stage's folder below the recipe's out")] = "sft",
    as_long_as: Annotated[
        Path | None, typer.Option(help="train as long as the stage in this folder did: a control of equal time")
    ] = None,
    resume: Resume = False,
    restart: Restart = False,
) -> None:
    """Supervised fine-tuning on the reference answers."""
    checked = read_and_check(recipe, overrides, start, training=True)
    from radrl.commands.train import run_sft

    _print_model(run_sft(checked, name, resume=resume, restart=restart, as_long_as=as_long_as))


def coldstart(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    start: Start = None,
    name: Annotated[str, typer.Option(help="the stage's folder below the recipe's out")] = "coldstart",
    resume: Resume = False,
    restart: Restart = False,
) -> None:
    """SFT on thinking traces, mixed with direct answers."""
    checked = read_and_check(recipe, overrides, start, training=True)
    from radrl.commands.train import run_coldstart

    _print_model(run_coldstart(checked, name, resume=resume, restart=restart))


def grpo(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    start: Start = None,
    name: Annotated[str, typer.Option(help="the stage's folder below the recipe's out")] = "grpo",
    reward_workers: Annotated[
        str | None, typer.Option(metavar="N|ray", help="score in N processes or on Ray (scoring.workers)")
    ] = None,
    resume: Resume = False,
    restart: Restart = False,
) -> None:
    """GRPO with the recipe's rewards."""
    if reward_workers is not None:
        overrides = [*overrides, f"scoring.workers={reward_workers}"]
    checked = read_and_check(recipe, overrides, start, training=True)
    from radrl.commands.train import run_grpo

    _print_model(run_grpo(checked, name, resume=resume, restart=restart))


def _print_model(stage: Stage) -> None:
    """Prints where the model is, once. Raises UserError where the stage has ended without one."""
    processes.end_together()
    if processes.rank() > 0:
        return
    if stage.done() is None:
        raise UserError(f"{stage.folder}: the stage has ended without a model; run the same command with --resume")
    print(f"Model: {stage.model}")

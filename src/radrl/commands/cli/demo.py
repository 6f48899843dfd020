"""``radrl demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.commands.cli.options import Resume, no_foreign_bars
from radrl.errors import UserError


def demo(
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("runs/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="a two-minute look at every stage; the figures mean little")
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="SFT until it learns little more, and four times the GRPO; most of an hour")
    ] = False,
    resume: Resume = False,
) -> None:
    """The whole chain on drawn X-rays: SFT, cold start, GRPO, evaluation, and a page to read."""
    from radrl.commands.demo import run_demo

    no_foreign_bars()
    if quick and long:
        raise UserError("--quick and --long: choose one")
    page = run_demo(out, "quick" if quick else "long" if long else "demo", resume=resume)
    print(f"Page: {page}")

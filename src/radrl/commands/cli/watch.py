"""``radrl watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a stage's folder, or the folder of several stages")],
    every: Annotated[float, typer.Option(min=1, help="seconds between two readings")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="write the page once")] = False,
) -> None:
    """Write a page of a run while it trains, anew until it ends: curves, samples, warnings, remaining time."""
    from radrl.commands.watch import PAGE, find_stage
    from radrl.commands.watch import watch as write

    find_stage(run)  # where there is none nothing is promised
    print(f"Page: {run / PAGE}", flush=True)
    try:
        write(run, every, once=once)
    except KeyboardInterrupt:
        print("radrl: the run goes on; the page stays as it is")

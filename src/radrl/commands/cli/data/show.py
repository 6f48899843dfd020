"""``radrl data show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.commands.cli.data.options import ImagesRoot, Manifests


def show(
    manifests: Manifests,
    out: Annotated[Path, typer.Option(help="the page to write")],
    count: Annotated[int, typer.Option("-n", "--count", help="Examples to draw", min=1, max=2000)] = 60,
    task: Annotated[list[str], typer.Option(help="only of these tasks")] = [],  # noqa: B006
    source: Annotated[list[str], typer.Option(help="only of these data sets")] = [],  # noqa: B006
    images_root: ImagesRoot = None,
    seed: int = 0,
) -> None:
    """Write a page of Examples drawn at random: images with their boxes, questions, answers."""
    from radrl.output.page.sheet import write_sheet

    shown, of = write_sheet(out, manifests, count, tasks=task, sources=source, images_root=images_root, seed=seed)
    print(f"Page: {out}, {shown} of {of:,} Examples")

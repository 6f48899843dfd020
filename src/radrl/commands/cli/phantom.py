"""``radrl phantom``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[Path, typer.Option(help="the folder to write")],
    train: Annotated[int, typer.Option(help="films to train on")] = 1000,
    test: Annotated[int, typer.Option(help="films to hold out")] = 200,
    size: Annotated[int, typer.Option(help="side in pixels")] = 192,
    seed: int = 0,
) -> None:
    """Draw chest X-rays with reports and questions, as manifests."""
    from radrl.data import phantom as drawing

    counts = drawing.write(out, {"train": train, "test": test}, seed=seed, size=size)
    for split, count in counts.items():
        print(f"{out / split}.jsonl: {count} Examples")

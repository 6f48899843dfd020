"""``radrl doctor``: checks of what is installed here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def radgraph(
    weights: Annotated[Path, typer.Option(help="the unpacked archive")],
    reports: Annotated[Path | None, typer.Option(help='JSONL of {"id", "text"}; without it, 200 of our own')] = None,
    python: Annotated[str, typer.Option(help="an interpreter with radgraph and transformers<5")] = sys.executable,
    device: Annotated[str, typer.Option(help="where ours runs: auto, cpu, cuda:1")] = "auto",
) -> None:
    """Compare our RadGraph with the package radgraph on your weights: identical, or where not."""
    from radrl.scoring.gallery import gallery_cases
    from radrl.scoring.neural.doctor import compare_with_package
    from radrl.support.texts import read_texts

    texts = [text for case in gallery_cases().values() for text in case.values()]
    own = [*texts, *(" ".join(texts[k : k + 5]) for k in range(len(texts)))][:200]  # longer ones too
    print(compare_with_package(weights, list(read_texts(reports).values()) if reports else own, python, device))

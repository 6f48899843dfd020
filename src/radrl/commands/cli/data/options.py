"""Arguments that several commands of ``radrl data`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Manifests = Annotated[list[Path], typer.Argument(metavar="MANIFEST...", help="JSONL; a file's name is its split")]
ImagesRoot = Annotated[Path | None, typer.Option(help="where image paths start, if not at the manifest")]

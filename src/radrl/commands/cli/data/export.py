"""``radrl data export``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from radrl.errors import UserError


def export(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST")],
    to: Annotated[str, typer.Option("--format", help="llava (JSON) or verl (Parquet)")],
    out: Annotated[Path, typer.Option(help="the file to write")],
    recipe: Annotated[
        Path | None, typer.Option(help="its 'prompt' section says how questions are put and answers written")
    ] = None,
    box_format: Annotated[str | None, typer.Option(help="verl: unit or thousand")] = None,
    thinking: Annotated[bool | None, typer.Option("--thinking", help="verl: ask for thinking")] = None,
) -> None:
    """Write a manifest in another program's format."""
    from radrl.data.formats.llava_export import write_llava
    from radrl.prompt.messages import PromptStyle
    from radrl.recipe.schema import read_recipe
    from radrl.scoring import verl

    if to not in ("llava", "verl") or box_format not in (None, "unit", "thousand"):
        raise UserError("--format is llava or verl, --box-format is unit or thousand")
    changes = {"box_format": box_format, "thinking": thinking}
    style = read_recipe(recipe).style() if recipe else PromptStyle()
    style = replace(style, **{key: value for key, value in changes.items() if value is not None})
    if to == "llava" and (style.thinking or style.system or style.box_format != "unit"):
        raise UserError(
            "--format llava has boxes as RadVLM writes them, no thinking and no system message; leave these out"
        )
    if style.box_format == "pixel":
        raise UserError("boxes in pixels depend on how large an image is shown; give --box-format unit or thousand")
    written = write_llava(manifest, out, style) if to == "llava" else verl.write_parquet(manifest, out, style)
    print(f"{out}: {written} {'conversations' if to == 'llava' else 'rows'}")

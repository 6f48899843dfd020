"""``radrl score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.commands.cli.options import no_foreign_bars
from radrl.errors import UserError


def score(
    predictions: Annotated[
        Path | None, typer.Argument(help='JSONL of {"id", "text"}; with --gallery, the page to write')
    ] = None,
    references: Annotated[Path | None, typer.Argument(help="JSONL of the same ids, or a manifest")] = None,
    scorers: Annotated[
        str | None, typer.Option(help="names with commas between, also bleu_4(words=split); without it the usual ones")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="whose 'judge' and 'scoring' (weights, device) the scorers named use")
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="write values and cases here")] = None,
    list_scorers: Annotated[
        bool, typer.Option("--list", help="print the scorers there are, those of installed packages too")
    ] = False,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="write a page of the order in which scorers put mistakes")
    ] = False,
) -> None:
    """Score texts against references, or show what the scorers reward."""
    from radrl.commands.score import score_files, scorer_lines, split_names
    from radrl.recipe.schema import read_recipe
    from radrl.support.files import write_json

    no_foreign_bars()
    if list_scorers:
        print("\n".join(scorer_lines()))
        return
    if gallery:
        from radrl.output.page.gallery import write_gallery
        from radrl.scoring.gallery import score_gallery

        page = predictions or Path("gallery.html")
        write_gallery(page, score_gallery())
        print(f"Page: {page}")
        return
    if predictions is None or references is None:
        raise UserError("name two files: radrl score PRED.jsonl REF.jsonl --scorers bleu_4,rouge_l_stem")
    names = None if scorers is None else split_names(scorers)
    values = score_files(predictions, references, names, read_recipe(recipe) if recipe else None)
    if as_json:
        write_json(as_json, values)
    for name, value in values.items():
        if name != "cases":
            print(f"{name:<23} {'n/a' if value is None else f'{value:.6f}'}")

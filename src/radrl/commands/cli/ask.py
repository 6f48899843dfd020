"""``radrl ask``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.commands.cli.options import Overrides, no_foreign_bars
from radrl.errors import UserError


def ask(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="a model folder, a hub id, http://HOST/v1, or endpoint:NAME")
    ],
    asked: Annotated[
        list[str], typer.Argument(metavar="FILM... QUESTION", help="the films (DICOM, PNG, JPEG, ...), then a question")
    ] = [],  # noqa: B006
    task: Annotated[str | None, typer.Option(help="the question's task; else its words tell")] = None,
    choice: Annotated[list[str], typer.Option(help="an option of a closed question; once for each")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="the picture with the boxes, a PNG")] = None,
    recipe: Annotated[Path | None, typer.Option(help="ask by this recipe's prompt section")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="ask as this published model is asked")] = None,
    served: Annotated[
        str | None, typer.Option(metavar="NAME", help="the model's name at the address, where that has several")
    ] = None,
    thinking: Annotated[bool | None, typer.Option("--thinking/--no-thinking", help="ask for thinking")] = None,
    temperature: Annotated[float | None, typer.Option(help="0, the default, is greedy")] = None,
    overrides: Overrides = [],  # noqa: B006
    serve: Annotated[bool, typer.Option("--serve", help="ask on a page in the browser, on this computer only")] = False,
    port: Annotated[int, typer.Option(help="of the page; 0: a free one", min=0, max=65535)] = 0,
) -> None:
    """Ask a model one question on films; a trained model is asked as it was trained."""
    if serve and (asked or task or choice or out):
        raise UserError("--serve: films, question, task and options are given on the page; leave them out here")
    if not serve and not asked:
        raise UserError('ask what? write radrl ask MODEL film.png "Where is the nodule?", or add --serve')
    from radrl.commands.ask import find_model, run_ask

    no_foreign_bars()
    found = find_model(
        model,
        recipe=recipe,
        preset=preset,
        served=served,
        thinking=thinking,
        temperature=temperature,
        overrides=overrides,
    )
    if serve:
        from radrl.commands.serve_ask import serve_page

        serve_page(found, port)
    else:
        run_ask(found, asked[:-1], asked[-1], task=task, choices=choice, out=out)

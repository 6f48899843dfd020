"""``radrl scorers``."""

from __future__ import annotations

from typing import Annotated

import typer


def scorers(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print docs/scorers.md: sources and options too")
    ] = False,
) -> None:
    """List the scorers: tasks, range, and what is missing here to run them."""
    from radrl.commands.score import scorer_lines
    from radrl.scoring import table

    print(table.markdown() if markdown else "\n".join(scorer_lines()), end="" if markdown else "\n")

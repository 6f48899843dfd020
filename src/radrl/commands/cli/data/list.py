"""``radrl data list``."""

from __future__ import annotations

from typing import Annotated

import typer


def list_readers(
    name: Annotated[str | None, typer.Argument(help="one data set: its layout and access")] = None,
) -> None:
    """The data sets that can be prepared, or the layout of one and where to get it."""
    from radrl.commands.prepare import description

    print(description(name))

"""The progress bar of all commands."""

from __future__ import annotations

import rich.progress


def progress_bar() -> rich.progress.Progress:
    """Returns the progress bar all commands use: what, bar, done of all, time gone, time left, a note."""
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description:<22}"),
        rich.progress.BarColumn(bar_width=24),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left"),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[note]}", style="dim"),
    )

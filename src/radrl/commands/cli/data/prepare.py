"""``radrl data prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    name: Annotated[str, typer.Argument(help="the data set; 'radrl data list' has them")],
    root: Annotated[Path, typer.Option(help="the published files")],
    out: Annotated[Path, typer.Option(help="the folder to write")],
    ask: Annotated[str, typer.Option(help="what to ask, with commas between: see 'radrl data list NAME'")] = "",
    section: Annotated[
        str,
        typer.Option(help="of reports: findings, impression, both, or findings-then-impression-then-last-paragraph"),
    ] = "findings",
    uncertain: Annotated[
        str, typer.Option(help="doubtful labels: mention, present, absent, or skip the image")
    ] = "mention",
    wordings: Annotated[str, typer.Option(help="how to ask: radvlm, or a YAML file of yours; else our own words")] = "",
    option: Annotated[list[str], typer.Option(metavar="NAME=VALUE", help="the data set's own options")] = [],  # noqa: B006
    shares: Annotated[
        str, typer.Option(help="splits by patient where none are published")
    ] = "train=0.8,dev=0.1,test=0.1",
    max_pixels: Annotated[int, typer.Option(help="most pixels of the copies of the images", min=1024)] = 451_584,
    max_side: Annotated[int | None, typer.Option(help="longest side instead, in pixels", min=32)] = None,
    images: Annotated[bool, typer.Option(help="copy the images, or name the published ones")] = True,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="list broken records and go on")] = False,
    annotated_size: Annotated[
        str, typer.Option(help="what boxes are measured in where the data set does not say: a CSV, or 'film'")
    ] = "",
    workers: Annotated[int | None, typer.Option(help="processes; by default one a core", min=1)] = None,
) -> None:
    """Turn a published data set into manifests; run again to go on after a stop."""
    from radrl.commands.prepare import records_bar, settings_from_words, summary_text
    from radrl.data.published.prepare import prepare as prepare_files

    settings = settings_from_words(
        name, ask=ask, section=section, uncertain=uncertain, wordings=wordings, option=option, shares=shares,
        images=images, max_pixels=max_pixels, max_side=max_side, skip_bad=skip_bad, annotated_size=annotated_size,
    )  # fmt: skip
    with records_bar() as progress:
        summary = prepare_files(name, root, out, settings, workers=workers, progress=progress)
    print(summary_text(out, summary))

"""``radrl data check``."""

from __future__ import annotations

from typing import Annotated

import typer

from radrl.commands.cli.data.options import ImagesRoot, Manifests


def check(
    manifests: Manifests,
    language: Annotated[list[str], typer.Option(help="what texts may be in: en, es, de, fr, pt, it, zh")] = ["en"],  # noqa: B006
    model: Annotated[str | None, typer.Option(help="count the tokens of texts with this model's tokenizer")] = None,
    max_tokens: Annotated[int, typer.Option(help="most tokens of question and answer, without images", min=1)] = 4096,
    images: Annotated[bool, typer.Option(help="read every image, and look for those that are in two splits")] = True,
    images_root: ImagesRoot = None,
    burned_in_text: Annotated[
        bool, typer.Option("--burned-in-text", help="name images that hold words; seconds an image, see images.md")
    ] = False,
    show: Annotated[int, typer.Option(help="problems of a kind to list", min=0)] = 20,
    workers: Annotated[int | None, typer.Option(help="processes; by default one a core", min=1)] = None,
) -> None:
    """Look for broken lines and images, leaks between splits, and texts that are empty, foreign or too long."""
    from radrl.data.manifests.check import check
    from radrl.data.manifests.check_report import report_text
    from radrl.data.manifests.line_checks import Asked
    from radrl.support.machine import cores

    asked = Asked(tuple(language), model, max_tokens)
    report = check(
        manifests,
        asked,
        images=images,
        images_root=images_root,
        burned_in_text=burned_in_text,
        workers=workers or cores(),
    )
    print(report_text(report, show))
    if not report.fit:
        raise typer.Exit(1)

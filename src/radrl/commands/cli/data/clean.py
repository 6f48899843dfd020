"""``radrl data clean``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.errors import UserError


def clean(
    manifest: Annotated[Path, typer.Argument(help="a manifest with reports")],
    out: Annotated[Path | None, typer.Option(help="the manifest to write, in the same folder")] = None,
    endpoint: Annotated[
        Path | None, typer.Option(help="a YAML file that names a model (url, model, ...) instead of the rules")
    ] = None,
    prompt: Annotated[Path | None, typer.Option(help="a text file of what the model is told, with {report}")] = None,
) -> None:
    """Take references to earlier studies out of reports; a page shows what was taken out."""
    from radrl.data.manifests.cleaning import clean_manifest, read_endpoint
    from radrl.output.page.cleaning import write_cleaning_page

    if prompt and not endpoint:
        raise UserError("--prompt is what a model is told: name one with --endpoint")
    out = out or manifest.with_suffix(".clean.jsonl")
    page = out.with_suffix(".html")
    counts, shown = clean_manifest(manifest, out, read_endpoint(endpoint) if endpoint else None, prompt)
    write_cleaning_page(page, manifest.name, counts, shown)
    print(f"{out}: {counts.changed} of {counts.reports} reports changed, {counts.emptied} left empty and out")
    if counts.given_up:
        print(f"{len(counts.given_up)} given up and left out; the page lists why")
    print(f"Page: {page}")

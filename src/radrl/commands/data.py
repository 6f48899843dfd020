"""The commands of ``radrl data``, each as thin as those of cli.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from radrl.errors import UserError

data_app = typer.Typer(no_args_is_help=True, help="Published data sets to manifests, and manifests looked at.")


@data_app.command("list")
def list_data(name: Annotated[str | None, typer.Argument(help="one data set: its layout and access")] = None) -> None:
    """The data sets that can be prepared, or how one of them lies and where to get it."""
    from radrl.commands.prepare import described

    print(described(name))


@data_app.command("prepare")
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
    from radrl.commands.prepare import run

    asked = {"ask": ask, "section": section, "uncertain": uncertain, "wordings": wordings}
    asked |= {"option": option, "shares": shares}
    sizes = {"images": images, "max_pixels": max_pixels, "max_side": max_side}
    print(run(name, root, out, **asked, **sizes, skip_bad=skip_bad, annotated_size=annotated_size, workers=workers))


Manifests = Annotated[list[Path], typer.Argument(metavar="MANIFEST...", help="JSONL; a file's name is its split")]
ImagesRoot = Annotated[Path | None, typer.Option(help="where image paths start, if not at the manifest")]


@data_app.command("check")
def check_data(
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
    from radrl.data.manifests.check import check, table
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
    print(table(report, show))
    if not report.fit:
        raise typer.Exit(1)


@data_app.command("show")
def show_data(
    manifests: Manifests,
    out: Annotated[Path, typer.Option(help="the page to write")],
    count: Annotated[int, typer.Option("-n", "--count", help="Examples to draw", min=1, max=2000)] = 60,
    task: Annotated[list[str], typer.Option(help="only of these tasks")] = [],  # noqa: B006
    source: Annotated[list[str], typer.Option(help="only of these data sets")] = [],  # noqa: B006
    images_root: ImagesRoot = None,
    seed: int = 0,
) -> None:
    """Write a page of Examples drawn at random: images with their boxes, questions, answers."""
    from radrl.output.page.sheet import write

    shown, of = write(out, manifests, count, tasks=task, sources=source, images_root=images_root, seed=seed)
    print(f"Page: {out}, {shown} of {of:,} Examples")


@data_app.command("clean")
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
    from radrl.output.page.cleaning import write

    if prompt and not endpoint:
        raise UserError("--prompt is what a model is told: name one with --endpoint")
    out = out or manifest.with_suffix(".clean.jsonl")
    page = out.with_suffix(".html")
    counts, shown = clean_manifest(manifest, out, read_endpoint(endpoint) if endpoint else None, prompt)
    write(page, manifest.name, counts, shown)
    print(f"{out}: {counts.changed} of {counts.reports} reports changed, {counts.emptied} left empty and out")
    if counts.given_up:
        print(f"{len(counts.given_up)} given up and left out; the page lists why")
    print(f"Page: {page}")


@data_app.command("export")
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
    from radrl.data.formats import llava
    from radrl.prompt.messages import PromptStyle
    from radrl.recipe.schema import read
    from radrl.scoring import verl

    if to not in ("llava", "verl") or box_format not in (None, "unit", "thousand"):
        raise UserError("--format is llava or verl, --box-format is unit or thousand")
    changes = {"box_format": box_format, "thinking": thinking}
    style = read(recipe).style() if recipe else PromptStyle()
    style = replace(style, **{key: value for key, value in changes.items() if value is not None})
    if to == "llava" and (style.thinking or style.system or style.box_format != "unit"):
        raise UserError(
            "--format llava has boxes as RadVLM writes them, no thinking and no system message; leave these out"
        )
    if style.box_format == "pixel":
        raise UserError("boxes in pixels depend on how large an image is shown; give --box-format unit or thousand")
    written = llava.write(manifest, out, style) if to == "llava" else verl.write_parquet(manifest, out, style)
    print(f"{out}: {written} {'conversations' if to == 'llava' else 'rows'}")

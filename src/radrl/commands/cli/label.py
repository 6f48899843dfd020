"""``radrl label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radrl.errors import UserError


def label(
    reports: Annotated[Path, typer.Argument(metavar="REPORTS.jsonl", help='one {"id": ..., "text": ...} a line')],
    out: Annotated[Path | None, typer.Option(help="the CSV to write")] = None,
    schema: Annotated[str, typer.Option(help="the columns: nih14, chexpert14, openi14 or all")] = "chexpert14",
    compare: Annotated[
        Path | None, typer.Option(help="another's labels (CheXpert's labeler, CheXbert, a person): print the agreement")
    ] = None,
    diff: Annotated[Path | None, typer.Option(help="our CSV of an earlier version: print what has changed")] = None,
    page: Annotated[Path | None, typer.Option(help="with --compare or --diff: write the reports that differ")] = None,
    only_english: Annotated[
        bool, typer.Option("--only-english", help="leave out reports in another language, which the rules cannot read")
    ] = False,
) -> None:
    """Label reports by rules: 1 present, 0 absent, -1 uncertain, blank not mentioned."""
    from radrl.clinical import agreement
    from radrl.clinical.label import read_english, write_labels

    if (other := compare or diff) is None and out is None:
        raise UserError("name what to write or compare with: --out labels.csv, --compare OTHER.csv or --diff OLD.csv")
    if compare and diff:
        raise UserError("--compare and --diff: choose one")
    if page and other is None:
        raise UserError("--page needs --compare or --diff")
    english, foreign = read_english(reports, only_english=only_english)
    if foreign:
        print(f"left out: {len(foreign)} reports that are not in English, {foreign[0]!r} first")
    if out is not None:
        print(f"{out}: {write_labels(reports, schema, out, only_english=only_english)} reports")
    if other is not None:
        counts, differing = agreement.compare_labels(english, schema, other)
        print(agreement.changes_text(counts) if diff else agreement.table_text(counts))
        print(f"{len(differing)} reports differ")
        if page:
            from radrl.output.page.agreement import write_agreement_page

            title = "What has changed in the labels" if diff else "Agreement of two labelers"
            write_agreement_page(page, title, other.name, schema, counts, differing)
            print(f"Page: {page}")

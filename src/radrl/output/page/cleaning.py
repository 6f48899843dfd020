"""The page of a cleaned manifest: what was taken out of which report."""

from __future__ import annotations

import os
from collections.abc import Sequence

from markupsafe import Markup

from radrl.data.manifests.cleaning import Counts, Shown
from radrl.example import Mark
from radrl.output.page.rendering import csp_hash, page_environment
from radrl.output.page.text import pieces
from radrl.support.files import write_text


def write_cleaning_page(path: str | os.PathLike[str], manifest: str, counts: Counts, shown: Sequence[Shown]) -> None:
    """Writes the page as one self-contained HTML file: ``shown`` are the changed reports on it.

    Raises:
        UserError: the file cannot be written.
    """
    environment = page_environment()
    style = environment.get_template("style.css.jinja").render(models=[])
    style += environment.get_template("gallery.css.jinja").render()
    cases = [
        (name, pieces(report, [Mark("reference", r.start, r.end, "missed", r.why) for r in cleaned.removed]), cleaned)
        for name, report, cleaned in shown
    ]
    html = environment.get_template("cleaning.html.jinja").render(
        style=Markup(style),
        style_hash=csp_hash(style),
        manifest=manifest,
        counts=counts,
        cases=cases,
    )
    write_text(path, html)

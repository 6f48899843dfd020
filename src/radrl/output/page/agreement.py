"""The page of two labelers: how far they agree, and every report on which they do not, with what ours read marked."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from markupsafe import Markup

from radrl.clinical.agreement import VALUES, WORDS, Agreement, Disagreement
from radrl.clinical.extract import statements
from radrl.clinical.label import schemas
from radrl.example import Mark
from radrl.output.page.rendering import csp_hash, page_environment
from radrl.output.page.text import clean, pieces
from radrl.support.files import write_text

MOST = 1000  # reports on the page


def write_agreement_page(
    path: str | os.PathLike[str],
    title: str,
    other: str,
    schema: str,
    agreements: Sequence[Agreement],
    differing: Sequence[Disagreement],
) -> None:
    """Writes the page as one self-contained HTML file. ``other`` names the other side.

    Raises:
        UserError: the file cannot be written.
    """
    environment = page_environment()
    environment.filters["figure"] = lambda v: "–" if math.isnan(v) else f"{v:.3f}"
    style = environment.get_template("style.css.jinja").render(models=[])
    style += environment.get_template("gallery.css.jinja").render()
    cases = [
        (
            clean(one.name),
            pieces(one.text, _marks(one, schema)),
            [(label, WORDS[ours], WORDS[theirs]) for label, (ours, theirs) in one.labels.items()],
        )
        for one in differing[:MOST]
    ]
    html = environment.get_template("agreement.html.jinja").render(
        style=Markup(style),
        style_hash=csp_hash(style),
        title=title,
        other=other,
        agreements=agreements,
        values=[(value, WORDS[value]) for value in VALUES],
        cases=cases,
        differing=len(differing),
    )
    write_text(path, html)


def _marks(one: Disagreement, schema: str) -> list[Mark]:
    """Returns what our reader read of the labels that differ: what is there as a match, what is denied as absent."""
    wanted = {concept for label in one.labels for concept in schemas()[schema]["labels"][label]}
    return [
        Mark("reference", *s.span, "absent" if s.presence == "absent" else "match", f"{s.concept}: {s.presence}")
        for s in statements(one.text)
        if s.concept in wanted
    ]

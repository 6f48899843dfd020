"""The gallery's page: in which order each scorer puts mistakes, and every text it was asked about."""

from __future__ import annotations

import math
import os

from markupsafe import Markup

from radrl.output.page.rendering import csp_hash, page_environment
from radrl.output.page.text import pieces
from radrl.scoring.gallery import KINDS, Gallery
from radrl.support.files import write_text

TITLES = {kind: kind.replace("_", " ") for kind in KINDS}
MARKED = "finding_f1"  # the scorer whose marks colour the texts


def write_gallery(path: str | os.PathLike[str], gallery: Gallery) -> None:
    """Writes the gallery as one self-contained HTML file, the scorers in the order of how rightly they order.

    Raises:
        UserError: the file cannot be written.
    """
    names = sorted(gallery.scores, key=lambda name: -(gallery.order(name).share or 0))
    environment = page_environment()
    environment.filters["value"] = lambda v: "–" if v is None else f"{v:.2f}" if abs(v) < 99.5 else f"{v:.0f}"
    environment.filters["list_of"] = lambda kind: [kind]
    style = environment.get_template("style.css.jinja").render()
    style += environment.get_template("gallery.css.jinja").render()
    html = environment.get_template("gallery.html.jinja").render(
        style=Markup(style),
        style_hash=csp_hash(style),
        kinds=TITLES,
        worse={kind: title for kind, title in TITLES.items() if kind != "exact"},
        names=names,
        gallery=gallery,
        ranges={name: _range(gallery, name) for name in names},
        texts={name: _texts(gallery, name) for name in gallery.cases},
    )
    write_text(path, html)


def _range(gallery: Gallery, name: str) -> tuple[str, str]:
    scorer = gallery.scorers[name]
    low, high = (f"{end:g}" if math.isfinite(end) else "" for end in (scorer.low, scorer.high))
    return (f"{low} to {high}" if high else f"from {low}"), "higher" if scorer.higher_is_better else "lower"


def _texts(gallery: Gallery, name: str) -> list[tuple[str, list]]:
    """Returns each kind's title and its text, cut at what both, one or none of the two texts say."""
    case, scores = gallery.cases[name], gallery.scores.get(MARKED, {}).get(name, {})
    titled = [("reference", pieces(case["reference"], ()))]
    for kind, title in TITLES.items():
        if kind in case and kind != "exact":
            score = scores.get(kind)
            marks = [mark for mark in score.marks if mark.side == "answer"] if score else []
            titled.append((title, pieces(case[kind], marks)))
    return titled

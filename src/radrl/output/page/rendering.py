"""What all pages share: the templates, and the hash by which a page allows its own style and script."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from radrl.output.page import charts, effects
from radrl.output.page.text import clean
from radrl.output.tables import digits, signed


def csp_hash(text: str) -> str:
    """Returns what the page's content security policy names a style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page_environment() -> Environment:
    """Returns the templates with escaping on; ``finalize`` cleans every value on its way out, so none is forgotten."""
    environment = Environment(
        loader=PackageLoader("radrl.output.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters["digits"] = lambda value, metric: f"{value:.{digits(metric)}f}"
    environment.filters["signed"] = lambda value, metric: signed(value, metric).replace("-", "\u2212")
    environment.filters["short"] = lambda value: f"{value:.3f}".rstrip("0").rstrip(".")
    environment.filters["p"] = charts.p_words
    environment.filters["svg_file"] = svg_file
    environment.filters["file_name"] = lambda title: re.sub(r"[^\w.-]+", "-", clean(title)).strip("-.")[:80] or "plot"
    environment.globals.update(chart=charts, effects=effects)
    return environment


@cache
def _plot_style() -> str:
    return " ".join(page_environment().get_template("plot.css.jinja").render().split())


def svg_file(svg: Markup) -> str:
    """Returns a plot of the page as a data URI: a file of its own, with the looks that the page's style gives it."""
    head, rest = str(svg).strip().split(">", 1)
    file = f'{head} xmlns="http://www.w3.org/2000/svg"><style>{_plot_style()}</style>{rest}'
    return "data:image/svg+xml;base64," + base64.b64encode(file.encode()).decode()

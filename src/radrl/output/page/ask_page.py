"""The page on which a model is asked: a form, and the answers of this visit with their boxes on the films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from radrl.output.page.cases import TASK_NAMES
from radrl.output.page.rendering import csp_hash, page_environment


class AskPage(NamedTuple):
    """A page and the content security policy that it is served with: its own style and script, and its own server."""

    html: bytes
    policy: str


def ask_page(facts: Sequence[tuple[str, str]], *, most_bytes: int, most_films: int, sent_out: bool) -> AskPage:
    """Returns the page of a model whose ``facts`` say how it is asked.

    Args:
        facts: a name and a text each.
        most_bytes: of one film's file.
        most_films: of one question.
        sent_out: whether films and questions leave this computer.
    """
    environment = page_environment()
    style = environment.get_template("style.css.jinja").render(models=[])
    style += environment.get_template("ask.css.jinja").render()
    script = environment.get_template("ask.js.jinja").render()
    html = environment.get_template("ask.html.jinja").render(
        style=Markup(style),
        script=Markup(script),
        facts=facts,
        most_bytes=most_bytes,
        most_films=most_films,
        sent_out=sent_out,
        task_names=TASK_NAMES,
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{csp_hash(style)}'; script-src '{csp_hash(script)}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return AskPage(html.encode(errors="replace"), policy)

"""The page of a run while it trains: one HTML file that loads itself again; its pictures are the run's own samples."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from radrl.output.page import charts
from radrl.output.page.first_look import duration
from radrl.output.page.rendering import csp_hash, page_environment
from radrl.support.files import write_text


class LiveRun(NamedTuple):
    """A run as its files tell it: name, kind of stage, when it began and how it ended (None: it has not), what is done
    of what in steps or seconds, seconds trained, seconds that are left (None where not known), its figures by step,
    warnings, the last samples, how long it has been silent where that is too long, and what it trains on."""

    name: str
    kind: str
    began: str
    exit: str | None
    done: int
    total: int | None
    unit: str
    seconds: float | None
    left: float | None
    logs: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    samples: Sequence[Mapping[str, Any]]
    silent: float | None
    facts: Mapping[str, str]


def write_watch_page(path: str | os.PathLike[str], run: LiveRun, every: float | None, stage: str = "") -> None:
    """Writes the page of a run, whose folder is ``stage`` relative to the page's. It loads itself again each ``every``
    seconds; never where that is None.

    Texts of the run are untrusted: everything is escaped.

    Raises:
        UserError: the file cannot be written.
    """
    environment = page_environment()
    environment.filters["duration"] = duration
    environment.filters["figure"] = lambda value: f"{value:.3g}" if _is_number(value) else "–"
    style = environment.get_template("style.css.jinja").render() + environment.get_template("watch.css.jinja").render()
    script = environment.get_template("watch.js.jinja").render()
    html = environment.get_template("watch.html.jinja").render(
        run=run,
        every=every,
        stage=stage,
        charts=charts.live_charts(run.logs),
        groups=[group for one in run.samples if (group := _group(one))],
        style=Markup(style),  # ours alone: nothing of the run goes into it
        style_hash=csp_hash(style),
        script=Markup(script),  # likewise
        script_hash=csp_hash(script),
    )
    write_text(path, html)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _group(one: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns what the page shows of a group, best completion first; None where the line was changed by hand."""
    try:
        completions = sorted(one["completions"], key=lambda c: -(c["advantage"] or 0.0))
        pictures = [str(p) for p in one["pictures"] if str(p).startswith("samples/") and ".." not in str(p)]
        return {
            "step": int(one["step"]),
            "id": str(one["id"]),
            "task": str(one["task"]),
            "prompt": str(one["prompt"]),
            "reference": str(one["reference"]),
            "picture": pictures[0] if pictures else None,
            "more": len(pictures) - 1,
            "boxes": _boxes(one.get("boxes", [])),
            "best": _boxes(completions[0].get("boxes", [])) if completions else [],
            "scorers": [name for name in (completions[0]["scores"] if completions else ()) if _any(completions, name)],
            "completions": [
                {"text": str(c["text"]), "scores": dict(c["scores"]), "advantage": c["advantage"]} for c in completions
            ],
        }
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _any(completions: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(c["scores"].get(name) is not None for c in completions)


def _boxes(boxes: Sequence[Sequence[Any]]) -> list[tuple[float, float, float, float, str]]:
    """Returns boxes as x, y, width, height in thousandths of the picture's sides, and label."""
    return [
        (x1 * 1000, y1 * 1000, (x2 - x1) * 1000, (y2 - y1) * 1000, str(label))
        for x1, y1, x2, y2, label in ((*map(float, box[:4]), box[4]) for box in boxes)
    ]

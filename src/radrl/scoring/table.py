"""The table of all scorers, made from the registry: docs/scorers.md, by ``radrl scorers --markdown``."""

from __future__ import annotations

import inspect
import re

from radrl.example import TASKS
from radrl.scoring import registry
from radrl.scoring.registry import Scorer

FAMILIES = {  # by the module of a scorer's function, in the order of the page
    "report": "Findings of reports, by rules",
    "words": "Words of reports and open answers",
    "neural": "Reports, by models",
    "judge": "Reports and answers, by a language model",
    "judged_packages": "Reports and answers, by a language model",
    "grounding": "Boxes",
    "vqa": "Questions",
    "classification": "Labels",
    "form": "Form, whatever the answer says",
}
OTHERS = "Others"
HEAD = """# Scorers

A scorer is a reward and a metric at once. This page is made from the registry by `radrl scorers --markdown`; a test
compares the two. How a value becomes a reward, and a scorer of your own: [rewards.md](rewards.md). Formulas, text
preparation, and what each figure was checked against: [metrics.md](metrics.md).

Weights are named under `scoring.weights` in the recipe. Higher is better where the range does not say otherwise.
"""
COLUMNS = ("Scorer", "Tasks", "Range", "Options", "What it gives", "Source", "Needs", "How it is cheated")
HIDDEN = {"weights", "device", "judge"}  # options that the recipe sets for all scorers of a kind
_SENTENCE_END = re.compile(r"\.(?=\s+[A-Z`]|$)")
_RANGE = re.compile(r",\s(?:in\s)?-?\d+(?:-|\sto\s)-?\d+(?=[:,;]|$|\s\()")  # it has a column of its own
_CITED = re.compile(r"\s\((?:[^()]*\barXiv\b[^()]*|[^()]*\b[12]\d{3})\)")


def markdown() -> str:
    """Returns docs/scorers.md: a table for each family of scorers."""
    families: dict[str, list[Scorer]] = {name: [] for name in (*FAMILIES.values(), OTHERS)}
    for name in registry.names():
        families[_family(registry.get(name))].append(registry.get(name))
    parts = [HEAD]
    for family, scorers in families.items():
        if scorers:
            rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_cells, scorers)]
            parts.append(f"## {family}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
    return "\n".join(parts)


def describe(scorer: Scorer) -> str:
    """Returns what a scorer gives: the first sentence of its docstring, without the paper it cites."""
    text = " ".join((inspect.getdoc(scorer.function) or "").split("\n\n")[0].split())
    end = _SENTENCE_END.search(text)
    text = text[: end.start()] if end else text
    return _RANGE.sub("", _CITED.sub("", text)).replace("``", "`")


def _family(scorer: Scorer) -> str:
    parts = scorer.function.__module__.split(".")
    return FAMILIES.get(parts[2], OTHERS) if parts[:2] == ["radrl", "scoring"] else OTHERS


def _cells(scorer: Scorer) -> tuple[str, ...]:
    options = ", ".join(f"`{name}: {value}`" if value else f"`{name}`" for name, value in _options(scorer))
    said = (scorer.source, scorer.needs, scorer.cheated)
    cells = (f"`{scorer.name}`", _tasks(scorer), _range(scorer), options, describe(scorer), *said)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _options(scorer: Scorer) -> list[tuple[str, str]]:
    """Returns the options that a recipe may set, with their defaults."""
    parameters = inspect.signature(scorer.function).parameters.values()
    return [
        (one.name, str(one.default).lower() if isinstance(one.default, bool) else str(one.default))
        for one in parameters
        if one.kind is one.KEYWORD_ONLY and one.name not in HIDDEN and one.default not in (one.empty, None)
    ]


def _tasks(scorer: Scorer) -> str:
    return "all" if set(scorer.tasks) == set(TASKS) else ", ".join(scorer.tasks)


def _range(scorer: Scorer) -> str:
    ends = f"{scorer.low:.3g} to {scorer.high:.3g}".replace(" to inf", " and up")
    return ends if scorer.higher_is_better else f"{ends}, lower is better"

"""In which order scorers put mistakes: fixed pairs of reports (clinical/gallery.yaml) under every installed scorer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product

import yaml

from radrl.example import Answer, Example, Score
from radrl.scoring import registry
from radrl.scoring.registry import Scorer

KINDS = (
    "exact",
    "paraphrase",
    "severity_flip",
    "change_flip",
    "omission",
    "hallucination",
    "wrong_side",
    "negation_flip",
    "unrelated",
)
SERIOUS = ("omission", "hallucination", "wrong_side", "negation_flip")
# The rightful order (METHODS.md, 5), as pairs of a better and a worse kind. Only the first may tie.
PAIRS = (
    *(("exact", kind) for kind in KINDS[1:]),
    *(("paraphrase", kind) for kind in KINDS[2:]),
    *product(("severity_flip",), (*SERIOUS, "unrelated")),
    ("change_flip", "unrelated"),
    *product(SERIOUS, ("unrelated",)),
)


@dataclass(frozen=True)
class Order:
    """How many of ``pairs`` pairs a scorer orders rightly."""

    right: int
    pairs: int

    @property
    def share(self) -> float | None:
        """Returns the share in 0-1; None where there is no pair."""
        return self.right / self.pairs if self.pairs else None


@dataclass(frozen=True)
class Gallery:
    """The cases by id, each a text by kind and ``reference``; and each scorer's Scores, [scorer][case][kind]."""

    cases: dict[str, dict[str, str]]
    scorers: dict[str, Scorer]
    scores: dict[str, dict[str, dict[str, Score | None]]]

    def order(self, scorer: str, worse: Sequence[str] = KINDS) -> Order:
        """Returns how many pairs whose worse text is of these kinds a scorer orders rightly.

        A pair of which a side has no score is left out; a tie is wrong, but of copy and paraphrase.
        """
        sign = 1 if self.scorers[scorer].higher_is_better else -1
        right = total = 0
        for of_case in self.scores[scorer].values():
            for better, bad in PAIRS:
                a, b = of_case.get(better), of_case.get(bad)
                if bad in worse and a is not None and b is not None:
                    gap = sign * (a.value - b.value)
                    total += 1
                    right += gap > 0 or (gap == 0 and (better, bad) == PAIRS[0])
        return Order(right, total)

    def mean(self, scorer: str, kind: str) -> float | None:
        """Returns a scorer's mean over the cases of a kind; None where it has none."""
        values = [one.value for of_case in self.scores[scorer].values() if (one := of_case.get(kind)) is not None]
        return sum(values) / len(values) if values else None


def gallery_cases() -> dict[str, dict[str, str]]:
    """Returns the gallery's cases by id: ``reference`` and a text for each kind it has."""
    read = yaml.safe_load(files("radrl.clinical").joinpath("gallery.yaml").read_text(encoding="utf-8"))
    return {case["id"]: {key: " ".join(str(case[key]).split()) for key in case if key != "id"} for case in read}


def installed() -> dict[str, Scorer]:
    """Returns the scorers of reports that can run here, but for the judge, which needs a recipe."""
    every = (registry.get(name) for name in registry.names())
    return {s.name: s for s in every if "report" in s.tasks and s.kind != "judge" and s.missing() is None}


def score_gallery() -> Gallery:
    """Scores every pair of the gallery with every installed scorer."""
    texts = gallery_cases()
    examples = {name: _example(name, case["reference"]) for name, case in texts.items()}
    asked = [(name, kind) for name, case in texts.items() for kind in KINDS if kind in case]
    scores: dict[str, dict[str, dict[str, Score | None]]] = {}
    ready = {name: scorer.fitted(list(examples.values())) for name, scorer in installed().items()}
    for scorer in ready.values():
        found = scorer([examples[name] for name, _ in asked], [Answer(texts[name][kind]) for name, kind in asked])
        if any(one is not None for one in found):
            mine = scores[scorer.name] = {name: {} for name in texts}
            for (name, kind), one in zip(asked, found, strict=True):
                mine[name][kind] = one
    return Gallery(texts, {name: ready[name] for name in scores}, scores)


def _example(name: str, reference: str) -> Example:
    return Example(id=name, task="report", question="report", reference=reference)

"""Scorers, one file a family. Importing this package registers all of them."""

from typing import Any

from radrl.scoring import (
    classification,
    form,
    grounding,
    judge,
    judged_packages,
    neural,
    report,
    rouge,
    text,
    vqa,
)
from radrl.scoring.registry import scorer

__all__ = [
    "classification",
    "form",
    "grounding",
    "judge",
    "judged_packages",
    "load_rewards",
    "neural",
    "report",
    "rouge",
    "scorer",
    "text",
    "vqa",
]


def __getattr__(name: str) -> Any:
    if name == "load_rewards":  # late: it imports the recipe, whose check of scorers imports this package
        from radrl.scoring.reward import load_rewards

        return load_rewards
    raise AttributeError(name)

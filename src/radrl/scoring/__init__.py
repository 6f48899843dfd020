"""Scorers, one file a family. Importing this package registers all of them."""

from typing import Any

from radrl.scoring import classification, form, grounding, judge, judged_packages, neural, report, vqa
from radrl.scoring.registry import scorer
from radrl.scoring.words import bleu_cider, rouge  # noqa: F401  registered by being imported

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
        from radrl.scoring.rewards import load_rewards

        return load_rewards
    raise AttributeError(name)

"""Scorers, one file a family. Importing this package registers all of them.

For a script: `load_rewards` gives a recipe's rewards as TRL's functions, `score` what one scorer says of texts,
`find_scorer` the `Scorer` of a name; `scorer` registers one of one's own.
"""

from typing import TYPE_CHECKING

from radrl.scoring import classification, form, grounding, judge, judged_packages, neural, own, report, vqa  # noqa: F401
from radrl.scoring.registry import Scorer, scorer
from radrl.scoring.words import bleu_cider, rouge  # noqa: F401  registered by being imported
from radrl.support.lazy import lazy_names

if TYPE_CHECKING:
    from radrl.scoring.from_text import find_scorer, score
    from radrl.scoring.rewards import load_rewards

__all__ = ["Scorer", "find_scorer", "load_rewards", "score", "scorer"]

# late: they import the whole recipe
__getattr__ = lazy_names(
    __name__,
    {
        "find_scorer": "radrl.scoring.from_text",
        "load_rewards": "radrl.scoring.rewards",
        "score": "radrl.scoring.from_text",
    },
)

"""Scorers of the form of an answer, whatever it says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from radrl.example import TASKS, Answer, Example, Score
from radrl.scoring.registry import scorer


@scorer("format", tasks=TASKS)
def format_kept(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """1 where the answer has text and keeps the form that was asked for (Answer.well_formed), else 0."""
    return [Score(float(answer.well_formed and bool(answer.text.strip()))) for answer in answers]


@scorer("length", tasks=TASKS, low=0.0, high=math.inf)
def length(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """The number of words of the answer, without its thinking. A metric for the length audit, not a reward."""
    return [Score(float(len(answer.text.split()))) for answer in answers]

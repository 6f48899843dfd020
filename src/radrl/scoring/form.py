"""Scorers of the form of an answer, whatever it says.

Lengths are in words of thinking and answer together, but for ``length`` (the answer's words) and ``soft_overlong``,
which needs the completion's own tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from radrl.errors import UserError
from radrl.example import TASKS, Answer, Example, Score
from radrl.scoring.registry import scorer
from radrl.scoring.vqa import is_right
from radrl.scoring.words.ngrams import different
from radrl.scoring.words.splitting import CODE, read

VQA = ("vqa_closed", "vqa_open")


@scorer("format", tasks=TASKS, cheated="easily learned: use it as a gate, not in the sum")
def format_kept(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """1 where the answer has text and keeps the form that was asked for (Answer.well_formed), else 0."""
    return [Score(float(answer.well_formed and bool(answer.text.strip()))) for answer in answers]


@scorer("length", tasks=TASKS, low=0.0, high=math.inf, cheated="by length: a metric, not a reward")
def length(examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score | None]:
    """The number of words of the answer, without its thinking. A metric for the length audit, not a reward."""
    return [Score(float(len(read(answer.text).plain) // CODE)) for answer in answers]


@scorer("ecr", tasks=TASKS, source="arXiv 2505.13973", cheated="by length")
def ecr(examples: Sequence[Example], answers: Sequence[Answer], *, full: int = 256) -> list[Score | None]:
    """Length as such, in 0-1: words / ``full``, at most 1 (ECR of arXiv 2505.13973, which found that it harms).

    The paper rewards length in tokens; here words, capped, so that it cannot outgrow the other rewards.
    """
    return [Score(_share(answer, full)) for answer in answers]


@scorer("cwr", tasks=VQA, source="arXiv 2505.13973", cheated="by long thinking before an easy answer")
def cwr(examples: Sequence[Example], answers: Sequence[Answer], *, full: int = 256) -> list[Score | None]:
    """Length where the answer is right, else 0, in 0-1 (CWR of arXiv 2505.13973). Right is vqa_accuracy's."""
    pairs = zip(examples, answers, strict=True)
    return [Score(_share(answer, full) if is_right(example, answer) else 0.0) for example, answer in pairs]


@scorer(
    "cosine_length",
    tasks=VQA,
    low=-1.0,
    source="arXiv 2502.03373",
    cheated="by long thinking where the answer is wrong anyway",
)
def cosine_length(examples: Sequence[Example], answers: Sequence[Answer], *, full: int = 512) -> list[Score | None]:
    """Cosine-scaled length, -1 to 1 (arXiv 2502.03373): 1 falling to 0.5 where the answer is right, -1 rising to -0.5
    where it is wrong, over 0 to ``full`` words, and -1 beyond.

    Whether the answer is right is asked of vqa_accuracy's rule for each answer and nothing here changes it: a public
    code that set the accuracy to 1 on its way paid every answer as right.
    """
    _positive("cosine_length", full)
    scores: list[Score | None] = []
    for example, answer in zip(examples, answers, strict=True):
        right, words = is_right(example, answer), _words(answer)
        share = (1 + math.cos(math.pi * min(words / full, 1.0))) / 2  # 1 falling to 0
        value = 0.5 + 0.5 * share if right else -0.5 - 0.5 * share
        scores.append(Score(-1.0 if words > full else value, {"right": float(right), "words": float(words)}))
    return scores


@scorer("soft_overlong", tasks=TASKS, low=-1.0, high=0.0, source="arXiv 2503.14476")
def soft_overlong(
    examples: Sequence[Example], answers: Sequence[Answer], *, limit: int = 1024, buffer: int = 256
) -> list[Score | None]:
    """DAPO's soft over-long penalty, -1 to 0 (arXiv 2503.14476, eq. 13): 0 up to ``limit - buffer`` tokens of the
    completion, then falling evenly to -1 at ``limit`` and beyond. None where the tokens are not known.

    Set ``limit`` to TRL's ``max_completion_length``.
    """
    _positive("soft_overlong", limit, buffer)
    return [
        None if answer.tokens is None else Score(-min(max((answer.tokens - limit + buffer) / buffer, 0.0), 1.0) + 0.0)
        for answer in answers
    ]


@scorer(
    "repetition", tasks=TASKS, low=-1.0, high=0.0, source="arXiv 2502.03373", cheated="by repeating with small changes"
)
def repetition(examples: Sequence[Example], answers: Sequence[Answer], *, n: int = 3) -> list[Score | None]:
    """Penalty for repeated n-grams of words, -1 to 0 (arXiv 2502.03373): different n-grams / all n-grams - 1.

    A text of less than ``n`` words has 0.
    """
    _positive("repetition", n)
    texts = [_said(answer) for answer in answers]
    if max(map(len, texts)) < n * CODE:
        return [Score(0.0)] * len(texts)
    totals = np.array([len(text) // CODE - n + 1 for text in texts])
    shares = np.divide(different(texts, n), totals, out=np.ones(len(texts)), where=totals > 0)
    return [Score(value) for value in (shares - 1).tolist()]


def _words(answer: Answer) -> int:
    return len(_said(answer)) // CODE


def _said(answer: Answer) -> bytes:
    """Returns the hashes of the words of thinking and answer."""
    said = read(answer.text).plain
    return read(answer.thinking).plain + said if answer.thinking else said


def _share(answer: Answer, full: int) -> float:
    _positive("ecr and cwr", full)
    return min(_words(answer) / full, 1.0)


def _positive(name: str, *values: int) -> None:
    if min(values) < 1:
        raise UserError(f"the options of scorer '{name}' should be 1 or more, not {min(values)}")

"""The neural rewards of RadVLM-GRPO (arXiv 2512.10691), with the text preparation of its reward workers: RadCliQ, which
it is trained with, and the two it compares with that, BERTScore and RadGraph.

Both texts are cut at 2,048 characters and then lower-cased. What cannot be scored, a side of at most 5 characters or
without a word, has a value of its own: 3 of RadCliQ (a reward of -3), 0 of the others. These are counted in the log,
and have the part ``failed`` 1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import models, radcliq
from radrl.scoring.neural.bertscore_models import MODELS
from radrl.scoring.neural.clinical import Form
from radrl.scoring.neural.features import Scored, Texts, bertscores, graph_scores, lacks
from radrl.scoring.registry import scorer

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 6, 2048  # characters
RADGRAPH, BERTSCORE = "radgraph-xl", "distilbert-base-uncased"


@scorer(
    "radcliq_radvlm",
    missing=lacks("radcliq_radvlm", RADGRAPH, *radcliq.PARTS),
    reads_blank=True,
    **radcliq.SETTINGS,
    source="Yu 2023, as in arXiv 2512.10691",
    needs="weights `radgraph-xl`, `chexbert`, `distilroberta`",
    cheated="as radcliq",
)
def radcliq_radvlm(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> Scored:
    """RadCliQ-v1 as RadVLM-GRPO's reward computes it; lower is better, its reward is this turned. Parts as in
    radcliq."""
    return _prepared(
        "radcliq_radvlm", examples, answers, lambda texts: radcliq.scores(RADGRAPH, texts, weights, device), 3.0
    )


@scorer(
    "radgraph_radvlm",
    tasks=("report",),
    missing=lacks("radgraph_radvlm", RADGRAPH),
    kind="neural",
    reads_blank=True,
    source="arXiv 2106.14463, as in arXiv 2512.10691",
    needs="weights `radgraph-xl`",
    cheated="as radgraph",
)
def radgraph_radvlm(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    form: Form = "complete",
    weights: dict | None = None,
    device: str = "auto",
) -> Scored:
    """RadGraph-XL F1 as RadVLM-GRPO's reward computes it, in 0-1: the form ``complete``, of lower-cased text. All forms
    are parts."""

    def of(texts: Texts) -> Scored:
        return [Score(one[form], one) for one in graph_scores(RADGRAPH, texts, weights, device)]

    return _prepared("radgraph_radvlm", examples, answers, of, 0.0)


@scorer(
    "bertscore_radvlm",
    tasks=("report",),
    low=MODELS[BERTSCORE].low,
    missing=lacks("bertscore_radvlm", BERTSCORE),
    kind="neural",
    reads_blank=True,
    source="arXiv 1904.09675, as in arXiv 2512.10691",
    needs="weights `distilbert-base-uncased`",
    cheated="as bertscore",
)
def bertscore_radvlm(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> Scored:
    """BERTScore F of distilbert-base-uncased, layer 5, rescaled, as RadVLM-GRPO's reward computes it: -2 to 1, about 0
    for unrelated sentences."""

    def of(texts: Texts) -> Scored:
        return [None if f is None else Score(f) for f in bertscores(BERTSCORE, texts, weights, device)]

    return _prepared("bertscore_radvlm", examples, answers, of, 0.0)


def _prepared(
    name: str,
    examples: Sequence[Example],
    answers: Sequence[Answer],
    of: Callable[[Texts], Scored],
    failed: float,
) -> Scored:
    """Returns what ``of`` makes of the prepared texts, and ``failed`` for a pair that cannot be scored."""
    both = [(models.readable(a.text), models.readable(e.reference)) for e, a in zip(examples, answers, strict=True)]
    good = [all(len(one) >= SHORTEST and one.strip() for one in pair) for pair in both]
    texts = [(a[:LONGEST].lower(), b[:LONGEST].lower()) for (a, b), ok in zip(both, good, strict=True) if ok]
    found = iter(of(texts) if texts else [])
    if bad := good.count(False):
        log.warning("%s: %d of %d answers cannot be scored and have %g", name, bad, len(good), failed)
    return [next(found) if ok else Score(failed, {"failed": 1.0}) for ok in good]

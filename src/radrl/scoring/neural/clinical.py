"""The scorers RadGraph F1, CheXbert similarity and BERTScore. A reference without a word gives None."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from radrl.example import Answer, Example, Score
from radrl.scoring.neural.bertscore_models import MODELS
from radrl.scoring.neural.features import Scored, Texts, bertscores, each, graph_scores, lacks, readings
from radrl.scoring.neural.graphs import FORMS
from radrl.scoring.registry import scorer

RadGraphName = Literal["radgraph", "radgraph-xl"]
Form = Literal["entity", "relation", "radcliq", "simple", "partial", "complete"]
assert get_args(Form) == FORMS
if TYPE_CHECKING:
    BertScoreName = str
else:
    BertScoreName = Literal[*MODELS]  # the registry checks an option against it


@scorer(
    "radgraph",
    tasks=("report",),
    missing=lacks("radgraph", "radgraph-xl"),
    kind="neural",
    source="arXiv 2106.14463, 2210.12186",
    needs="weights `radgraph-xl`, or `radgraph`",
    cheated="by short reports of sure findings: RadVLM-GRPO saw length halve",
)
def radgraph(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    model: RadGraphName = "radgraph-xl",
    form: Form = "partial",
    weights: dict | None = None,
    device: str = "auto",
) -> Scored:
    """RadGraph F1, in 0-1 (arXiv 2106.14463, 2210.12186): entities and relations in common; `graphs.scores` has the
    forms, and all of them are parts."""
    return each(
        examples,
        answers,
        lambda texts: [Score(one[form], one) for one in graph_scores(model, texts, weights, device)],
    )


@scorer(
    "chexbert_cosine",
    tasks=("report",),
    low=-1.0,
    missing=lacks("chexbert_cosine", "chexbert"),
    kind="neural",
    source="arXiv 2004.09167",
    needs="weights `chexbert`",
    cheated="a finding without a label costs nothing",
)
def chexbert_cosine(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> Scored:
    """Cosine of CheXbert's embeddings of both reports, -1 to 1: the s_emb of RadCliQ."""
    return each(examples, answers, lambda texts: [Score(a.cosine(b)) for a, b in readings(texts, weights, device)])


def _lowest(model: str = "distilroberta-base", rescale: bool = True, **_: Any) -> float:
    return MODELS[model].low if rescale else 0.0


@scorer(
    "bertscore",
    tasks=("report",),
    low=_lowest(),
    low_of=_lowest,
    missing=lacks("bertscore", "distilroberta-base"),
    kind="neural",
    source="arXiv 1904.09675",
    needs="weights by the model's name",
    cheated="a denial that is left out keeps 0.9",
)
def bertscore(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    model: BertScoreName = "distilroberta-base",
    rescale: bool = True,
    spaces: Literal["kept", "single"] = "kept",
    idf: bool = False,
    weights: dict | None = None,
    device: str = "auto",
) -> Scored:
    """BERTScore F (arXiv 1904.09675) of a model's published layer, rescaled with its baseline: 1 at best, about 0 for
    unrelated sentences, the lowest for no similarity; without ``rescale`` in 0-1. ``spaces: single`` makes runs of
    spaces one first, as CXR-Report-Metric does. ``idf`` weighs tokens by their rarity in ``scoring.weights.idf``."""
    corpus = Path(weights["idf"]) if idf and weights else None

    def of(texts: Texts) -> Scored:
        found = bertscores(model, texts, weights, device, corpus, rescale, spaces == "single")
        return [None if f is None else Score(f) for f in found]

    return each(examples, answers, of)

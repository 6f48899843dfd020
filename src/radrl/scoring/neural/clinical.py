"""The scorers RadGraph F1, CheXbert F1 and similarity, and BERTScore. A reference without a word gives None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import models
from radrl.scoring.neural.features import Scored, Texts, bertscores, each, graph_scores, lacks, readings
from radrl.scoring.neural.graphs import FORMS
from radrl.scoring.registry import scorer

RadGraphName = Literal["radgraph", "radgraph-xl"]
Form = Literal["entity", "relation", "radcliq", "simple", "partial", "complete"]
assert get_args(Form) == FORMS
CONDITIONS = 14
LOWEST_BERTSCORE = -5.551  # `bertscore.LOW`: what no similarity is rescaled to


@scorer("radgraph", tasks=("report",), missing=lacks("radgraph", "radgraph-xl"), kind="neural")
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


def _micro(examples: Sequence[Example], answers: Sequence[Answer], **options: Any) -> float:
    counts = _label_counts(examples, answers, **options)
    right, given, wanted = (sum(one[k] for one in counts) for k in range(3))
    return 2 * right / (given + wanted) if given + wanted else 0.0


def _macro(examples: Sequence[Example], answers: Sequence[Answer], **options: Any) -> float:
    counts = _label_counts(examples, answers, **options)
    return sum(2 * right / (given + wanted) if given + wanted else 0.0 for right, given, wanted in counts) / len(counts)


def _label_counts(
    examples: Sequence[Example], answers: Sequence[Answer], weights: dict | None = None, device: str = "auto"
) -> list[tuple[int, int, int]]:
    """Returns for each condition how often it is right, given and wanted. An Answer without text names nothing."""
    spoken = [(e, a) for e, a in zip(examples, answers, strict=True) if a.text.strip()]
    texts = [(models.readable(a.text), models.readable(e.reference)) for e, a in spoken]
    pairs = [(a.positive, b.positive) for a, b in readings(texts, weights, device)]
    silent = [models.readable(e.reference) for e, a in zip(examples, answers, strict=True) if not a.text.strip()]
    pairs += [(frozenset(), b.positive) for _, b in readings([(text, text) for text in silent], weights, device)]
    return [
        (sum(k in a and k in b for a, b in pairs), sum(k in a for a, _ in pairs), sum(k in b for _, b in pairs))
        for k in range(CONDITIONS)
    ]


def _register_f1(name: str, corpus: Callable[..., float], said: str) -> None:
    @scorer(name, tasks=("report",), corpus=corpus, missing=lacks(name, "chexbert"), kind="neural")
    def chexbert_f1(
        examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
    ) -> Scored:
        def f1(given: frozenset[int], wanted: frozenset[int]) -> float:
            return 2 * len(given & wanted) / (len(given) + len(wanted)) if given or wanted else 1.0

        return each(
            examples,
            answers,
            lambda texts: [Score(f1(a.positive, b.positive)) for a, b in readings(texts, weights, device)],
        )

    chexbert_f1.__doc__ = f"""CheXbert F1, in 0-1 (arXiv 2004.09167): the 14 conditions that both texts say are there,
    uncertain ones too. A case's value is the F1 of its own labels, 1 where neither text has any; a set's is {said}."""


_register_f1("chexbert_f1", _micro, "micro-averaged over its cases")
_register_f1("chexbert_macro_f1", _macro, "the mean of the 14 conditions' F1, 0 for one that no text has")


@scorer(
    "chexbert_cosine", tasks=("report",), low=-1.0, missing=lacks("chexbert_cosine", "chexbert"), kind="neural"
)  # fmt: skip
def chexbert_cosine(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> Scored:
    """Cosine of CheXbert's embeddings of both reports, -1 to 1: the s_emb of RadCliQ."""
    return each(examples, answers, lambda texts: [Score(a.cosine(b)) for a, b in readings(texts, weights, device)])


@scorer(
    "bertscore", tasks=("report",), low=LOWEST_BERTSCORE, missing=lacks("bertscore", "distilroberta"), kind="neural"
)
def bertscore(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    idf: bool = False,
    weights: dict | None = None,
    device: str = "auto",
) -> Scored:
    """BERTScore F (arXiv 1904.09675) of distilroberta-base, layer 5, rescaled with its baseline: 1 at best, about 0 for
    unrelated sentences, -5.55 for no similarity. ``idf`` weighs tokens by their rarity in ``scoring.weights.idf``."""
    corpus = Path(weights["idf"]) if idf and weights else None

    def of(texts: Texts) -> Scored:
        return [None if f is None else Score(f) for f in bertscores(texts, weights, device, corpus)]

    return each(examples, answers, of)

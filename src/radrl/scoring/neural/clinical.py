"""The scorers RadGraph F1, CheXbert F1 and similarity, and BERTScore. A reference without a word gives None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import models
from radrl.scoring.neural.features import Scored, Texts, bertscores, each, graph_scores, lacks, readings
from radrl.scoring.neural.graphs import FORMS
from radrl.scoring.registry import Pooled, scorer

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


def _label_table(
    examples: Sequence[Example], answers: Sequence[Answer], weights: dict | None = None, device: str = "auto"
) -> NDArray[np.float64]:
    """Returns for each case and condition whether it is right, given and wanted, (cases, 3 * 14). An Answer without
    text names nothing."""
    wanted = [models.readable(e.reference) for e in examples]
    texts = [
        (models.readable(a.text) if a.text.strip() else reference, reference)
        for a, reference in zip(answers, wanted, strict=True)
    ]
    table = np.zeros((len(texts), 3, CONDITIONS))
    for row, answer, (given, reference) in zip(table, answers, readings(texts, weights, device), strict=True):
        said = given.positive if answer.text.strip() else frozenset()
        row[0, list(said & reference.positive)] = row[1, list(said)] = row[2, list(reference.positive)] = 1
    return table.reshape(len(texts), -1)


def _f1(right: NDArray, given: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    return np.divide(2 * right, given + wanted, out=np.zeros_like(right), where=given + wanted > 0)


def _micro(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = sums.reshape(*sums.shape[:-1], 3, CONDITIONS).sum(axis=-1)
    return _f1(counts[..., 0], counts[..., 1], counts[..., 2])


def _macro(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = sums.reshape(*sums.shape[:-1], 3, CONDITIONS)
    return _f1(counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]).mean(axis=-1)


def _register_f1(name: str, value: Callable[[NDArray], NDArray], said: str) -> None:
    @scorer(
        name,
        tasks=("report",),
        pooled=Pooled(_label_table, value),
        missing=lacks(name, "chexbert"),
        kind="neural",
    )
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

"""RadCliQ-v1 (Yu et al., Patterns 2023): how many errors a radiologist would count, as a line through RadGraph F1,
BERTScore and CheXbert's embeddings. Lower is better.

Its published codes differ, so a figure must name its variant:

- ``radcliq``, the original (rajpurkarlab/CXR-Report-Metric): RadGraph 1, idf off, the text as it is, but for BERTScore
  with runs of spaces made one.
- ``radcliq_radvlm``, the reward of RadVLM-GRPO: RadGraph-XL, lower-cased, cut at 2,048 characters (radvlm.py).
- ``radcliq_radeval``, RadEval 2.2: RadGraph 1, BERTScore with idf from the references of the call.

BLEU-2, the fourth feature, is left out: its weight of 4e-12 moves no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.errors import UserError
from radrl.example import Answer, Example, Score
from radrl.scoring.neural.bertscore_models import MODELS
from radrl.scoring.neural.features import Corpus, Scored, Texts, bertscores, each, graph_scores, lacks, readings
from radrl.scoring.registry import scorer

MEANS = {"radgraph": 0.53792312, "bertscore": 0.61757256, "chexbert": 0.76479421}
SPREADS = {"radgraph": 0.30282584, "bertscore": 0.22430938, "chexbert": 0.25394391}
WEIGHTS = {"radgraph": -0.377083683, "bertscore": -0.370300100, "chexbert": -0.252616218}
INTERCEPT = 2.46655256e-10


def radcliq(radgraph: float, bertscore: float, chexbert: float) -> float:
    """Returns RadCliQ-v1 from the mean of RadGraph's entity and relation F1 (0-1), rescaled BERTScore F (at most 1)
    and the cosine of CheXbert's embeddings (-1 to 1): -1.44 where all are 1, 2.45 where all are 0."""
    values = {"radgraph": radgraph, "bertscore": bertscore, "chexbert": chexbert}
    return sum(WEIGHTS[k] * (v - MEANS[k]) / SPREADS[k] for k, v in values.items()) + INTERCEPT


BERTSCORE = "distilroberta-base"
BEST, WORST = radcliq(1.0, 1.0, 1.0), radcliq(0.0, MODELS[BERTSCORE].low, -1.0)  # -1.44 and 12.6


def scores(
    name: str,
    texts: Texts,
    weights: Mapping[str, str] | None,
    device: str,
    corpus: Corpus = None,
    single_spaces: bool = False,
) -> Scored:
    """Returns RadCliQ-v1 of each pair and its parts, with the RadGraph of that name; None where ``corpus`` leaves a
    side no weight. ``single_spaces`` makes runs of spaces one for BERTScore."""
    graph = [one["radcliq"] for one in graph_scores(name, texts, weights, device)]
    like = [a.cosine(b) for a, b in readings(texts, weights, device)]
    found: Scored = []
    bert = bertscores(BERTSCORE, texts, weights, device, corpus, single_spaces=single_spaces)
    for entities, words, embeddings in zip(graph, bert, like, strict=True):
        if words is None:
            found.append(None)
            continue
        parts = {"radgraph": entities, "bertscore": words, "chexbert": embeddings}
        found.append(Score(min(max(radcliq(**parts), BEST), WORST), parts))  # 1e-16 beyond, by rounding
    return found


PARTS = ("chexbert", BERTSCORE)
SETTINGS = {"tasks": ("report",), "low": BEST, "high": WORST, "higher_is_better": False, "kind": "neural"}


@scorer(
    "radcliq",
    missing=lacks("radcliq", "radgraph", *PARTS),
    **SETTINGS,
    source="Yu 2023 (Patterns)",
    needs="weights `radgraph`, `chexbert`, `distilroberta`",
    cheated="as its parts; set `clip: [-3, 1.5]`, or an empty answer outweighs the rest of its group",
)
def original(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    idf: bool = False,
    weights: dict | None = None,
    device: str = "auto",
) -> Scored:
    """RadCliQ-v1, the original: -1.44 where all agrees, about 2.45 where nothing does; lower is better.

    ``idf`` as in bertscore. Parts: ``radgraph``, ``bertscore``, ``chexbert``.
    """
    corpus = Path(weights["idf"]) if idf and weights else None
    return each(examples, answers, lambda texts: scores("radgraph", texts, weights, device, corpus, True))


def _references(examples: Sequence[Example], **_: Any) -> Mapping[str, Any]:
    texts = tuple(example.reference for example in examples if example.task == "report")
    if len(set(texts)) < 2:
        raise UserError(
            "scorer 'radcliq_radeval' weighs words by how many references of the set have them, as RadEval 2.2 does: "
            "with a single reference, as in a GRPO group, every answer would have the same score; use 'radcliq'"
        )
    return {"references": texts}


@scorer(
    "radcliq_radeval",
    missing=lacks("radcliq_radeval", "radgraph", *PARTS),
    fit=_references,
    **SETTINGS,
    source="Yu 2023, as in RadEval 2.2",
    needs="weights `radgraph`, `chexbert`, `distilroberta`",
    cheated="as radcliq",
)
def radeval(
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    references: tuple | None = None,
    weights: dict | None = None,
    device: str = "auto",
) -> Scored:
    """RadCliQ-v1 as RadEval 2.2 computes it: BERTScore's idf comes from the references of the set that is scored, so
    that a score depends on the other references. None where all words of a side stand in every reference.

    As a reward it takes the references of the training data. RadEval prints 1 / mean for a set; here it is the mean.
    """
    if references is None:
        raise ValueError("scorer radcliq_radeval needs a corpus: call .fitted(examples) first")
    return each(examples, answers, lambda texts: scores("radgraph", texts, weights, device, references))

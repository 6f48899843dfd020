"""RadCliQ-v1 (Yu et al., Patterns 2023): how many errors a radiologist would count, as a line through RadGraph F1,
BERTScore and CheXbert's embeddings. Lower is better.

Its published codes differ, so a figure must name its variant:

- ``radcliq``, the original (rajpurkarlab/CXR-Report-Metric): RadGraph 1, the text as it is, idf off.
- ``radcliq_radvlm``, the reward of RadVLM-GRPO (arXiv 2512.10691): RadGraph-XL, lower-cased, cut at 2,048 characters;
  what cannot be scored is 3, the reward's -3.
- ``radcliq_radeval``, RadEval 2.2: RadGraph 1, BERTScore with idf from the references of the call.

BLEU-2, the fourth feature, is left out: its weight of 4e-12 moves no figure.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.errors import UserError
from radrl.example import Answer, Example, Score
from radrl.scoring.neural import models
from radrl.scoring.neural.clinical import LOWEST_BERTSCORE
from radrl.scoring.neural.features import Corpus, Scored, Texts, bertscores, each, graph_scores, lacks, readings
from radrl.scoring.registry import scorer

log = logging.getLogger(__name__)

MEANS = {"radgraph": 0.53792312, "bertscore": 0.61757256, "chexbert": 0.76479421}
SPREADS = {"radgraph": 0.30282584, "bertscore": 0.22430938, "chexbert": 0.25394391}
WEIGHTS = {"radgraph": -0.377083683, "bertscore": -0.370300100, "chexbert": -0.252616218}
INTERCEPT = 2.46655256e-10
FAILED = 3.0  # RadVLM-GRPO's -3, turned
SHORTEST, LONGEST = 6, 2048  # characters, RadVLM-GRPO


def radcliq(radgraph: float, bertscore: float, chexbert: float) -> float:
    """Returns RadCliQ-v1 from the mean of RadGraph's entity and relation F1 (0-1), rescaled BERTScore F (at most 1)
    and the cosine of CheXbert's embeddings (-1 to 1): -1.44 where all are 1, 2.45 where all are 0."""
    values = {"radgraph": radgraph, "bertscore": bertscore, "chexbert": chexbert}
    return sum(WEIGHTS[k] * (v - MEANS[k]) / SPREADS[k] for k, v in values.items()) + INTERCEPT


BEST, WORST = radcliq(1.0, 1.0, 1.0), radcliq(0.0, LOWEST_BERTSCORE, -1.0)  # -1.44 and 12.6


def _radcliq(
    name: str,
    texts: Texts,
    weights: Mapping[str, str] | None,
    device: str,
    corpus: Corpus = None,
) -> Scored:
    graph = [one["radcliq"] for one in graph_scores(name, texts, weights, device)]
    like = [a.cosine(b) for a, b in readings(texts, weights, device)]
    found: Scored = []
    for three in zip(graph, bertscores(texts, weights, device, corpus), like, strict=True):
        parts = dict(zip(("radgraph", "bertscore", "chexbert"), three, strict=True))
        value = None if three[1] is None else min(max(radcliq(*three), BEST), WORST)  # 1e-16 beyond, by rounding
        found.append(None if value is None else Score(value, parts))
    return found


_ALL = ("chexbert", "distilroberta")
_SETTINGS = {"tasks": ("report",), "low": BEST, "high": WORST, "higher_is_better": False, "kind": "neural"}


@scorer("radcliq", missing=lacks("radcliq", "radgraph", *_ALL), **_SETTINGS)
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
    return each(examples, answers, lambda texts: _radcliq("radgraph", texts, weights, device, corpus))


@scorer("radcliq_radvlm", missing=lacks("radcliq_radvlm", "radgraph-xl", *_ALL), reads_blank=True, **_SETTINGS)
def radvlm(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> Scored:
    """RadCliQ-v1 as RadVLM-GRPO's reward computes it (arXiv 2512.10691); lower is better, its reward is this turned.

    What it cannot score has 3: a side of at most 5 characters or without a word. These are counted in the log, and have
    the part ``failed`` 1. Other parts as in radcliq.
    """
    sides = [[models.readable(one) for one in (a.text, e.reference)] for e, a in zip(examples, answers, strict=True)]
    good = [all(len(one) >= SHORTEST and one.strip() for one in both) for both in sides]
    texts = [tuple(one[:LONGEST].lower() for one in both) for both, ok in zip(sides, good, strict=True) if ok]
    found = iter(_radcliq("radgraph-xl", texts, weights, device) if texts else [])
    if failed := good.count(False):
        log.warning("radcliq_radvlm: %d of %d answers cannot be scored and have 3 (a reward of -3)", failed, len(good))
    return [next(found) if ok else Score(FAILED, {"failed": 1.0}) for ok in good]


def _references(examples: Sequence[Example], **_: Any) -> Mapping[str, Any]:
    texts = tuple(example.reference for example in examples if example.task == "report")
    if len(set(texts)) < 2:
        raise UserError(
            "scorer 'radcliq_radeval' weighs words by how many references of the set have them, as RadEval 2.2 does: "
            "with a single reference, as in a GRPO group, every answer would have the same score; use 'radcliq'"
        )
    return {"references": texts}


@scorer("radcliq_radeval", missing=lacks("radcliq_radeval", "radgraph", *_ALL), fit=_references, **_SETTINGS)
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
    return each(examples, answers, lambda texts: _radcliq("radgraph", texts, weights, device, references))

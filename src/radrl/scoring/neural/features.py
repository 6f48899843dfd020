"""Features of pairs of reports by RadGraph, CheXbert and BERTScore, for the scorers on them.

References are computed once and kept, equal texts once, all texts of a batch together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import graphs, models
from radrl.scoring.neural.bertscore_models import MODELS

if TYPE_CHECKING:  # they import torch
    from radrl.scoring.neural.bertscore import Idf
    from radrl.scoring.neural.chexbert import Reading

Texts = list[tuple[str, str]]  # (answer, reference)
Scored = list[Score | None]
Corpus = Sequence[str] | Path | None  # references, or the file that holds them
_idfs: dict[Any, tuple[Any, Idf]] = {}


def lacks(scorer: str, *names: str) -> Callable[..., str | None]:
    """Returns a scorer's ``missing``: it needs the weights of these models; option ``model`` picks the first."""

    def missing(*, weights: Mapping[str, str] | None = None, device: str = "auto", **options: Any) -> str | None:
        if options.get("idf") and not Path((weights or {}).get("idf", "")).is_file():
            form = '{"id", "text"}'
            return (
                f"scorer '{scorer}': option 'idf' needs a corpus of references, a JSONL of {form}; name the file in "
                "the recipe as 'scoring.weights.idf'"
            )
        wanted = (options.get("model", names[0]), *names[1:])
        return models.missing(scorer, tuple(MODELS[n].weights if n in MODELS else n for n in wanted), weights)

    return missing


def each(
    examples: Sequence[Example], answers: Sequence[Answer], of: Callable[[Texts], Sequence[Score | None]]
) -> Scored:
    """Returns a score for each pair that has a reference, from a function of their readable texts; None for the
    others, which leave nothing to compare with."""
    both = [(models.readable(a.text), models.readable(e.reference)) for e, a in zip(examples, answers, strict=True)]
    rows = [i for i, (_, reference) in enumerate(both) if reference.strip()]
    found: Scored = [None] * len(both)
    for i, score in zip(rows, of([both[i] for i in rows]) if rows else [], strict=True):
        found[i] = score
    return found


def _features(name: str, texts: Texts, weights: Mapping[str, str] | None, device: str) -> tuple[Any, dict[str, Any]]:
    """Returns the model and the features of every text, references kept."""
    model, compute = models.load(name, weights, device)
    wanted = list(dict.fromkeys(reference for _, reference in texts))
    found = dict(zip(wanted, compute(wanted, keep=True), strict=True))
    given = [text for text in dict.fromkeys(answer for answer, _ in texts) if text not in found]
    return model, found | dict(zip(given, compute(given), strict=True))


def graph_scores(name: str, texts: Texts, weights: Mapping[str, str] | None, device: str) -> list[dict[str, float]]:
    """Returns every form of RadGraph F1 (`graphs.scores`) of each pair."""
    model, found = _features(name, texts, weights, device)
    said = {text: graphs.graph(model.words(text), spans) for text, spans in found.items()}
    return [graphs.scores(said[a], said[b]) for a, b in texts]


def readings(texts: Texts, weights: Mapping[str, str] | None, device: str) -> list[tuple[Reading, Reading]]:
    """Returns what CheXbert reads in both texts of each pair."""
    _, found = _features("chexbert", texts, weights, device)
    return [(found[a], found[b]) for a, b in texts]


def bertscores(
    name: str,
    texts: Texts,
    weights: Mapping[str, str] | None,
    device: str,
    corpus: Corpus = None,
    rescale: bool = True,
    single_spaces: bool = False,
) -> list[float | None]:
    """Returns the BERTScore of each pair by the model of that name (`bertscore_models`), with the idf of a corpus where
    one is given. ``single_spaces`` makes runs of spaces one, in all texts."""
    if single_spaces:
        texts = [(_single_spaces(a), _single_spaces(b)) for a, b in texts]
    model, found = _features(MODELS[name].weights, texts, weights, device)
    pairs = list(dict.fromkeys(texts))
    f = model.f([(found[a], found[b]) for a, b in pairs], _idf(model, corpus, single_spaces), rescale)
    values = dict(zip(pairs, f, strict=True))
    return [values[pair] for pair in texts]


def _single_spaces(text: str) -> str:
    return re.sub(" +", " ", text)


def _idf(model: Any, corpus: Corpus, single_spaces: bool) -> Idf | None:
    if corpus is None:
        return None
    key = (id(model), corpus, single_spaces)
    if key not in _idfs:
        from radrl.support.texts import read_texts

        texts = read_texts(corpus).values() if isinstance(corpus, Path) else corpus
        read = [_single_spaces(models.readable(text)) if single_spaces else models.readable(text) for text in texts]
        _idfs[key] = model, model.idf(read)  # the model is held: its id stays its
    return _idfs[key][1]

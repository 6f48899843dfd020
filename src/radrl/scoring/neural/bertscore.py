"""BERTScore (Zhang et al., ICLR 2020) of the models that its package publishes layers and baselines for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from radrl.errors import UserError
from radrl.scoring.neural import encoder
from radrl.scoring.neural.bertscore_models import MODELS

PIECES = 510


class Tokens(NamedTuple):
    """A text's token ids with the special ones, and their vectors of length 1, (tokens, hidden)."""

    ids: tuple[int, ...]
    vectors: Tensor


class Idf(NamedTuple):
    """In how many of ``texts`` texts a token stands."""

    texts: int
    counts: Counter[int]

    def weights(self, ids: Sequence[int]) -> list[float]:
        """Returns log((texts + 1) / (texts with the token + 1)) for each token."""
        return [math.log((self.texts + 1) / (self.counts[i] + 1)) for i in ids]


class BertScore:
    """The layers of the model ``name`` that its figure is made of, from a folder as on the hub.

    Raises:
        UserError: it is another model, for which layer and baseline do not hold, or a file is missing.
    """

    def __init__(self, folder: Path, device: str, name: str = "distilroberta-base") -> None:
        self.published = MODELS[name]
        at = f"{folder}/config.json"
        config = encoder.read_json(folder / "config.json")
        if (config.get("model_type"), config.get("num_hidden_layers", config.get("n_layers"))) != (
            self.published.kind,
            self.published.of,
        ):
            raise UserError(f"{at}: not {name}; the layer and baseline of BERTScore here are for that model alone")
        weights = encoder.read_weights(folder / "model.safetensors", folder / "pytorch_model.bin")
        weights = encoder.without_prefix(weights, f"{self.published.kind}.")
        self.encoder = encoder.Encoder(config, weights, device, layers=self.published.layer, at=at)
        self.tokenizer = encoder.read_tokenizer(folder, name)
        self.device = device
        self.special = {self.tokenizer.cls_token_id, self.tokenizer.sep_token_id}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each text; 510 are read. The package puts a space before RoBERTa's first word."""
        begin, end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        space = " " if self.published.kind == "roberta" else ""
        said = [f"{space}{text.strip()}" if text.strip() else "" for text in texts]
        return [[begin, *one[:PIECES], end] for one in self.tokenizer(said, add_special_tokens=False)["input_ids"]]

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Returns the tokens of each text."""
        ids = self.ids(texts)
        with encoder.exact(self.device):
            found = self.encoder(ids)
            return [Tokens(tuple(i), v / v.norm(dim=1, keepdim=True)) for i, v in zip(ids, found, strict=True)]

    def idf(self, texts: Iterable[str]) -> Idf:
        """Returns the document frequencies of a corpus, each of its texts counted as often as it stands there."""
        each = [set(one) for one in self.ids(list(texts))]
        return Idf(len(each), Counter(i for one in each for i in one))

    def f(
        self, pairs: Sequence[tuple[Tokens, Tokens]], idf: Idf | None = None, rescale: bool = True
    ) -> list[float | None]:
        """Returns F of each (answer, reference), 0 to 1, or rescaled with the model's baseline, ``published.low`` to 1;
        None where ``idf`` leaves a side no weight.

        Each token is matched with the most similar one of the other text. Without ``idf`` every token but the two
        special ones has weight 1. Below no similarity at all (F < 0, which the published weights do not reach) is cut.
        """
        best = []
        with encoder.exact(self.device):
            for answer, reference in pairs:
                like = answer.vectors @ reference.vectors.T  # (tokens of the answer, of the reference)
                best.append(torch.cat([like.amax(1), like.amax(0)]))
            flat = torch.cat(best).double().cpu() if best else torch.zeros(0)
        found: list[float | None] = []
        for (answer, reference), part in zip(pairs, flat.split([len(one) for one in best]), strict=True):
            sides = part.split([len(answer.ids), len(reference.ids)])
            precision, recall = self._mean(sides[0], answer.ids, idf), self._mean(sides[1], reference.ids, idf)
            if precision is None or recall is None:
                found.append(None)
                continue
            precision, recall = max(precision, 0.0), max(recall, 0.0)
            f = 2 * precision * recall / (precision + recall) if precision and recall else 0.0
            found.append(min(self.published.rescaled(f) if rescale else f, 1.0))
        return found

    def _mean(self, values: Tensor, ids: Sequence[int], idf: Idf | None) -> float | None:
        plain = [float(i not in self.special) for i in ids]
        if not any(plain):
            return 0.0  # as the package has it for an empty text
        weights = idf.weights(ids) if idf else plain
        total = sum(weights)
        return float(values @ torch.tensor(weights, dtype=torch.float64)) / total if total > 0 else None

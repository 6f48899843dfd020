"""CheXbert (Smit et al., EMNLP 2020): 14 labels of a report, and the embedding that RadCliQ compares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from radrl.errors import UserError
from radrl.scoring.neural import encoder

CONDITIONS = (
    *("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation"),
    *("Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices"),
    "No Finding",
)
BASE = "bert-base-uncased"
PIECES = 510
MARGIN = 1e-4
_SPACE = re.compile(r"\s+")


class Reading(NamedTuple):
    """A report's embedding, (hidden,) float32, and its class for each of the 14 conditions: 0 not mentioned, 1 present,
    2 absent, 3 uncertain ("No Finding" has 0 and 1 only)."""

    embedding: NDArray[np.float32]
    classes: tuple[int, ...]

    @property
    def positive(self) -> frozenset[int]:
        """Returns the conditions that count as there, present or uncertain, as f1chexbert counts them."""
        return frozenset(k for k, one in enumerate(self.classes) if one in (1, 3))

    def cosine(self, other: Reading) -> float:
        """Returns the cosine of both embeddings, -1 to 1."""
        a, b = self.embedding.astype(np.float64), other.embedding.astype(np.float64)
        return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))

    def to_bytes(self) -> bytes:
        """Returns the reading for the cache."""
        return bytes(self.classes) + self.embedding.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Reading:
        """Returns what `to_bytes` wrote."""
        return cls(np.frombuffer(data[len(CONDITIONS) :], np.float32), tuple(data[: len(CONDITIONS)]))


class CheXbert:
    """CheXbert from ``chexbert.pth`` as published, and under ``encoder/`` the config and tokenizer of
    bert-base-uncased (without it, the hub's copy on this machine).

    Raises:
        UserError: a file is missing, or holds something else.
    """

    def __init__(self, folder: Path, device: str) -> None:
        saved = encoder.read_weights(folder / "chexbert.pth")
        weights = saved.get("model_state_dict")
        if not isinstance(weights, dict):
            raise UserError(f"{folder}/chexbert.pth: has no 'model_state_dict'; not CheXbert's published weights")
        weights = encoder.without_prefix(weights, "module.")
        config = encoder.read_config(folder / "encoder", BASE)
        at = f"{folder}/chexbert.pth"
        self.encoder = encoder.Encoder(config, encoder.without_prefix(weights, "bert."), device, at=at)
        self.tokenizer = encoder.read_tokenizer(folder / "encoder", BASE)
        self.device, self._exact = device, None
        self.heads = []
        for k in range(len(CONDITIONS)):
            shape = (2 if k == len(CONDITIONS) - 1 else 4, self.encoder.hidden)
            weight, bias = (weights.get(f"linear_heads.{k}.{part}") for part in ("weight", "bias"))
            if weight is None or bias is None or tuple(weight.shape) != shape:
                raise UserError(f"{at}: 'linear_heads.{k}' is missing or of another shape than {list(shape)}")
            self.heads.append((weight.float().to(device), bias.float().to(device)))

    def __call__(self, texts: Sequence[str]) -> list[Reading]:
        """Returns the reading of each text; 510 word pieces of it are read. A class that wins by less than 1e-4 is
        settled in float64."""
        said = [_SPACE.sub(" ", text).strip() for text in texts]
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        ids = [[cls, *one[:PIECES], sep] for one in self.tokenizer(said, add_special_tokens=False)["input_ids"]]
        with encoder.exact(self.device):
            vectors = torch.cat(self.encoder(ids, first_only=True))  # (texts, hidden)
            scores = [F.linear(vectors, *head).topk(2, dim=1) for head in self.heads]
            classes = torch.stack([one.indices[:, 0] for one in scores], 1).cpu()
            margin = torch.stack([one.values[:, 0] - one.values[:, 1] for one in scores], 1).min(1).values.cpu()
            close = (margin < MARGIN).nonzero()[:, 0]
            if len(close):
                self._exact = self._exact or self.encoder.double()
                again = torch.cat(self._exact([ids[k] for k in close.tolist()], first_only=True))
                heads = [F.linear(again, weight.double(), bias.double()) for weight, bias in self.heads]
                classes[close] = torch.stack([one.argmax(1) for one in heads], 1).cpu()
        rows = vectors.cpu().numpy()
        return [Reading(row.copy(), tuple(one)) for row, one in zip(rows, classes.tolist(), strict=True)]

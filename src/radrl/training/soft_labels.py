"""Soft labels on coordinate tokens: a coordinate next to the right one is almost right, where plain cross-entropy calls
it as wrong as any other word."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase

from radrl.errors import UserError


class SoftCoordinates:
    """Cross-entropy whose target is a Gaussian over neighbouring values where the label is a coordinate token: of a
    coordinate c it is proportional to exp(-(v - c)^2 / (2 sigma^2)) over the coordinate tokens v."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, sigma: float) -> None:
        """``sigma`` in units of the image's side. Raises UserError where coordinates are not single tokens."""
        values = torch.arange(101) / 100
        pieces: list[list[int]] = [
            tokenizer(f"{v:.2f}", add_special_tokens=False)["input_ids"] for v in values.tolist()
        ]
        if any(len(piece) != 1 for piece in pieces):
            raise UserError(
                "losses.coordinate_sigma: this tokenizer writes a coordinate in several tokens; set it to 0"
            )
        self.ids = torch.tensor([piece[0] for piece in pieces])
        distance = values[:, None] - values[None, :]
        self.targets = torch.softmax(-(distance**2) / (2 * sigma**2), dim=-1)  # (101, 101)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the loss of each position: ``logits`` (N, V), ``labels`` (N,) -> (N,)."""
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        ids, targets = self.ids.to(labels.device), self.targets.to(labels.device)
        place = (labels[:, None] == ids[None, :]).int()  # (N, 101), at most one 1 a row
        hard = -log_probs.gather(1, labels[:, None]).squeeze(1)
        soft = -(targets[place.argmax(1)] * log_probs[:, ids]).sum(1)
        return torch.where(place.any(1), soft, hard)

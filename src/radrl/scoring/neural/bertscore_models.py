"""The models of BERTScore by the names that its package bert-score 0.3.13 gives them (bertscore.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml


class Published(NamedTuple):
    """A model's hub id and architecture, the layer whose vectors are compared, of so many, and the F of unrelated
    English sentences there. ``weights`` is the name of its folder under ``scoring.weights``."""

    hub: str
    kind: str
    layer: int
    of: int
    baseline: float
    weights: str

    def rescaled(self, f: float) -> float:
        """Returns F moved and stretched so that the baseline is 0 and 1 stays."""
        return (f - self.baseline) / (1 - self.baseline)

    @property
    def low(self) -> float:
        """Returns what no similarity is rescaled to, which the package gives an empty text."""
        return self.rescaled(0.0)


def _read() -> dict[str, Published]:
    lines = yaml.safe_load((Path(__file__).parent / "bertscore.yaml").read_text(encoding="utf-8"))
    return {name: Published(**{"weights": name.split("/")[-1], **line}) for name, line in lines.items()}


MODELS: Mapping[str, Published] = _read()

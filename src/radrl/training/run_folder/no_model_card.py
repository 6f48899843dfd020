"""No model card in a run's folder: TRL writes one beside every checkpoint, and it does not fit our models."""

from __future__ import annotations

from typing import Any

from radrl.models.library_internals import TrainerSteps


class NoModelCard(TrainerSteps):
    """A trainer that writes no ``README.md``. TRL's names no base model where that is a folder, as after every stage
    but the first, and shows a pipeline of text alone; what a run did stands in its ``run.json``."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Writes nothing."""

"""The rows that SFT trains on: an image with some of its questions, changed at random, as model inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import ProcessorMixin, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from radrl.data.manifests.augment import augment
from radrl.manifest.example_set import ExampleSet
from radrl.models.inputs import Row, sft_inputs
from radrl.prompt.messages import PromptStyle
from radrl.recipe.augmentation import Augment
from radrl.training.callbacks.guards import loud


class SFTRows:
    """Turns row numbers into Rows: an image with up to ``questions`` of its questions. A row's random choices depend on
    (seed, epoch, row) only, so a resumed run sees what an unbroken one sees."""

    def __init__(
        self,
        examples: ExampleSet,
        style: PromptStyle,
        *,
        questions: int,
        augmentation: Augment,
        thinking_share: float,
        seed: int,
    ) -> None:
        self.examples, self.style, self.augmentation, self.seed = examples, style, augmentation, seed
        self.thinking_share = thinking_share
        # shared, since workers of a DataLoader that stay from epoch to epoch have a copy of all else
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self.questions = questions
        # as arrays: `datasets` pickles this, and lists by the million would take it seconds
        self.order, self.starts = examples.rows_by_image(questions)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def epoch(self) -> int:
        """The epoch the random choices belong to, from 0; set in one process, it is read in all."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    @property
    def rows(self) -> list[list[int]]:
        """The indexes of the Examples of each row."""
        return [part.tolist() for part in np.split(self.order, self.starts[1:-1])]

    @loud
    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [self._row(index) for index in batch["index"]]
        return {"images": [row.pictures for row in rows], "row": rows}  # TRL knows an image data set by its "images"

    def for_held_out(self, examples: ExampleSet) -> SFTRows:
        """Returns rows of other Examples: asked alike, their pictures left as they are."""
        return SFTRows(
            examples,
            self.style,
            questions=self.questions,
            augmentation=Augment(),
            thinking_share=self.thinking_share,
            seed=self.seed,
        )

    def _row(self, index: int) -> Row:
        asked = self.order[self.starts[index] : self.starts[index + 1]].tolist()
        pictures = self.examples.pictures(asked[0])
        questions, changed = [], pictures
        for k in asked:
            rng = np.random.default_rng([self.seed, self.epoch, index])  # one picture: the same change for all
            example, changed = augment(self.examples[k], pictures, self.augmentation, rng)
            draw = np.random.default_rng([self.seed, self.epoch, k, 1])
            thinking = bool(example.thinking) and draw.random() < self.thinking_share
            questions.append((example, replace(self.style, thinking=thinking)))
        return Row(changed, questions)


class TellEpoch(TrainerCallback):
    """Tells the data which epoch it is, also after a resume."""

    def __init__(self, rows: SFTRows) -> None:
        self.rows = rows

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.rows.epoch = int((state.epoch or 0) + 1e-6)


@dataclass
class Collator:
    """Rows of SFTRows to model inputs with labels, and the ``ids`` of their Examples."""

    processor: ProcessorMixin

    @loud
    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        ids = [example.id for row in rows for example, _ in row["row"].questions]
        return {**sft_inputs(self.processor, [row["row"] for row in rows]), "ids": ids}

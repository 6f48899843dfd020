"""Warm-up of a tiny model's vision tower, through transformers' Trainer.

Qwen3-VL's tower comes from long pre-training; the tiny model's is random, and SFT alone would need hours on a CPU to
make it see. Here the tower first learns, from the training Examples only, which findings an image shows and where things
lie: small heads look at the visual tokens through one attention each, as the language model will, and are then dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin, Trainer

from radrl.data.examples import ExampleSet
from radrl.errors import UserError
from radrl.recipe import Recipe
from radrl.training.run import Clock, Progress, Stage
from radrl.training.sft import finish


class ImageLabels:
    """What the Examples on each image say of it: findings present, and the box around each named thing."""

    def __init__(self, examples: ExampleSet) -> None:
        self.examples = examples
        self.first: list[int] = []  # an Example of each image, to read it by
        findings: list[set[str]] = []
        boxes: list[dict[str, tuple[float, ...]]] = []
        place: dict[Any, int] = {}
        for index, (example, root) in enumerate(zip(examples, examples.roots, strict=True)):
            if len(example.images) != 1:
                continue
            at = place.setdefault((root, example.images), len(place))
            if at == len(self.first):
                self.first.append(index)
                findings.append(set())
                boxes.append({})
            found = [f for f in example.findings if f.presence != "absent"]
            findings[at] |= {f.name for f in found}
            for box in [*example.boxes, *(b for f in found for b in f.boxes)]:
                boxes[at][box.label] = _around(boxes[at].get(box.label), box.xyxy)
        self.findings = sorted(set().union(*findings)) if findings else []
        self.names = sorted({name for known in boxes for name in known})
        self.present = torch.tensor([[float(name in known) for name in self.findings] for known in findings])
        self.boxes = torch.tensor([[known.get(name, (0.0,) * 4) for name in self.names] for known in boxes])
        self.boxed = torch.tensor([[float(name in known) for name in self.names] for known in boxes])

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = batch["index"]
        return {"index": rows, "picture": [self.examples.pictures(self.first[row])[0] for row in rows]}


def _around(one: tuple[float, ...] | None, other: tuple[float, ...]) -> tuple[float, ...]:
    if one is None:
        return other
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))


class Tower(nn.Module):
    """A vision tower with two heads: presence of each finding, and a box for each named thing."""

    def __init__(self, visual: nn.Module, labels: ImageLabels) -> None:
        super().__init__()
        self.visual, self.labels = visual, labels
        width, count = visual.config.out_hidden_size, len(labels.findings) + 4 * len(labels.names)
        self.query, self.value = nn.Linear(width, count, bias=False), nn.Linear(width, count)

    def forward(self, pixel_values: torch.Tensor, image_grid_thw: torch.Tensor, index: torch.Tensor) -> dict[str, Any]:
        """Returns the loss of a batch of images; ``index`` (B,) are their rows in the labels."""
        seen = self.visual(pixel_values, grid_thw=image_grid_thw)
        # the language model's first layers see the sum of the final and the deepstack features
        tokens = seen.pooler_output + sum(seen.deepstack_features)
        counts = (image_grid_thw.prod(1) // self.visual.config.spatial_merge_size**2).tolist()
        said = []
        for own in tokens.split(counts):  # (tokens of one image, width)
            own = nn.functional.rms_norm(own, own.shape[-1:])
            said.append((self.query(own).softmax(0) * self.value(own)).sum(0))
        said = torch.stack(said)
        findings = len(self.labels.findings)
        labels = self.labels
        present, boxes, boxed = (part.to(said.device)[index] for part in (labels.present, labels.boxes, labels.boxed))
        loss = nn.functional.binary_cross_entropy_with_logits(said[:, :findings], present) if findings else 0.0
        guess = said[:, findings:].sigmoid().view(boxes.shape)
        distance = (guess - boxes).abs().mean(-1)
        return {"loss": loss + 5 * (distance * boxed).sum() / boxed.sum().clamp(min=1)}


def train_vision(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    checkpoint: Path | None = None,
) -> dict[str, Any]:
    """Trains the model's vision tower on the Examples' findings and boxes and saves ``stage.model``.

    Raises:
        UserError: the Examples name no finding and no box, or the model has no Qwen3-VL tower.
    """
    visual = getattr(getattr(model, "model", None), "visual", None)
    if not hasattr(visual, "deepstack_merger_list"):
        raise UserError(f"{recipe.file}: the warm-up is for Qwen3-VL towers; start with sft instead")
    labels = ImageLabels(examples)
    if not labels.findings and not labels.names:
        raise UserError(f"{recipe.file}: no Example of 'data.train' names a finding or a box; start with sft instead")

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        images = processor.image_processor([row["picture"] for row in rows], return_tensors="pt")
        return {**images, "index": torch.tensor([row["index"] for row in rows])}

    config = recipe.vision_config(stage.folder)
    config.disable_tqdm = True
    clock = Clock(checkpoint)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        tower = Tower(visual, labels)
    trainer = Trainer(
        model=tower,
        args=config,
        train_dataset=Dataset.from_dict({"index": range(len(labels.first))}).with_transform(labels),
        data_collator=collate,
        callbacks=[clock, Progress(stage.name, ("loss",))],
    )
    return finish(trainer, processor, stage, clock, checkpoint, model=model)

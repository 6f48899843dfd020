"""Supervised fine-tuning through TRL's SFTTrainer, on Examples.

What is added to TRL: batches are made from Examples (sft_rows.py, with the prompt code that GRPO and evaluation use),
pictures are read late, and coordinate tokens can have Gaussian soft labels (soft_labels.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from radrl.errors import UserError
from radrl.example import Answer
from radrl.manifest.example_set import ExampleSet
from radrl.models.inputs import IGNORE, branch_attention
from radrl.recipe.schema import Recipe
from radrl.training.callbacks.deadline import ENDLESS, STEPS, Deadline
from radrl.training.callbacks.guards import Guarded
from radrl.training.callbacks.watch import Watch
from radrl.training.checks.library_errors import one_line_refusals
from radrl.training.held_out.evaluating import HeldOut, HeldOutEvaluation
from radrl.training.lora import lora_config
from radrl.training.run_folder.no_model_card import NoModelCard
from radrl.training.run_folder.resuming import EndsWhereItEnded
from radrl.training.sft_rows import Collator, SFTRows, TellEpoch
from radrl.training.soft_labels import SoftCoordinates
from radrl.training.stage import Clock, Progress, Stage
from radrl.training.train_and_save import train_and_save


class RadrlSFTTrainer(Guarded, HeldOutEvaluation, EndsWhereItEnded, NoModelCard, SFTTrainer):
    """TRL's SFTTrainer with rows of several questions, and soft labels on coordinate tokens.

    With ``coordinate_sigma`` above 0 coordinate tokens have soft labels (soft_labels.py). With a ``deadline`` training
    ends by the clock, and the learning rate follows it.
    """

    args: SFTConfig  # pyright: ignore[reportIncompatibleVariableOverride] # the library's annotation is wider
    shared_rows = False  # whether a row may hold several questions

    def __init__(
        self,
        *args: Any,
        coordinate_sigma: float = 0.0,
        deadline: Deadline | None = None,
        held_out: HeldOut | None = None,
        eval_rows: SFTRows | None = None,
        **kwargs: Any,
    ) -> None:
        self.held_out, self.eval_rows = held_out, eval_rows
        self.deadline, self.planned = deadline, kwargs["args"].max_steps
        if deadline is not None:
            kwargs["args"].max_steps = ENDLESS
        super().__init__(*args, **kwargs)
        # The losses here, TRL's and ours, divide by the tokens of the whole batch where they are told them. Without
        # this they are not: Qwen-VL's own loss does not take the count, and every part's mean would weigh alike.
        self.model_accepts_loss_kwargs = True
        self.soft_labels = (
            SoftCoordinates(cast(ProcessorMixin, self.processing_class).tokenizer, coordinate_sigma)
            if coordinate_sigma > 0
            else None
        )

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        if self.deadline is None:
            return super().create_scheduler(num_training_steps, optimizer)
        steps = self.planned if self.planned > 0 else STEPS
        scheduler = super().create_scheduler(steps, optimizer)
        self.deadline.rule(scheduler, steps)
        return scheduler

    def held_out_figures(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Returns the loss of all held-out Examples, each token counting alike."""
        assert self.eval_rows is not None
        loss = self.held_out_loss(self.eval_rows)
        return {"eval_loss": loss} if math.isfinite(loss) else {}

    def held_out_loss(self, rows: SFTRows) -> float:
        """Returns the training loss of ``rows``, the mean over their tokens; every process computes its share."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = -(-len(rows) // world)
        mine = range(rank * share, min((rank + 1) * share, len(rows)))
        several = np.diff(rows.starts).max() > 1  # TRL's loss of a batch talks to the other processes, ours does not
        sums = torch.zeros(2, dtype=torch.float64, device=self.accelerator.device)  # of the losses, of tokens
        whole = self.model_wrapped if self.is_deepspeed_enabled else self.model
        for start in range(0, share, self.args.per_device_eval_batch_size):
            part = list(mine[start : start + self.args.per_device_eval_batch_size])
            # one whose share has ended goes on beside the others: weights may be spread over all
            made = [{"row": row} for row in rows({"index": part or [0]})["row"]]
            inputs = self.prepare_inputs(self.data_collator(made))
            if several:
                inputs.setdefault("segments", inputs["attention_mask"] - 1)  # all are PREFIX, or PADDING
            tokens = (inputs["labels"][:, 1:] != IGNORE).sum()
            loss = self.compute_loss(cast(nn.Module, whole), inputs)
            if part:
                sums += torch.stack([loss.double() * tokens, tokens])
        total, count = cast(torch.Tensor, self.accelerator.reduce(sums, "sum")).tolist()
        return total / count

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.shared_rows and self.accelerator.num_processes > 1:
            # the loss that TRL takes of rows of one question gathers over the processes, ours does not: a process
            # whose batch has no other rows must not wait for one that has
            inputs.setdefault("segments", inputs["attention_mask"] - 1)  # all are PREFIX, or PADDING
        if return_outputs or (self.soft_labels is None and "segments" not in inputs):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.aux_loss_enabled:
            raise UserError(
                "the auxiliary loss of a mixture of experts is not added with 'data.questions_per_row' above 1 or "
                "'losses.coordinate_sigma'; turn it off with 'router_aux_loss_coef: 0.0' beside the learning rate"
            )
        inputs = branch_attention(self.accelerator.unwrap_model(model), inputs)
        labels = inputs.pop("labels")[:, 1:]
        logits = model(**inputs, use_cache=False).logits[:, :-1]  # (B, T-1, V)
        kept = labels != IGNORE
        logits, labels = logits[kept], labels[kept]  # (N, V), (N,)
        losses = self._token_losses(logits, labels)
        mode = "train" if model.training else "eval"
        self.figures_to_log[mode]["mean_token_accuracy"].append((logits.argmax(-1) == labels).float().mean().item())
        count = kept.sum() if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / count
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # the count spans all ranks and DDP averages over them
        return loss

    def _token_losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the loss of each position as the config has it, as TRL computes it for rows of one question:
        ``logits`` (N, V), ``labels`` (N,) -> (N,). DFT, arXiv 2508.05629: weighted by the token's probability."""
        if self.soft_labels is not None:
            return self.soft_labels.loss(logits, labels)
        smoothing = self.args.label_smoothing_factor
        losses = nn.functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
        return losses * (-losses.detach()).exp() if self.args.loss_type == "dft" else losses


class Options(TypedDict, total=False):
    """What a stage of SFT can be told beside its recipe."""

    thinking_share: float
    """Share of the Examples with a trace that are asked to think; 0 where not given."""
    config: SFTConfig | None
    """TRL's settings; the recipe's ``sft`` section where not given."""
    seconds: float | None
    """Training takes that time instead of a number of steps."""
    dev: HeldOut | None
    """What the stage is evaluated on meanwhile."""


def train_sft(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    checkpoint: Path | None = None,
    **options: Unpack[Options],
) -> dict[str, Any]:
    """Trains on the Examples' reference answers, from ``checkpoint`` on where one is given, and saves ``stage.model``;
    returns notes (steps, seconds)."""
    clock = Clock(checkpoint)
    with one_line_refusals(recipe, "coldstart" if options.get("config") else "sft"):
        trainer = sft_trainer(recipe, model, processor, examples, stage, clock, **options)
        return train_and_save(trainer, processor, stage, clock, checkpoint)


def sft_trainer(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    clock: Clock,
    **options: Unpack[Options],
) -> RadrlSFTTrainer:
    """Returns the trainer that `train_sft` runs; nothing is trained or written yet, and weights are not looked at.

    Raises:
        UserError: a setting of the recipe is refused.
    """
    dev, seconds, config = options.get("dev"), options.get("seconds"), options.get("config")
    section, _ = recipe.trl_section("coldstart" if config else "sft")
    config = config or recipe.sft_config(stage.folder)
    config.disable_tqdm, config.max_length = True, None  # no other value is taken (recipe/unused.py)
    rows = SFTRows(
        examples,
        recipe.style(thinking=False),
        questions=recipe.data.questions_per_row,
        augmentation=recipe.augment,
        thinking_share=options.get("thinking_share", 0.0),
        seed=recipe.seed,
    )
    eval_rows = None
    if dev is not None:
        dev.write_into(config)
        eval_rows = rows.for_held_out(dev.dev.all)
    deadline = None if seconds is None else Deadline(clock, seconds)
    trainer = RadrlSFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_dict({"index": range(len(rows))}).with_transform(rows),
        eval_dataset=eval_rows and Dataset.from_dict({"index": range(len(eval_rows))}).with_transform(eval_rows),
        processing_class=processor,
        data_collator=Collator(processor),
        callbacks=[
            TellEpoch(rows),
            Watch(recipe.guards, section),
            clock,
            *([deadline] if deadline else []),
            Progress(stage.name, ("loss", "mean_token_accuracy"), deadline.place if deadline else None),
        ],
        coordinate_sigma=recipe.losses.coordinate_sigma,
        deadline=deadline,
        peft_config=lora_config(recipe, model),
        held_out=dev,
        eval_rows=eval_rows,
    )
    trainer.clock, trainer.shared_rows = clock, recipe.data.questions_per_row > 1
    return trainer

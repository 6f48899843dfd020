"""Supervised fine-tuning through TRL's SFTTrainer, on Examples.

What is added to TRL: batches are built by batch.py from Examples (the prompt code that GRPO and evaluation use), with
pictures read late, and optional Gaussian soft labels on coordinate tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin, TrainerCallback
from trl import SFTTrainer

from radrl.data.manifests.augment import augment
from radrl.errors import UserError
from radrl.example import Answer, Example
from radrl.manifest.example_set import ExampleSet
from radrl.models import loading
from radrl.models.inputs import IGNORE, Row, branch_attention, sft_inputs
from radrl.prompt.messages import PromptStyle
from radrl.recipe.augmentation import Augment
from radrl.recipe.schema import Recipe
from radrl.support.files import no_space
from radrl.training import sharding
from radrl.training.callbacks.deadline import ENDLESS, STEPS, Deadline
from radrl.training.callbacks.guards import Guarded, loud
from radrl.training.callbacks.watch import Watch
from radrl.training.checks.library_errors import told
from radrl.training.held_out.best_model import chosen
from radrl.training.held_out.evaluating import HeldOutEvaluation, Watched
from radrl.training.lora import lora_config
from radrl.training.run_folder.resuming import EndsWhereItEnded
from radrl.training.stage import Clock, Progress, Stage

MOST_READ = 25_000  # Examples that a tiny model's tokenizer is made from


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

    def of_held_out(self, examples: ExampleSet) -> SFTRows:
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


class _Epoch(TrainerCallback):
    """Tells the data which epoch it is, also after a resume."""

    def __init__(self, rows: SFTRows) -> None:
        self.rows = rows

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.rows.epoch = int((state.epoch or 0) + 1e-6)


@dataclass
class Collator:
    """Rows of SFTRows to model inputs with labels, and the ``ids`` of their Examples."""

    processor: ProcessorMixin

    @loud
    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        ids = [example.id for row in rows for example, _ in row["row"].questions]
        return {**sft_inputs(self.processor, [row["row"] for row in rows]), "ids": ids}


class RadrlSFTTrainer(Guarded, HeldOutEvaluation, EndsWhereItEnded, SFTTrainer):
    """TRL's SFTTrainer with rows of several questions, and soft labels on coordinate tokens.

    A coordinate token next to the right one is almost right; plain cross-entropy calls it as wrong as any other word.
    With ``coordinate_sigma`` above 0 the soft label of a coordinate c is proportional to exp(-(v - c)^2 / (2 sigma^2))
    over the coordinate tokens v. With a ``deadline`` training ends by the clock, and the learning rate follows it.
    """

    shared_rows = False  # whether a row may hold several questions

    def __init__(
        self,
        *args: Any,
        coordinate_sigma: float = 0.0,
        deadline: Deadline | None = None,
        watched: Watched | None = None,
        eval_rows: SFTRows | None = None,
        **kwargs: Any,
    ) -> None:
        self.watched, self.eval_rows = watched, eval_rows
        self.deadline, self.planned = deadline, kwargs["args"].max_steps
        if deadline is not None:
            kwargs["args"].max_steps = ENDLESS
        super().__init__(*args, **kwargs)
        # The losses here, TRL's and ours, divide by the tokens of the whole batch where they are told them. Without
        # this they are not: Qwen-VL's own loss does not take the count, and every part's mean would weigh alike.
        self.model_accepts_loss_kwargs = True
        self.soft_labels = (
            SoftCoordinates(self.processing_class.tokenizer, coordinate_sigma) if coordinate_sigma > 0 else None
        )

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        if self.deadline is None:
            return super().create_scheduler(num_training_steps, optimizer)
        steps = self.planned if self.planned > 0 else STEPS
        scheduler = super().create_scheduler(steps, optimizer)
        self.deadline.rule(scheduler, steps)
        return scheduler

    def of_held_out(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Returns the loss of all held-out Examples, each token counting alike."""
        loss = self.held_out_loss(self.eval_rows)
        return {"eval_loss": loss} if math.isfinite(loss) else {}

    def held_out_loss(self, rows: SFTRows) -> float:
        """Returns the training loss of ``rows``, the mean over their tokens; every process computes its share."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = -(-len(rows) // world)
        mine = range(rank * share, min((rank + 1) * share, len(rows)))
        several = np.diff(rows.starts).max() > 1  # TRL's loss of a batch talks to the other processes, ours does not
        sums = torch.zeros(2, dtype=torch.float64, device=self.accelerator.device)  # of the losses, of tokens
        for start in range(0, share, self.args.per_device_eval_batch_size):
            part = list(mine[start : start + self.args.per_device_eval_batch_size])
            # one whose share has ended goes on beside the others: weights may be spread over all
            made = [{"row": row} for row in rows({"index": part or [0]})["row"]]
            inputs = self.prepare_inputs(self.data_collator(made))
            if several:
                inputs.setdefault("segments", inputs["attention_mask"] - 1)  # all are PREFIX, or PADDING
            tokens = (inputs["labels"][:, 1:] != IGNORE).sum()
            loss = self.compute_loss(self.model_wrapped if self.is_deepspeed_enabled else self.model, inputs)
            if part:
                sums += torch.stack([loss.double() * tokens, tokens])
        total, count = self.accelerator.reduce(sums, "sum").tolist()
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


class SoftCoordinates:
    """Cross-entropy whose target is a Gaussian over neighbouring values where the label is a coordinate token."""

    def __init__(self, tokenizer: Any, sigma: float) -> None:
        """``sigma`` in units of the image's side. Raises UserError where coordinates are not single tokens."""
        values = torch.arange(101) / 100
        pieces = [tokenizer(f"{v:.2f}", add_special_tokens=False)["input_ids"] for v in values.tolist()]
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


def train_sft(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    checkpoint: Path | None = None,
    *,
    thinking_share: float = 0.0,
    config: Any = None,
    seconds: float | None = None,
    dev: Watched | None = None,
) -> dict[str, Any]:
    """Trains on the Examples' reference answers, from ``checkpoint`` on where one is given, and saves ``stage.model``;
    returns notes (steps, seconds).

    ``thinking_share`` is the share of Examples with a trace that are asked to think. ``config`` is the recipe's
    ``sft`` section unless another is given. With ``seconds`` training takes that time instead of a number of steps.
    ``dev`` is what it is evaluated on meanwhile.
    """
    clock = Clock(checkpoint)
    options = {"thinking_share": thinking_share, "config": config, "seconds": seconds, "dev": dev}
    with told(recipe, "sft" if config is None else "coldstart"):
        trainer = sft_trainer(recipe, model, processor, examples, stage, clock, **options)
        return finish(trainer, processor, stage, clock, checkpoint)


def sft_trainer(
    recipe: Recipe,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: ExampleSet,
    stage: Stage,
    clock: Clock,
    *,
    thinking_share: float = 0.0,
    config: Any = None,
    seconds: float | None = None,
    dev: Watched | None = None,
) -> RadrlSFTTrainer:
    """Returns the trainer that `train_sft` runs; nothing is trained or written yet, and weights are not looked at.

    Raises:
        UserError: a setting of the recipe is refused.
    """
    section = "coldstart.sft" if config else "sft"
    config = config or recipe.sft_config(stage.folder)
    config.disable_tqdm, config.max_length = True, None  # no other value is taken (recipe_unused.py)
    rows = SFTRows(
        examples,
        recipe.style(thinking=False),
        questions=recipe.data.questions_per_row,
        augmentation=recipe.augment,
        thinking_share=thinking_share,
        seed=recipe.seed,
    )
    eval_rows = None
    if dev is not None:
        dev.settle(config)
        eval_rows = rows.of_held_out(dev.dev.all)
    deadline = None if seconds is None else Deadline(clock, seconds)
    by_time = (lambda _: (round(deadline.share * seconds), round(seconds))) if deadline else None
    trainer = RadrlSFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_dict({"index": range(len(rows))}).with_transform(rows),
        eval_dataset=eval_rows and Dataset.from_dict({"index": range(len(eval_rows))}).with_transform(eval_rows),
        processing_class=processor,
        data_collator=Collator(processor),
        callbacks=[
            _Epoch(rows),
            Watch(recipe.guards, section),
            clock,
            *([deadline] if deadline else []),
            Progress(stage.name, ("loss", "mean_token_accuracy"), by_time),
        ],
        coordinate_sigma=recipe.losses.coordinate_sigma,
        deadline=deadline,
        peft_config=lora_config(recipe, model),
        watched=dev,
        eval_rows=eval_rows,
    )
    trainer.clock, trainer.shared_rows = clock, recipe.data.questions_per_row > 1
    return trainer


def finish(
    trainer: Any, processor: ProcessorMixin, stage: Stage, clock: Clock, checkpoint: Path | None
) -> dict[str, Any]:
    """Trains, saves the model (adapters merged) and notes what it took. Raises UserError on a full disk."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    sharding.prepare(trainer)
    for callback in stage.callbacks:
        trainer.add_callback(callback)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (OSError, SafetensorError, RuntimeError) as error:  # of a checkpoint; each library raises its own
        if not no_space(error):
            raise
        raise UserError(f"{stage.folder}: no space left; free some and run again with --resume") from None
    finally:  # a bar that is left running hides the terminal's cursor
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, Progress):
                callback.bar.stop()
    seconds = clock.seconds
    model = sharding.whole_model(trainer)
    notes = {
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "image_backend": loading.image_backend(processor),
        **chosen(trainer),
    }
    if model is not None:
        loading.save(model, processor, stage.model)
        stage.end(trainer.state.log_history, **notes)
    return notes


def tokenizer_texts(examples: Sequence[Example]) -> list[str]:
    """Returns the texts a tiny model's tokenizer learns from: everything it will be asked or has to write, of 25,000
    Examples evenly spread where there are more."""
    from radrl.prompt.messages import earlier, question, target

    texts = ["<think>\nuser\nassistant\n</think>\n\n"]
    for k in range(0, len(examples), -(-len(examples) // MOST_READ) or 1):
        example = examples[k]
        thinking = PromptStyle(thinking=bool(example.thinking))
        texts += [earlier(example) + question(example, PromptStyle(thinking=True)), target(example, thinking)]
    return texts

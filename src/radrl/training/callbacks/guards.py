"""What ends a training run that can come to nothing: a loss or gradient that is no number, data that end too early.

The first loss or gradient norm that is NaN or infinite ends the run, in every stage and in all processes, before the
optimiser takes it. A checkpoint or model whose weights are no numbers is never written.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from torch import nn
from torch.distributed.tensor import DTensor

from radrl.errors import UserError, one_line
from radrl.manifest.example_set import ExampleSet
from radrl.models.library_internals import TrainerSteps
from radrl.models.sampling import NoNumbers
from radrl.recipe.schema import Recipe
from radrl.training.callbacks.deadline import Deadline
from radrl.training.stage import last_checkpoint

NAMED = 8  # Example ids in a line


class Guarded(TrainerSteps):
    """Stands before a TRL trainer in the bases of its subclass."""

    deadline: Deadline | None = None  # a run that ends by the clock has one

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._losses: list[torch.Tensor] = []  # of the optimiser step under way, and the Examples it is made of
        self._ids: list[str] = []
        super().__init__(*args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains. Raises UserError where the run ends before its last step, or its weights are no numbers."""
        output = super().train(*args, **kwargs)
        done, asked = self.state.global_step, self.state.max_steps
        if done < asked and not (self.deadline is not None and self.deadline.share >= 1):
            raise UserError(f"{self.args.output_dir}: training ended after {done} of {asked} steps; no model is saved")
        self._require_finite_weights()
        return output

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Returns the batches of an optimiser step, of which transformers knows the number. Raises UserError where
        there are fewer: to transformers an error of the loader that reads as the end of the data is one."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if len(batches) < num_batches:
            raise UserError(
                f"{self.args.output_dir}: step {self.state.global_step + 1} of {self.state.max_steps} got "
                f"{len(batches)} of {num_batches} batches, the data ended too early; no model is saved"
            )
        return batches, items

    def prepare_inputs(self, inputs: Any) -> Any:
        ids = inputs.pop("ids", []) if isinstance(inputs, dict) else [row["example"].id for row in inputs]
        if self.model.training:
            self._ids += ids
        return super().prepare_inputs(inputs)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Returns the loss of a micro-batch; see `grad_norm`. Raises UserError where no completion can be drawn
        since the model's probabilities are no numbers."""
        try:
            loss = super().training_step(*args, **kwargs)
        except RuntimeError as error:
            if "probability tensor contains" not in str(error):  # torch.multinomial's, in transformers' generate
                raise
            raise self._stop("the model's probabilities are no numbers", self._ids) from None
        except NoNumbers as error:
            raise self._stop(str(error), self._ids) from None
        self._losses.append(loss)
        return loss

    def grad_norm(self, model: nn.Module, grad_norm: Any) -> Any:
        """Returns the norm of a step's gradient. Raises UserError where it, or a loss of the step, is no number."""
        norm = super().grad_norm(model, grad_norm)
        losses, ids = torch.stack(self._losses).flatten().tolist(), self._ids
        self._losses, self._ids = [], []
        size = math.nan if norm is None else float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        scaler = self.accelerator.scaler  # with fp16: it lowers its scale on overflow, and the step is skipped
        searching = norm is None or (scaler is not None and scaler.get_scale() >= 1)
        bad_loss = not all(map(math.isfinite, losses))
        bad_norm = not math.isfinite(size) and not searching
        if self._anywhere(bad_loss or bad_norm):
            odd = gather_object([(ids, next((x for x in losses if not math.isfinite(x)), None))])
            values = [loss for _, loss in odd if loss is not None]
            what = f"the loss is {values[0]:g}" if values else f"the gradient norm is {size:g}"
            raise self._stop(what, [name for part, loss in odd if loss is not None or not values for name in part])
        return norm

    def save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._require_finite_weights()  # before an older one is removed for it
        super().save_checkpoint(model, trial)

    def _require_finite_weights(self) -> None:
        weights = (p.to_local() if isinstance(p, DTensor) else p for p in self.model.parameters() if p.requires_grad)
        if self._anywhere(not all(bool(x.detach().isfinite().all()) for x in weights)):
            raise self._stop("some weights are no numbers", [], self.state.global_step)

    def _anywhere(self, here: bool) -> bool:
        """Returns whether something holds in any process. All must ask."""
        if self.accelerator.num_processes == 1:
            return here
        of_all = self.accelerator.gather(torch.tensor([here], device=self.accelerator.device))
        return bool(cast(torch.Tensor, of_all).any())

    def _stop(self, what: str, ids: list[str], step: int | None = None) -> UserError:
        step = self.state.global_step + 1 if step is None else step
        names = list(dict.fromkeys(ids))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        checkpoint = last_checkpoint(Path(str(self.args.output_dir)), repair=False)
        rate = cast(torch.optim.Optimizer, self.optimizer).param_groups[0]["lr"]
        examples = f"; Examples {', '.join(names[:NAMED])}{more}" if names else ""
        fix = "lower 'learning_rate' or 'max_grad_norm' (--restart)" + (", or look at these Examples" if names else "")
        return UserError(
            one_line(
                f"{self.args.output_dir}: step {step}: {what} (learning rate {rate:g}{examples}; last checkpoint whose "
                f"weights are finite: {checkpoint.name if checkpoint else 'none'}); training has stopped and no model "
                f"is saved: {fix}"
            )
        )


def loud(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates what a data loader calls: a StopIteration in it would end the data, and with them the training, as if
    all were done."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            raise RuntimeError("StopIteration while a batch was made") from error

    return call


def refuse_small(config: Any, examples: ExampleSet, section: str, recipe: Recipe) -> None:
    """Raises UserError where the data do not fill one batch, so that nothing would be trained. ``config`` is TRL's, of
    the recipe's ``section``."""
    size, processes, group = config.per_device_train_batch_size, config.world_size, 1
    if hasattr(config, "num_generations"):
        group, most = config.num_generations, config.steps_per_generation
        rows, what = len(examples), f"Examples, but one rollout takes {config.generation_batch_size // group}"
    elif config.dataloader_drop_last:
        rows, most = len(examples.rows_by_image(recipe.data.questions_per_row)[1]) - 1, 1
        what = f"rows, but with 'dataloader_drop_last' one batch takes {size * processes}"
    else:
        return
    needed = size * processes * most // group
    if rows >= needed:
        return
    fits = [
        (b * p, b, p)
        for p in range(1, min(most, rows * group) + 1)
        for b in range(1, min(size, rows * group // p) + 1)
        if b * p * processes % group == 0 and b * p * processes <= rows * group
    ]
    fix = f"give at least {needed}"
    if fits and "generation_batch_size" not in recipe.grpo:
        _, size, parts = max(fits)
        fix += f", or set '{section}.per_device_train_batch_size: {size}'"
        fix += f" and '{section}.steps_per_generation: {parts}'" if parts != most else ""
    raise UserError(one_line(f"{recipe.file}: section '{section}': the data have {rows} {what}; {fix}"))

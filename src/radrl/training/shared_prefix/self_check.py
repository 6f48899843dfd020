"""The check that every run with a shared prefix makes first: its log-probabilities are those of TRL's own path."""

from __future__ import annotations

import logging
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from radrl.errors import UserError
from radrl.models.library_internals import GRPOSteps
from radrl.training.shared_prefix.rollout_batch import Rollout

log = logging.getLogger(__name__)

# Largest mean and largest single difference of log-probabilities that rounding explains. Half precision is judged by
# the mean: a single token's logits are rounded to 2^-8 of their size.
ALLOWED = {torch.float64: (1e-4, 1e-3), torch.float32: (1e-4, 5e-3)}
ALLOWED_IN_HALF = (0.05, 2.0)


@torch.no_grad()
def check_against_trl(trainer: GRPOSteps, core: PreTrainedModel, batch: dict[str, Any], made: Rollout) -> None:
    """Compares the two paths on (at most four rows of) the first group of a generation batch. ``core`` is the model of
    transformers within the trainer's.

    Raises:
        UserError: the log-probabilities differ by more than rounding.
    """
    group = slice(0, min(4, made.prompt_of_row.count(made.prompt_of_row[0])))  # TRL's path may not fit more
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)[group]
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)[group]
    keep = batch["completion_ids"].shape[1]
    pictures = batch["pixel_values"][group]
    flat = [picture for row in pictures for picture in row]
    fields: dict[str, Any] = {}
    if flat:
        fields["pixel_values"] = torch.cat([picture.pixels for picture in flat])
        fields["image_grid_thw"] = torch.tensor([picture.grid for picture in flat], device=ids.device)
        fields["num_images"] = [len(row) for row in pictures]
        of_image = ids == core.config.image_token_id
        fields["mm_token_type_ids"] = of_image.int() * mask.int()
    model, was_training = cast(nn.Module, trainer.model_wrapped), trainer.model.training
    trainer.model.eval()  # a dropped adapter weight would differ between the two
    ours = trainer.token_log_probs(model, ids, mask, keep, pixel_values=pictures)[0]
    theirs = GRPOSteps.token_log_probs(trainer, model, ids, mask, keep, **fields)[0]
    trainer.model.train(was_training)
    difference = (ours - theirs).abs()[mask[:, -keep:].bool()]
    worst = difference.max() if len(difference) else difference.new_zeros(())
    mean = difference.mean() if len(difference) else difference.new_zeros(())
    gather = trainer.accelerator.gather
    mean, worst = (float(cast(torch.Tensor, gather(x.float())).max()) for x in (mean, worst))
    half = trainer.args.bf16 or trainer.args.fp16
    dtype = torch.get_autocast_dtype(ids.device.type) if half else trainer.model.dtype
    allowed = ALLOWED.get(dtype, ALLOWED_IN_HALF)
    if not (mean <= allowed[0] and worst <= allowed[1]):
        raise UserError(
            f"shared prefix: log-probabilities differ from TRL's by {mean:.2g} in the mean and {worst:.2g} at "
            f"most, more than {str(dtype).removeprefix('torch.')} explains; set 'model.shared_prefix: false'"
        )
    log.info("shared prefix checked: log-probabilities differ from TRL's by %.2g at most", worst)

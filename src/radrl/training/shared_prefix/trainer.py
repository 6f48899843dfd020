"""TRL's GRPOTrainer with image and prompt computed once a group: in rollouts, in the update, and for the old and the
reference policy. Exact: the same log-probabilities and gradients.

A rollout is decoded by the ``grpo`` section alone: TRL leaves to the model's own ``generation_config`` what it does not
set itself (no_repeat_ngram_size, min_new_tokens, min_p, ...), and a published folder has such settings.

What TRL repeats for each completion is kept once here: rows of a group hold the same Picture (packing.py), from the
processor on. Groups stay together when a generation batch is split, so that a micro-batch has something to share; one
that holds a part of a group shares that part. Private methods of TRL are overridden (models/library_internals.py), so
its version is pinned; every run first checks itself against TRL's own path, on one group (self_check.py).

A completion passes through these steps, in this order; what they hand on is one `Rollout` (rollout_batch.py)::

    prepare_inputs ─▶ roll_out ─▶ tokenize_prompts ─▶ complete_prompts ─▶ token_log_probs ─▶ compute_rewards
                   ◀─ split_groups                                                                     │
                   ◀───────────────────────────────────────────────────────────────────────────────────┘
    then, for each micro-batch of the update: token_log_probs
"""

from __future__ import annotations

import logging
from typing import Any, cast

import torch
from accelerate.utils import gather_object, is_peft_model
from torch import nn
from transformers import PreTrainedModel
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.grpo_trainer import GRPOTrainer

from radrl.models.library_internals import GRPOSteps, qwen_base
from radrl.models.loading import own_settings_off
from radrl.training.shared_prefix import logprobs, packing, rollout
from radrl.training.shared_prefix.packing import Prompt
from radrl.training.shared_prefix.rollout_batch import (
    Rollout,
    group_equal,
    images_into_prompt,
    pictures_of,
    split_groups,
)
from radrl.training.shared_prefix.self_check import check_against_trl

log = logging.getLogger(__name__)

LogProbs = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Log-probabilities, entropies and the auxiliary loss, as TRL hands them on."""


class SharedPrefixGRPOTrainer(GRPOSteps, GRPOTrainer):
    """GRPOTrainer that computes image and prompt once a group where it can (`sharing`); else it is TRL's own, and says
    why in one line of the log. ``share=False`` turns it off."""

    def __init__(self, *args: Any, share: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sharing, self.checked = False, False
        self.rollout: Rollout | None = None  # the last one, where prompts are shared
        models = [self.core(cast(nn.Module, one)) for one in (self.model, self.ref_model) if one is not None]
        for model in models:
            model.register_forward_pre_hook(_no_images, with_kwargs=True)
        if not share:
            return
        why = self.why_not_shared()
        if why is not None:
            if self.accelerator.is_main_process:
                log.warning("shared prefix is off, each completion computes its prompt anew: %s", why)
            return
        self.sharing = True
        # asked now: while adapters are off they take no gradient
        tower = qwen_base(self.core(self.model)).visual
        self.tower_adapts = is_peft_model(self.model) and any(p.requires_grad for p in tower.parameters())
        for model in models:
            logprobs.serve(model, temperature=self.temperature, float32_head=self.args.cast_lm_head_to_fp32)

    def core(self, model: nn.Module) -> PreTrainedModel:
        """Returns the transformers model within DDP, FSDP2 and PEFT."""
        inner: Any = self.accelerator.unwrap_model(model)
        return inner.get_base_model() if is_peft_model(inner) else inner

    def why_not_shared(self) -> str | None:
        """Returns why prompts cannot be shared exactly in this run; None where they can."""
        if self.tools or self.environment_factories is not None:
            return "tools may add images to a completion"
        if self.rollout_func is not None:
            return "a rollout function hands over no images"
        if self.aux_loss_enabled:
            return "the auxiliary loss of a mixture of experts counts every copy of the prompt"
        if self.args.torch_compile:
            return "torch.compile has not been tried"
        if self.zero3:
            return "DeepSpeed ZeRO-3 has not been tried"
        if is_peft_model(self.model):
            adapters = cast(Any, self.model).peft_config.values()
            if any(adapter.is_prompt_learning for adapter in adapters):
                return "prompt-learning adapters put tokens before the prompt"
        if not self.use_vllm and not self.use_transformers_continuous_batching:
            why = rollout.refusal(self.generation_config)
            if why is not None:
                return why
        return logprobs.refusal(self.core(self.model))

    # --- a rollout, step by step -------------------------------------------------------------------------------------

    def prepare_inputs(self, inputs: Any) -> dict[str, Any]:
        """Returns the micro-batch that is next; where none is left, rolls out first."""
        if not self.sharing or not self.model.training:
            return super().prepare_inputs(inputs)
        steps = cast(int, self.args.steps_per_generation)
        if self.micro_step % (steps * self.num_iterations) == 0 or self.micro_batches is None:
            batch = self.roll_out(inputs)
            assert self.rollout is not None
            self.micro_batches = split_groups(batch, self.rollout.prompt_of_row, steps)
        return self.micro_batches[self.micro_step % steps]

    def roll_out(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.sharing:
            return super().roll_out(rows)
        made = self.rollout = Rollout(rows, features={})
        batch = super().roll_out([images_into_prompt(row) for row in rows])
        if made.images is not None and self.log_completions and self.log_multimodal:
            self.texts_to_log["images"].extend(gather_object(made.images))
        batch["pixel_values"] = made.pictures
        if not self.checked:
            check_against_trl(self, self.core(self.model), batch, made)
            self.checked = True
        made.features = None
        return batch

    def tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], list[Any] | None, dict[str, Any]]:
        """Returns as TRL does, of each distinct prompt once computed; where prompts are shared no images: TRL would
        make tensors of them."""
        if not self.sharing:
            ids, images, fields = super().tokenize_prompts(prompts)
            # TRL has None for a prompt without images, which no processor takes
            return ids, None if images is None else [mine or [] for mine in images], fields
        distinct, prompt_of_row = group_equal(prompts)
        ids, images, fields = super().tokenize_prompts(distinct)
        pictures = [()] * len(ids) if images is None else pictures_of(images, fields, self.accelerator.device)
        made = self.rollout or Rollout([])
        made.prompts = [Prompt(tuple(i), p) for i, p in zip(ids, pictures, strict=True)]
        made.prompt_of_row = prompt_of_row
        made.images = None if images is None else [images[k] for k in prompt_of_row]
        self.rollout = made
        return [list(ids[k]) for k in prompt_of_row], None, {}

    def complete_prompts(
        self, prompt_ids: Any, images: Any, fields: Any, num_generations: int, has_tool_images: bool = False
    ) -> tuple[list[list[int]], Any]:
        made = self.rollout
        if not self.sharing or made is None or self.use_vllm or self.use_transformers_continuous_batching:
            if self.sharing and made is not None:
                images = made.images
            elif images is not None:
                images = [mine or None for mine in images]  # vLLM knows a prompt without images by None
            with own_settings_off(self.core(self.model)):
                return super().complete_prompts(prompt_ids, images, fields, num_generations, has_tool_images)
        with (
            own_settings_off(self.core(self.model)),
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=cast(Any, self.args.gradient_checkpointing_kwargs),
            ) as model,
            torch.no_grad(),
            self.whole_weights(),
        ):
            completions = rollout.sample_completions(
                cast(nn.Module, model),
                self.core(cast(nn.Module, model)),
                made.prompts,
                made.prompt_of_row,
                self.generation_config,
                all_ranks_together=self.accelerator.num_processes > 1 and self.is_fsdp_enabled,
                features=made.features,
            )
        return completions, None

    def token_log_probs(
        self,
        model: nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> LogProbs:
        if not self.sharing:
            scoring = (batch_size, compute_entropy, compute_aux_loss)
            return super().token_log_probs(model, input_ids, attention_mask, logits_to_keep, *scoring, **images)
        made = self.rollout
        pictures = images.get("pixel_values")
        if pictures is None:  # while a rollout is scored, TRL has no images at hand; later the micro-batch has them
            assert made is not None
            pictures = made.pictures
        rows = list(zip(input_ids.tolist(), attention_mask.bool().tolist(), pictures, strict=True))
        prompts, completions = [], []
        for ids, mask, mine in rows:
            prompts.append(Prompt(tuple(t for t, m in zip(ids[:-logits_to_keep], mask, strict=False) if m), mine))
            completions.append([t for t, m in zip(ids[-logits_to_keep:], mask[-logits_to_keep:], strict=True) if m])
        core = self.core(model)
        features = made.features if made is not None and self._sees_as_in_rollout(core) else None
        size = batch_size or len(rows)
        logps, entropies = [], []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            packed = packing.pack(qwen_base(core), prompts[part], completions[part], input_ids.device)
            packed.features = features or None
            with self.accelerator.autocast():
                scored = logprobs.packed_log_probs(model, packed, (len(prompts[part]), logits_to_keep))
            logps.append(scored[0])
            entropies.append(scored[1])
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _sees_as_in_rollout(self, core: PreTrainedModel) -> bool:
        """Returns whether the tower of a model is the one of the rollout: not the reference model's, nor one with
        adapters, which are off for the reference."""
        return not self.tower_adapts and core is self.core(self.model)

    def compute_rewards(self, rows: Any, prompts: Any, completions: Any, completion_ids: Any) -> torch.Tensor:
        if self.sharing and self.rollout is not None:
            rows = self.rollout.rows  # not those whose images went into the messages
        return super().compute_rewards(rows, prompts, completions, completion_ids)


def _no_images(model: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Leaves out the images of a call that has none: of a micro-batch of text TRL makes tensors without a row, which no
    vision tower takes."""
    pixels = kwargs.get("pixel_values")
    if isinstance(pixels, torch.Tensor) and not len(pixels):
        kwargs = {key: value for key, value in kwargs.items() if key not in ("pixel_values", "image_grid_thw")}
    return args, kwargs

"""TRL's GRPOTrainer with image and prompt computed once a group: in rollouts, in the update, and for the old and the
reference policy. Exact: the same log-probabilities and gradients.

A rollout is decoded by the ``grpo`` section alone: TRL leaves to the model's own ``generation_config`` what it does not
set itself (no_repeat_ngram_size, min_new_tokens, min_p, ...), and a published folder has such settings.

What TRL repeats for each completion is kept once here: rows of a group hold the same Picture (packing.py), from the
processor on. Groups stay together when a generation batch is split, so that a micro-batch has something to share; one
that holds a part of a group shares that part. Private methods of TRL are overridden, so its version is pinned; every
run first checks itself against TRL's own path, on one group.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object, is_peft_model
from torch import nn
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages
from trl.models import unwrap_model_for_generation

from radrl.errors import UserError
from radrl.models.loading import own_settings_off
from radrl.training.shared_prefix import logprobs, packing, rollout
from radrl.training.shared_prefix.packing import Picture, Prompt

log = logging.getLogger(__name__)

# Largest mean and largest single difference of log-probabilities that rounding explains. Half precision is judged by
# the mean: a single token's logits are rounded to 2^-8 of their size.
ALLOWED = {torch.float64: (1e-4, 1e-3), torch.float32: (1e-4, 5e-3)}
ALLOWED_IN_HALF = (0.05, 2.0)


class SharedPrefixGRPOTrainer(GRPOTrainer):
    """GRPOTrainer that computes image and prompt once a group where it can (`sharing`); else it is TRL's own, and says
    why in one line of the log. ``share=False`` turns it off."""

    def __init__(self, *args: Any, share: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sharing, self._checked = False, False
        self._seen: dict[Any, Any] | None = None  # features of the rollout's images, while the weights stand still
        for model in (self.model, self.ref_model):
            if model is not None:
                _core(self, model).register_forward_pre_hook(_no_images, with_kwargs=True)
        if not share:
            return
        why = self._why_not()
        if why is not None:
            if self.accelerator.is_main_process:
                log.warning("shared prefix is off, each completion computes its prompt anew: %s", why)
            return
        self.sharing = True
        # asked now: while adapters are off they take no gradient
        tower = _core(self, self.model).base_model.visual
        self._tower_adapts = is_peft_model(self.model) and any(p.requires_grad for p in tower.parameters())
        for model in (self.model, self.ref_model):
            if model is not None:
                logprobs.serve(
                    _core(self, model), temperature=self.temperature, float32_head=self.args.cast_lm_head_to_fp32
                )

    def _why_not(self) -> str | None:
        if self.tools or self.environment_factories is not None:
            return "tools may add images to a completion"
        if self.rollout_func is not None:
            return "a rollout function hands over no images"
        if self.aux_loss_enabled:
            return "the auxiliary loss of a mixture of experts counts every copy of the prompt"
        if self.args.torch_compile:
            return "torch.compile has not been tried"
        if self._dist.is_zero3:
            return "DeepSpeed ZeRO-3 has not been tried"
        if is_peft_model(self.model) and any(c.is_prompt_learning for c in self.model.peft_config.values()):
            return "prompt-learning adapters put tokens before the prompt"
        if not self.use_vllm and not self.use_transformers_continuous_batching:
            why = rollout.refusal(self.generation_config)
            if why is not None:
                return why
        return logprobs.refusal(_core(self, self.model))

    # --- rollout -----------------------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.sharing:
            return super()._generate_and_score_completions(inputs)
        self._inputs = inputs
        self._seen = {}
        # With the images in the messages and nowhere else, TRL makes no tensors of its own from them.
        output = super()._generate_and_score_completions([_images_into_prompt(row) for row in inputs])
        output["pixel_values"] = [prompt.pictures for prompt in self._prompts]
        if not self._checked:
            self._check(output)
            self._checked = True
        self._seen = None
        return output

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rows = self._inputs if self.sharing else inputs  # rewards see the rows as the data set made them
        return super()._calculate_rewards(rows, prompts, completions, completion_ids_list)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        made = list(super()._generate(prompts))
        if self.sharing:
            images, made[6] = made[6], None  # else TRL would process them again
            if images is not None and self.log_completions and self.log_multimodal:
                self._logs["images"].extend(gather_object(images))
        elif made[6] is not None:  # TRL has None for a prompt without images, which no processor takes
            made[6] = [images or [] for images in made[6]]
        return tuple(made)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], list[Any] | None, dict[str, Any]]:
        if not self.sharing:
            return super()._tokenize_prompts(prompts)
        first: dict[Any, int] = {}
        index = [first.setdefault(_key(prompt), len(first)) for prompt in prompts]
        distinct = [prompts[index.index(k)] for k in range(len(first))]
        ids, images, fields = super()._tokenize_prompts(distinct)
        pictures = [()] * len(ids) if images is None else self._pictures(images, fields)
        made = [Prompt(tuple(i), p) for i, p in zip(ids, pictures, strict=True)]
        self._distinct, self._index = made, index
        self._prompts = [made[k] for k in index]
        return [list(ids[k]) for k in index], None if images is None else [images[k] for k in index], {}

    def _pictures(self, images: list[Any], fields: dict[str, Any]) -> list[tuple[Picture, ...]]:
        """Returns each prompt's Pictures, one for each distinct image object."""
        grids = np.asarray(fields["image_grid_thw"]).tolist()
        parts = torch.as_tensor(np.asarray(fields["pixel_values"])).split([t * h * w for t, h, w in grids])
        known: dict[int, Picture] = {}
        made, place = [], 0
        for prompt_images in images:
            mine = []
            for image in prompt_images or ():
                if id(image) not in known:
                    pixels = parts[place].to(self.accelerator.device)
                    known[id(image)] = Picture(pixels, tuple(grids[place]))
                mine.append(known[id(image)])
                place += 1
            made.append(tuple(mine))
        return made

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: int, has_tool_images: bool = False
    ) -> tuple[list[list[int]], Any]:
        if not self.sharing or self.use_vllm or self.use_transformers_continuous_batching:
            with own_settings_off(_core(self, self.model)):
                return super()._generate_single_turn(
                    prompt_ids, images, multimodal_fields, num_generations, has_tool_images
                )
        with (
            own_settings_off(_core(self, self.model)),
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            torch.no_grad(),
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
        ):
            completions = rollout.rollout(
                model,
                _core(self, model),
                self._distinct,
                self._index,
                self.generation_config,
                all_ranks_together=self.accelerator.num_processes > 1 and self.is_fsdp_enabled,
                seen=self._seen,
            )
        return completions, None

    # --- log-probabilities -------------------------------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        pixel_values: Any = None,
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if not self.sharing:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss,
                pixel_values=pixel_values, **others,
            )  # fmt: skip
        # while a rollout is being scored, TRL has no images in hand; afterwards they come with the micro-batch
        pictures = [prompt.pictures for prompt in self._prompts] if pixel_values is None else pixel_values
        rows = list(zip(input_ids.tolist(), attention_mask.bool().tolist(), pictures, strict=True))
        prompts, completions = [], []
        for ids, mask, mine in rows:
            prompts.append(Prompt(tuple(t for t, m in zip(ids[:-logits_to_keep], mask, strict=False) if m), mine))
            completions.append([t for t, m in zip(ids[-logits_to_keep:], mask[-logits_to_keep:], strict=True) if m])
        base = _core(self, model).base_model
        size = batch_size or len(rows)
        logps, entropies = [], []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            packed = packing.pack(base, prompts[part], completions[part], input_ids.device)
            packed.seen = self._seen if self._seen and self._sees_as_in_rollout(model) else None
            with self.accelerator.autocast():
                made = logprobs.packed_log_probs(model, packed, (len(prompts[part]), logits_to_keep))
            logps.append(made[0])
            entropies.append(made[1])
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _sees_as_in_rollout(self, model: nn.Module) -> bool:
        """Returns whether the tower of ``model`` is the one of the rollout: not the reference model's, nor one with
        adapters, which are off for the reference."""
        return not self._tower_adapts and _core(self, model) is _core(self, self.model)

    @torch.no_grad()
    def _check(self, output: dict[str, Any]) -> None:
        """Compares with TRL's own path on (at most four rows of) the first group.

        Raises:
            UserError: the log-probabilities differ by more than rounding.
        """
        group = slice(0, min(4, self._index.count(self._index[0])))  # the stock path may not fit more
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)[group]
        mask = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)[group]
        keep = output["completion_ids"].shape[1]
        pictures = output["pixel_values"][group]
        flat = [picture for row in pictures for picture in row]
        fields: dict[str, Any] = {}
        if flat:
            fields["pixel_values"] = torch.cat([picture.pixels for picture in flat])
            fields["image_grid_thw"] = torch.tensor([picture.grid for picture in flat], device=ids.device)
            fields["num_images"] = [len(row) for row in pictures]
            image = _core(self, self.model).config.image_token_id
            fields["mm_token_type_ids"] = (ids == image).int() * mask.int()
        was_training = self.model.training
        self.model.eval()  # a dropped adapter weight would differ between the two
        ours = self._get_per_token_logps_and_entropies(self.model_wrapped, ids, mask, keep, pixel_values=pictures)[0]
        theirs = super()._get_per_token_logps_and_entropies(self.model_wrapped, ids, mask, keep, **fields)[0]
        self.model.train(was_training)
        kept = mask[:, -keep:].bool()
        difference = (ours - theirs).abs()[kept]
        worst = difference.max() if len(difference) else difference.new_zeros(())
        mean = difference.mean() if len(difference) else difference.new_zeros(())
        mean, worst = (float(self.accelerator.gather(x.float()).max()) for x in (mean, worst))
        dtype = torch.get_autocast_dtype(ids.device.type) if self.args.bf16 or self.args.fp16 else self.model.dtype
        allowed = ALLOWED.get(dtype, ALLOWED_IN_HALF)
        if not (mean <= allowed[0] and worst <= allowed[1]):
            raise UserError(
                f"shared prefix: log-probabilities differ from TRL's by {mean:.2g} in the mean and {worst:.2g} at "
                f"most, more than {str(dtype).removeprefix('torch.')} explains; set 'model.shared_prefix: false'"
            )
        log.info("shared prefix checked: log-probabilities differ from TRL's by %.2g at most", worst)

    # --- micro-batches -----------------------------------------------------------------------------------------------

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        if not self.sharing or not self.model.training:
            return super()._prepare_inputs(generation_batch)
        steps = self.args.steps_per_generation
        if self._step % (steps * self.num_iterations) == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_groups(batch, self._index, steps)
        return self._buffered_inputs[self._step % steps]


def split_groups(batch: dict[str, Any], group_of_row: list[int], parts: int) -> list[dict[str, Any]]:
    """Splits a generation batch into micro-batches of equal size, groups in random order and whole where they fit.

    ``batch`` holds tensors and lists with one entry a row, and scalars; ``group_of_row`` says which rows belong
    together. Where a micro-batch is smaller than a group it holds a part of one. The micro-batches come in random
    order too. Draws from torch's global random state.
    """
    groups: dict[int, list[int]] = {}
    for row, group in enumerate(group_of_row):
        groups.setdefault(group, []).append(row)
    members = list(groups.values())
    order = [row for k in torch.randperm(len(members)).tolist() for row in members[k]]
    size = len(order) // parts
    cuts = [order[k * size : (k + 1) * size] for k in torch.randperm(parts).tolist()]

    def take(value: Any, rows: list[int]) -> Any:
        if isinstance(value, torch.Tensor):
            return value if value.ndim == 0 else value[torch.tensor(rows, device=value.device)]
        return None if value is None else [value[row] for row in rows]

    return [{key: take(value, rows) for key, value in batch.items()} for rows in cuts]


def _core(trainer: GRPOTrainer, model: nn.Module) -> nn.Module:
    """Returns the transformers model within DDP, FSDP2 and PEFT."""
    model = trainer.accelerator.unwrap_model(model)
    return model.get_base_model() if is_peft_model(model) else model


def _no_images(model: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Leaves out the images of a call that has none: of a micro-batch of text TRL makes tensors without a row, which no
    vision tower takes."""
    pixels = kwargs.get("pixel_values")
    if isinstance(pixels, torch.Tensor) and not len(pixels):
        kwargs = {key: value for key, value in kwargs.items() if key not in ("pixel_values", "image_grid_thw")}
    return args, kwargs


def _images_into_prompt(row: dict[str, Any]) -> dict[str, Any]:
    images = row.get("images") or ([row["image"]] if row.get("image") is not None else [])
    others = {key: value for key, value in row.items() if key not in ("images", "image")}
    if images:
        others["prompt"] = prepare_multimodal_messages(row["prompt"], images=images)
    return others


def _key(prompt: Any) -> Any:
    """Returns what two equal prompts have in common: the same texts, the same image objects."""
    if isinstance(prompt, str):
        return prompt
    parts: list[Any] = []
    for message in prompt:
        content = message["content"]
        parts.append(message["role"])
        for part in [content] if isinstance(content, str) else content:
            if isinstance(part, str):
                parts.append(part)
            else:
                parts.append((part["type"], id(part["image"]) if part["type"] == "image" else part.get("text")))
    return tuple(parts)

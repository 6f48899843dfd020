"""Every private or undocumented name of torch, transformers and TRL that radrl uses, in one place.

No other file of radrl touches such a name; `tests/models/test_library_internals.py` compares their signatures with what
is relied on here, so an upgrade of a library fails in that test and says where.

The trainers' private steps get public names: transformers and TRL call the private method, it calls the public one, and
that calls the library's. A subclass overrides the public one. TRL is not imported here: it takes a second, and an
evaluation does not need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import nn
from transformers import GenerationConfig

if TYPE_CHECKING:
    from datasets import Dataset
    from torch.utils.data import Sampler
    from transformers import BatchFeature, PretrainedConfig, PreTrainedModel, Trainer
    from transformers.generation.logits_process import LogitsProcessorList
    from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer
else:
    # mixins: they stand before the library's class in the bases of a subclass
    Qwen3VLProcessor = Trainer = GRPOTrainer = object


# --- torch: attention kernels that also give the log-sum-exp ----------------------------------------------------------

_aten: Any = torch.ops.aten
HAS_CPU_KERNEL = hasattr(_aten, "_scaled_dot_product_flash_attention_for_cpu")
Pair = tuple[torch.Tensor, torch.Tensor]
Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def cpu_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool, scale: float) -> Pair:
    """Returns attention (n, H, L, D) and its log-sum-exp (n, H, L) by torch's kernel for a CPU."""
    return _aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, scale=scale)


def cpu_attention_backward(
    grad: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, lse: torch.Tensor,
    causal: bool, scale: float,
) -> Triple:  # fmt: skip
    """Returns the gradients of q, k and v of `cpu_attention`."""
    return _aten._scaled_dot_product_flash_attention_for_cpu_backward(grad, q, k, v, out, lse, 0.0, causal, scale=scale)


def varlen_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, q_starts: torch.Tensor, k_starts: torch.Tensor, q_longest: int,
    k_longest: int, causal: bool, scale: float,
) -> Pair:  # fmt: skip
    """Returns attention (T, H, D) and its log-sum-exp (H, T) of rows of unequal length, by FlashAttention on a GPU."""
    out, lse, *_ = _aten._flash_attention_forward(
        q, k, v, q_starts, k_starts, q_longest, k_longest, 0.0, causal, False, scale=scale
    )
    return out, lse


def varlen_attention_backward(
    grad: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, lse: torch.Tensor,
    q_starts: torch.Tensor, k_starts: torch.Tensor, q_longest: int, k_longest: int, causal: bool, scale: float,
) -> Triple:  # fmt: skip
    """Returns the gradients of q, k and v of `varlen_attention`."""
    seed = torch.zeros(2, dtype=torch.uint64, device=q.device)  # of a dropout that there is none of
    return _aten._flash_attention_backward(
        grad, q, k, v, out, lse, q_starts, k_starts, q_longest, k_longest, 0.0, causal, seed, seed, scale=scale
    )


# --- transformers: models and generation ------------------------------------------------------------------------------


class QwenVLBase(Protocol):
    """What is used of a Qwen-VL model without its head."""

    config: PretrainedConfig
    visual: nn.Module
    """The vision tower."""

    def get_rope_index(self, input_ids: torch.Tensor, **fields: torch.Tensor | None) -> tuple[torch.Tensor, Any]:
        """Returns the 3-D rotary positions (3, B, T) of a text with images."""
        ...

    def get_image_features(
        self, pixel_values: torch.Tensor, image_grid_thw: torch.Tensor | None, **options: Any
    ) -> Any:
        """Returns what the vision tower makes of images."""
        ...


def qwen_base(model: PreTrainedModel) -> QwenVLBase:
    """Returns a Qwen-VL model without its head."""
    return cast("QwenVLBase", model.base_model)


def rope_positions(model: nn.Module, input_ids: torch.Tensor, **fields: torch.Tensor | None) -> torch.Tensor:
    """Returns the 3-D rotary positions (3, B, T) that a Qwen-VL model, or a PEFT model of one, counts itself."""
    return cast(Any, model).model.get_rope_index(input_ids, **fields)[0]


def source_of(model: nn.Module) -> str:
    """Returns the folder or hub id that a model was loaded from, "" where there is none. TRL reads the reference for KL
    from there."""
    return cast(Any, model).config._name_or_path


def set_source(model: nn.Module, source: str) -> None:
    """Sets what `source_of` returns."""
    cast(Any, model).config._name_or_path = source


GENERATION_RECORDS = ("transformers_version", "_from_model_config")
"""Keys of a GenerationConfig's ``to_dict`` that are no settings."""


def generation_defaults() -> dict[str, Any]:
    """Returns the generation settings that transformers takes where neither a call nor a model says otherwise."""
    return GenerationConfig._get_default_generation_params()


def complete_generation_config(model: PreTrainedModel, config: GenerationConfig) -> GenerationConfig:
    """Returns a copy of the settings with the model's own, then transformers' defaults, where they are silent."""
    return cast(Any, model)._prepare_generation_config(config)[0]


def note_special_tokens(model: PreTrainedModel, config: GenerationConfig, device: torch.device) -> None:
    """Writes the end and padding tokens as tensors into the settings, where `logits_processors` looks for them."""
    cast(Any, model)._prepare_special_tokens(config, False, device=device)


def logits_processors(
    model: PreTrainedModel, config: GenerationConfig, prompt_length: int, device: str
) -> LogitsProcessorList:
    """Returns what temperature, top_p, penalties and the like do to logits; transformers checks their values here."""
    return cast(Any, model)._get_logits_processor(
        generation_config=config, input_ids_seq_length=prompt_length, encoder_input_ids=None, device=device
    )


class ImageStep(Qwen3VLProcessor):
    """Before transformers' Qwen3-VL processor: its step that turns pictures into patches, by a public name."""

    def _process_images(self, images: Any, **kwargs: Any) -> tuple[BatchFeature, list[str]]:
        return self.process_images(images, **kwargs)

    def process_images(self, images: Any, **kwargs: Any) -> tuple[BatchFeature, list[str]]:
        """Returns the patches of all pictures, and the text that stands for each of them."""
        return super()._process_images(images, **kwargs)


# --- transformers: every trainer --------------------------------------------------------------------------------------


class TrainerSteps(Trainer):
    """Before transformers' Trainer, or one of TRL's: its private steps by public names."""

    if TYPE_CHECKING:
        model: PreTrainedModel  # pyright: ignore[reportIncompatibleVariableOverride] # never None once it is built
        _metrics: dict[str, dict[str, list[float]]]

    def _prepare_inputs(self, inputs: Any) -> Any:
        return self.prepare_inputs(inputs)

    def prepare_inputs(self, inputs: Any) -> Any:
        """Returns what the loss is computed of: a batch on the right device, in GRPO a micro-batch of a rollout."""
        return super()._prepare_inputs(inputs)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        return self.grad_norm(model, grad_norm)

    def grad_norm(self, model: nn.Module, grad_norm: Any) -> Any:
        """Returns the norm of the gradient, once a step between the last backward and the optimiser."""
        return super()._get_grad_norm(model, grad_norm)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.save_checkpoint(model, trial)

    def save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Writes a checkpoint and removes older ones."""
        super()._save_checkpoint(model, trial)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        self.run_epoch(*args, **kwargs)

    def run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Trains for an epoch, or what is left of it."""
        super()._run_epoch(*args, **kwargs)

    @property
    def figures_to_log(self) -> dict[str, dict[str, list[float]]]:
        """TRL's figures since the last log, by ``train`` or ``eval`` and name; it logs their means."""
        return self._metrics


# --- TRL: GRPO --------------------------------------------------------------------------------------------------------


class GRPOSteps(TrainerSteps, GRPOTrainer):
    """Before TRL's GRPOTrainer: its private steps by public names, in the order in which a rollout passes them."""

    if TYPE_CHECKING:  # the library's annotations are wider
        args: GRPOConfig  # pyright: ignore[reportIncompatibleVariableOverride]
        num_generations: int
        num_iterations: int
        shuffle_dataset: bool

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        return self.train_sampler(dataset)

    def train_sampler(self, dataset: Dataset | None) -> Sampler:
        """Returns the order of the rows: each prompt as often as it has completions."""
        return super()._get_train_sampler(dataset)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        return self.roll_out(inputs)

    def roll_out(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns a generation batch: completions of the rows, their advantages, old and reference log-probabilities.
        It calls all steps below."""
        return super()._generate_and_score_completions(rows)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], list[Any] | None, dict[str, Any]]:
        return self.tokenize_prompts(prompts)

    def tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], list[Any] | None, dict[str, Any]]:
        """Returns token ids and pictures (None where none has any) by prompt, and the processor's image tensors."""
        return super()._tokenize_prompts(prompts)

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: int, has_tool_images: bool = False
    ) -> tuple[list[list[int]], Any]:
        return self.complete_prompts(prompt_ids, images, multimodal_fields, num_generations, has_tool_images)

    def complete_prompts(
        self, prompt_ids: Any, images: Any, fields: Any, num_generations: int, has_tool_images: bool
    ) -> tuple[list[list[int]], Any]:
        """Returns a completion of each prompt, and with vLLM its log-probabilities."""
        return super()._generate_single_turn(prompt_ids, images, fields, num_generations, has_tool_images)

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        scoring = (batch_size, compute_entropy, compute_aux_loss)
        return self.token_log_probs(model, input_ids, attention_mask, logits_to_keep, *scoring, **images)

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
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Returns of the last ``logits_to_keep`` tokens of each row the log-probabilities and the entropies, and the
        auxiliary loss of a mixture of experts; None for what is not asked."""
        scoring = (batch_size, compute_entropy, compute_aux_loss)
        return super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *scoring, **images
        )

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        return self.compute_rewards(inputs, prompts, completions, completion_ids_list)

    def compute_rewards(
        self, rows: list[dict[str, Any]], prompts: Any, completions: Any, completion_ids: Any
    ) -> torch.Tensor:
        """Returns the rewards (completions of all processes, functions) before weighting, NaN for None."""
        return super()._calculate_rewards(rows, prompts, completions, completion_ids)

    # --- state of a run -----------------------------------------------------------------------------------------------

    @property
    def texts_to_log(self) -> dict[str, Any]:
        """Prompts, completions, scores and advantages of the last rollouts of all processes, the first one's first."""
        return self._logs

    @property
    def micro_step(self) -> int:
        """How many micro-batches have been trained on since the start of this process."""
        return self._step

    @property
    def micro_batches(self) -> Sequence[dict[str, Any]] | None:
        """What the last rollout was split into; None before the first."""
        return cast(Any, self._buffered_inputs)

    @micro_batches.setter
    def micro_batches(self, batches: Sequence[dict[str, Any]]) -> None:
        self._buffered_inputs = cast(Any, batches)

    @property
    def zero3(self) -> bool:
        """Whether DeepSpeed's ZeRO-3 spreads the weights over the processes."""
        return self._dist.is_zero3

    def whole_weights(self) -> Any:
        """Returns a context in which FSDP of version 1 has joined the model's own weights."""
        return self._dist.summon_full_params(self.model_wrapped, recurse=False)

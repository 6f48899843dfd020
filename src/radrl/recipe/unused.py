"""Keys of TRL's configs that radrl, or TRL itself with the other keys of a section, would take and not apply.

Each is refused in one line where it is set to anything but what happens anyway. docs/trl_options.md lists every
field of the configs with what becomes of it.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from radrl.errors import UserError, nearest, one_line

_TRANSFORMERS = "held-out Examples are answered as 'evaluation' says, not by transformers' own evaluation"
_HUB = "the run folder, with texts of the data in it, would be uploaded; upload out/NAME/model yourself"
_LOADED = "radrl loads the model; say how under 'model'"
_TEXT_SETS = "rows are made of Examples, not of a text column"
_LENGTH = "no row is cut, since a cut answer would be taught as a whole one; lower 'model.max_pixels', or filter"
_LONGEST = "rows are padded to the longest one of their batch"
_FLAT = "several questions on one image share a row with 'data.questions_per_row'"
_PADS = "the tokenizer's own is used"
_TEXT_MODELS = "TRL has it for models without images alone; use_vllm speeds rollouts up"

# What is not taken, and why. What happens anyway may be written all the same: TRL's default, or what _SAME says.
UNUSED: dict[str, dict[str, str]] = {
    "both": {
        "model_init_kwargs": _LOADED,
        "trust_remote_code": "code from a model's folder is never run",
        "use_cache": "training keeps no keys and values",
        "remove_unused_columns": "the columns are radrl's Examples, which the trainer does not know",
        "disable_tqdm": "radrl shows a bar of its own",
        "auto_find_batch_size": "it changes the recipe's batch without a word; lower per_device_train_batch_size",
        "save_only_model": "such a checkpoint cannot be gone on with: it has no optimizer",
        "enable_jit_checkpoint": "such a checkpoint is not marked as whole, so --resume would not go on from it",
        "resume_from_checkpoint": "add --resume to the command",
        "do_eval": "eval_strategy says it",
        "do_predict": "use radrl evaluate",
        "label_names": "the labels of a row are its answers",
        "length_column_name": "the lengths of rows are not known before they are made",
        "local_rank": "accelerate launch sets it",
        **dict.fromkeys(("push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo"), _HUB),
        **dict.fromkeys(("hub_always_push", "hub_revision"), _HUB),
        **dict.fromkeys(("include_for_metrics", "batch_eval_metrics", "eval_do_concat_batches"), _TRANSFORMERS),
        **dict.fromkeys(("eval_use_gather_object", "eval_accumulation_steps", "prediction_loss_only"), _TRANSFORMERS),
        **dict.fromkeys(("bf16_full_eval", "fp16_full_eval"), "transformers casts no model that is in training"),
    },
    "trl.SFTConfig": {
        "assistant_only_loss": "an Example teaches its own answer and reads the turns before it; 'radrl data prepare "
        "llava' makes an Example of each turn, so every answer of a conversation is taught, once",
        "completion_only_loss": "the answer is taught and the prompt is not",
        "shuffle_dataset": "train_sampling_strategy says it (random or sequential)",
        "train_sampling_strategy": "the lengths of rows are not known before they are made; random or sequential",
        "chat_template_path": "put the template into the model's folder (chat_template.jinja)",
        "pad_token": _PADS,
        "pad_to_multiple_of": _LONGEST,
        "padding_free": _FLAT,
        "packing_strategy": _FLAT,
        "eval_packing": _FLAT,
        **dict.fromkeys(("dataset_text_field", "dataset_kwargs", "dataset_num_proc"), _TEXT_SETS),
        **dict.fromkeys(("max_length", "truncation_mode"), _LENGTH),
    },
    "trl.GRPOConfig": {
        "label_smoothing_factor": "GRPO has no labels",
        "per_device_eval_batch_size": "evaluation.batch_size says it",
        "num_generations_eval": "held-out Examples are answered once, greedily",
        "neftune_noise_alpha": "the noise would be in the rollouts too; it is for sft",
        "data_seed": "TRL draws the order of prompts from the recipe's seed",
        "train_sampling_strategy": "shuffle_dataset says it",
        "include_num_input_tokens_seen": "TRL logs num_tokens itself",
        "average_tokens_across_devices": "loss_type says over what the loss is a mean",
        "max_tool_calling_iterations": "there are no tools",
        "log_completions_hub_repo": "texts of the data would be uploaded",
        **dict.fromkeys(("use_transformers_continuous_batching", "use_transformers_paged"), _TEXT_MODELS),
        "transformers_continuous_batching_config": _TEXT_MODELS,
    },
}
# What happens anyway, where that is not TRL's default.
_SAME: dict[str, tuple[Any, ...]] = {
    "remove_unused_columns": (False,),
    "disable_tqdm": (True, None),
    "max_length": (None,),
    "completion_only_loss": (True, None),
}
_SAME_SFT = {"train_sampling_strategy": ("random", "sequential")}

CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
CHOICES: dict[str, tuple[Any, ...]] = {  # of GRPO, where TRL looks at the value in the first step only
    "loss_type": (*CLIPPED, "cispo", "sapo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "scale_rewards": ("group", "batch", "none", True, False),
    "vllm_mode": ("colocate", "server"),
    "vllm_importance_sampling_mode": ("sequence_mask", "sequence_truncate", "token_mask", "token_truncate"),
}
PLAIN = ("adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_torch_npu_fused", "adafactor", "lomo", "adalomo")


def _is_one_of(*values: Any) -> tuple[str, Callable[[Any], bool]]:
    return " or ".join(map(str, values)), lambda value: value in values


ON = ("set", bool)
# Keys that another key must be on for: the keys, the other, what it must be in words, whether it is.
NEEDS: tuple[tuple[tuple[str, ...], str, tuple[str, Callable[[Any], bool]]], ...] = (
    (("gradient_checkpointing_kwargs",), "gradient_checkpointing", ON),
    (("liger_kernel_config",), "use_liger_kernel", ON),
    (("fsdp_config",), "fsdp", ON),
    (("dataloader_persistent_workers", "dataloader_prefetch_factor"), "dataloader_num_workers", ON),
    (("dataloader_multiprocessing_context", "dataloader_in_order"), "dataloader_num_workers", ON),
    (("optim_args",), "optim", (f"none of {', '.join(PLAIN)}", lambda value: value not in PLAIN)),
    (("optim_target_modules",), "optim", ("galore_… or apollo_…", lambda v: str(v).startswith(("galore", "apollo")))),
    (("label_smoothing_factor",), "loss_type", _is_one_of("nll", "chunked_nll")),  # of SFT; not with dft
    (("epsilon", "delta"), "loss_type", _is_one_of(*CLIPPED)),
    (("epsilon_high",), "loss_type", _is_one_of(*CLIPPED, "cispo")),
    (("importance_sampling_level",), "loss_type", _is_one_of(*CLIPPED, "cispo", "sapo")),
    (("sapo_temperature_neg", "sapo_temperature_pos"), "loss_type", _is_one_of("sapo")),
    (("vespo_k_pos", "vespo_k_neg", "vespo_lambda_pos", "vespo_lambda_neg"), "loss_type", _is_one_of("vespo")),
    (("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target"), "use_adaptive_entropy", ON),
    (("use_bias_correction_kl", "sync_ref_model"), "beta", ("above 0", bool)),
    (("ref_model_mixup_alpha", "ref_model_sync_steps"), "sync_ref_model", ON),
    (("scale_rewards",), "multi_objective_aggregation", _is_one_of("sum_then_normalize")),
    (("log_multimodal", "num_completions_to_print", "log_unique_prompts"), "log_completions", ON),
    (("vllm_mode", "vllm_importance_sampling_correction", "vllm_structured_outputs_regex"), "use_vllm", ON),
    (("vllm_importance_sampling_mode", "vllm_importance_sampling_clip_max"), "use_vllm", ON),
    (("vllm_importance_sampling_clip_min", "vllm_importance_sampling_cap", "vllm_model_impl"), "use_vllm", ON),
    (("vllm_enable_sleep_mode", "vllm_gpu_memory_utilization", "vllm_max_model_length"), "use_vllm", ON),
    (("vllm_tensor_parallel_size",), "use_vllm", ON),
    (("vllm_importance_sampling_mode",), "vllm_importance_sampling_correction", ON),
    (("vllm_server_base_url", "vllm_server_host", "vllm_server_port"), "vllm_mode", _is_one_of("server")),
    (("vllm_server_timeout", "vllm_group_port"), "vllm_mode", _is_one_of("server")),
)


def check_applied(kind: str, config: type, values: Mapping[str, Any], name: str, file: Path) -> None:
    """Checks the keys of a section, already in the types that ``config`` wants; those of PEFT are all applied.

    Raises:
        UserError: a key would not be applied, or its value is none that TRL knows.
    """
    if kind not in UNUSED:
        return
    fields = {field.name: field for field in dataclasses.fields(config)}

    def off(key: str) -> tuple[Any, ...]:
        if kind == "trl.SFTConfig" and key in _SAME_SFT:
            return _SAME_SFT[key]
        return _SAME.get(key, (default(key),))

    def default(key: str) -> Any:
        field = fields[key]
        return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()

    unused = {**UNUSED["both"], **UNUSED[kind]}
    for key, value in values.items():
        at = f"{file}: key '{name}.{key}'"
        choices = CHOICES.get(key) if kind == "trl.GRPOConfig" else fields[key].metadata.get("choices")
        if choices and value is not None and value not in choices:
            known = [str(choice) for choice in choices]
            raise UserError(one_line(f"{at} is {value!r}{nearest(str(value), known)}; it can be {', '.join(known)}"))
        if key in unused and value not in off(key):
            raise UserError(one_line(f"{at} cannot be {reprlib.repr(value)}: {unused[key]}"))
        for keys, other, (words, fits) in NEEDS:
            if key not in keys or other not in fields or value in off(key):
                continue
            if not fits(values.get(other, default(other))):
                raise UserError(one_line(f"{at} would not be applied: it needs '{other}' to be {words}"))

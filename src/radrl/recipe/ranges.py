"""Values that TRL's settings can take, where TRL and transformers look at them late or never: in the first step, in a
division, or not at all, so that a negative number of tokens trains something."""

from __future__ import annotations

from typing import Any

TINY = 5e-324  # the smallest number above 0

# key: (least, most); None is no bound. Of SFTConfig and GRPOConfig alike.
RANGES: dict[str, tuple[float | None, float | None]] = {
    "per_device_train_batch_size": (1, None),
    "per_device_eval_batch_size": (1, None),
    "gradient_accumulation_steps": (1, None),
    "num_train_epochs": (TINY, None),
    "learning_rate": (0, None),
    "warmup_steps": (0, None),
    "weight_decay": (0, None),
    "adam_beta1": (0, 1 - 2**-53),
    "adam_beta2": (0, 1 - 2**-53),
    "adam_epsilon": (0, None),
    "max_grad_norm": (0, None),
    "label_smoothing_factor": (0, 1),
    "neftune_noise_alpha": (0, None),
    "torch_empty_cache_steps": (1, None),
    "logging_steps": (TINY, None),
    "save_steps": (TINY, None),
    "eval_steps": (TINY, None),
    "eval_delay": (0, None),
    "eval_accumulation_steps": (1, None),
    "data_seed": (0, 2**32 - 1),
    "dataloader_num_workers": (0, None),
    "dataloader_prefetch_factor": (1, None),
    "ddp_timeout": (1, None),
    "ddp_bucket_cap_mb": (1, None),
    "router_aux_loss_coef": (0, None),
    "pad_to_multiple_of": (1, None),
    "num_generations": (2, None),
    "num_generations_eval": (1, None),
    "max_completion_length": (1, None),
    "generation_batch_size": (1, None),
    "steps_per_generation": (1, None),
    "num_iterations": (1, None),
    "temperature": (TINY, None),
    "top_p": (TINY, 1),
    "top_k": (0, None),
    "min_p": (0, 1),
    "repetition_penalty": (TINY, None),
    "beta": (0, None),
    "epsilon": (0, None),
    "epsilon_high": (0, None),
    "delta": (TINY, None),
    "sapo_temperature_neg": (TINY, None),
    "sapo_temperature_pos": (TINY, None),
    "ref_model_mixup_alpha": (0, 1),
    "ref_model_sync_steps": (1, None),
    "top_entropy_quantile": (0, 1),
    "off_policy_mask_threshold": (0, None),
    "max_tool_calling_iterations": (1, None),
    "num_completions_to_print": (0, None),
    "vllm_gpu_memory_utilization": (TINY, 1),
    "vllm_tensor_parallel_size": (1, None),
    "vllm_max_model_length": (1, None),
    "vllm_server_timeout": (0, None),
}


def out_of_range(key: str, value: Any) -> str | None:
    """Returns what a number must be where it is not, or None."""
    if key == "max_steps" and (value == 0 or value < -1):
        return "1 or more, or -1 for num_train_epochs"
    least, most = RANGES.get(key, (None, None))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if (least is None or value >= least) and (most is None or value <= most):
        return None
    low = "above 0" if least == TINY else f"{least:g} or more"
    return low if most is None else f"{low} and {'below 1' if most == 1 - 2**-53 else f'at most {most:g}'}"

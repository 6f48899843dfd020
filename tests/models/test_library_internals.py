"""What radrl relies on in its libraries beyond their documentation: an upgrade that changes it fails here."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch
from prefix_models import make_model, make_rows, make_trainer
from transformers import GenerationConfig, PreTrainedModel, ProcessorMixin, Trainer
from trl import GRPOTrainer, SFTTrainer

import radrl
from radrl.models import library_internals
from radrl.models.library_internals import GRPOSteps, TrainerSteps

# The parameters of each, in their order. A trailing ``...``: there may be more, which are not touched.
SIGNATURES = {
    # private steps of trainers, which are overridden or called
    "transformers.Trainer._prepare_inputs": "self, inputs",
    "transformers.Trainer._get_grad_norm": "self, model, grad_norm",
    "transformers.Trainer._save_checkpoint": "self, model, trial",
    "transformers.Trainer._run_epoch": "self, ...",
    "trl.GRPOTrainer._prepare_inputs": "self, generation_batch",
    "trl.GRPOTrainer._get_train_sampler": "self, dataset",
    "trl.GRPOTrainer._generate_and_score_completions": "self, inputs",
    "trl.GRPOTrainer._tokenize_prompts": "self, prompts",
    "trl.GRPOTrainer._generate_single_turn": (
        "self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images"
    ),
    "trl.GRPOTrainer._get_per_token_logps_and_entropies": (
        "self, model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss, "
        "pixel_values, image_grid_thw, num_images, ..."
    ),
    "trl.GRPOTrainer._calculate_rewards": "self, inputs, prompts, completions, completion_ids_list",
    # public ones that no documentation promises
    "transformers.Trainer.get_batch_samples": "self, epoch_iterator, num_batches, device",
    "transformers.Trainer.set_initial_training_values": "self, args, dataloader",
    "transformers.Trainer.training_step": "self, model, inputs, num_items_in_batch",
    "transformers.trainer_callback.TrainerState.compute_steps": "self, args, max_steps",
    "trl.GRPOTrainer.compute_loss": "self, model, inputs, return_outputs, num_items_in_batch",
    "trl.SFTTrainer.compute_loss": "self, model, inputs, return_outputs, num_items_in_batch",
    "trl.trainer.utils.RepeatSampler.__init__": (
        "self, data_source, mini_repeat_count, batch_size, repeat_count, shuffle, seed"
    ),
    "trl.models.utils.unwrap_model_for_generation": (
        "model, accelerator, gather_deepspeed3_params, generation_kwargs, gradient_checkpointing_kwargs"
    ),
    "trl.data_utils.prepare_multimodal_messages": "messages, images, ...",
    # models and generation
    "transformers.GenerationMixin._prepare_generation_config": "self, generation_config, kwargs",
    "transformers.GenerationMixin._prepare_special_tokens": (
        "self, generation_config, kwargs_has_attention_mask, device, ..."
    ),
    "transformers.GenerationMixin._get_logits_processor": (
        "self, generation_config, input_ids_seq_length, encoder_input_ids, prefix_allowed_tokens_fn, "
        "logits_processor, device, ..."
    ),
    "transformers.GenerationConfig._get_default_generation_params": "",
    "transformers.models.qwen3_vl.processing_qwen3_vl.Qwen3VLProcessor._process_images": "self, images, kwargs",
    "transformers.models.qwen3_vl.processing_qwen3_vl.Qwen3VLProcessor.replace_image_token": (
        "self, image_inputs, image_idx, kwargs"
    ),
    "transformers.integrations.sdpa_attention.sdpa_attention_forward": (
        "module, query, key, value, attention_mask, dropout, scaling, ..."
    ),
    "transformers.models.qwen3_vl.modeling_qwen3_vl.Qwen3VLModel.get_rope_index": (
        "self, input_ids, mm_token_type_ids, image_grid_thw, video_grid_thw, attention_mask, ..."
    ),
    "transformers.models.qwen3_vl.modeling_qwen3_vl.Qwen3VLModel.get_image_features": (
        "self, pixel_values, image_grid_thw, kwargs"
    ),
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl.Qwen2_5_VLModel.get_rope_index": (
        "self, input_ids, mm_token_type_ids, image_grid_thw, ..."
    ),
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl.Qwen2_5_VLModel.get_image_features": (
        "self, pixel_values, image_grid_thw, kwargs"
    ),
    # names of modules that are no documented place
    "transformers.masking_utils.sdpa_mask": None,
    "transformers.image_utils.make_flat_list_of_images": "images, ...",
    "transformers.integrations.integration_utils.INTEGRATION_TO_CALLBACK": None,
    "transformers.models.auto.image_processing_auto.AutoImageProcessor": None,
    "transformers.models.qwen2.tokenization_qwen2.PRETOKENIZE_REGEX": None,
    "transformers.models.qwen2_vl.image_processing_pil_qwen2_vl.Qwen2VLImageProcessorPil": None,
    "transformers.trainer_callback.PrinterCallback": None,
    "peft.utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING": None,
    "peft.PeftModel.load_adapter": "self, model_id, adapter_name, ...",
    "accelerate.Accelerator.is_fsdp2": None,
    "torch.serialization.register_package": "priority, tagger, deserializer",
    "trl.trainer.utils.FusedCausalLMOutput": None,
}  # fmt: skip
# torch's kernels, by what they take before the keyword-only rest
KERNELS = {
    "_scaled_dot_product_flash_attention_for_cpu": "query, key, value, dropout_p, is_causal",
    "_scaled_dot_product_flash_attention_for_cpu_backward": (
        "grad_out, query, key, value, out, logsumexp, dropout_p, is_causal"
    ),
    "_flash_attention_forward": (
        "query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, return_debug_mask"
    ),
    "_flash_attention_backward": (
        "grad_out, query, key, value, out, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, "
        "rng_state, unused"
    ),
}
# attributes of a GRPOTrainer, of which some are set in its __init__ only
TRAINER = (
    "_buffered_inputs", "_dist.is_zero3", "_dist.summon_full_params", "_logs", "_metrics", "_step", "accelerator",
    "aux_loss_enabled", "environment_factories", "eos_token_ids", "generation_config", "generation_kwargs",
    "is_fsdp_enabled", "log_completions", "log_multimodal", "model_wrapped", "num_generations", "num_iterations",
    "ref_model", "reward_func_names", "reward_weights", "rollout_func", "shuffle_dataset", "temperature", "tools",
    "use_transformers_continuous_batching", "use_vllm",
)  # fmt: skip
# of what a model's parts are asked, beside methods
MODEL = ("config._name_or_path", "config.image_token_id", "base_model.visual.patch_embed.proj", "base_model.config")


def resolve(name: str):
    """Returns the object that a dotted name stands for: a module, and what is in it."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"no module of {name}")


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_library_has_what_is_relied_on(name):
    found, wanted = resolve(name), SIGNATURES[name]
    if wanted is None:
        return
    taken = ", ".join(inspect.signature(found).parameters)
    assert taken.startswith(wanted.removesuffix(", ...")) if wanted.endswith("...") else taken == wanted


@pytest.mark.parametrize("name", KERNELS)
def test_torchs_kernels_take_what_they_are_given(name):
    schema = getattr(torch.ops.aten, name).default._schema
    assert ", ".join(one.name for one in schema.arguments if not one.kwarg_only) == KERNELS[name]
    assert "scale" in {one.name for one in schema.arguments if one.kwarg_only}


def test_trainer_and_model_have_the_attributes(tmp_path):
    model, processor = make_model("qwen3_vl")
    trainer = make_trainer(tmp_path, model, processor, make_rows((1, 1, 1, 1)))
    for owner, names in ((trainer, TRAINER), (model, MODEL)):
        for name in names:
            value = owner
            for part in name.split("."):
                assert hasattr(value, part), f"{type(owner).__name__}.{name}: no {part}"
                value = getattr(value, part)


def test_our_names_of_the_steps_are_none_of_the_libraries():
    ours = {name for steps in (TrainerSteps, GRPOSteps) for name in vars(steps) if not name.startswith("_")}
    theirs = {name for trainer in (Trainer, GRPOTrainer, SFTTrainer) for name in dir(trainer)}
    assert len(ours) > 10
    assert not ours & theirs


def test_no_other_file_touches_a_private_name():
    libraries = (Trainer, GRPOTrainer, SFTTrainer, PreTrainedModel, GenerationConfig, ProcessorMixin)
    private = {name for owner in libraries for name in dir(owner) if name.startswith("_") and name[1] != "_"}
    private |= {name.partition(".")[0] for name in TRAINER if name.startswith("_")} | {"_name_or_path"} | set(KERNELS)
    private -= {"_name", "_step"}  # of ours too
    source, touched = Path(radrl.__file__).parent, []
    for file in sorted(file for room in ("models", "training", "evaluation") for file in (source / room).rglob("*.py")):
        if file == Path(library_internals.__file__):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", None) or (node.name if isinstance(node, ast.FunctionDef) else None)
            if name in private:
                touched.append(f"{file.relative_to(source)}:{node.lineno}: {name}")
    assert touched == []

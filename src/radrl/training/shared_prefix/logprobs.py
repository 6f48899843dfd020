"""Log-probabilities of a packed row's completions, as one ordinary call of the model.

The language-model head runs on completion positions only and in chunks, so logits of a large vocabulary never stand
whole in memory; the backward computes each chunk anew. `serve` prepares a Qwen-VL model once and for good: plain calls
do what they did before.
"""

from __future__ import annotations

import copy
import functools
from contextlib import nullcontext
from types import MethodType
from typing import Any, cast

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from radrl.models.library_internals import qwen_base
from radrl.training.shared_prefix import attention
from radrl.training.shared_prefix.packing import Packed, PackedCall

CHUNK = 2**25  # logits that stand in memory at a time: 128 MB in float32
MODEL_TYPES = ("qwen3_vl", "qwen2_5_vl")


def log_probs(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, temperature: float = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the log-probability (N,) of each target (N,) under softmax(``hidden @ weight.T / temperature``), and the
    entropy (N,) of each distribution, both with gradient, in float32 or wider. ``hidden`` is (N, H)."""
    return _LogProbs.apply(hidden, weight, bias, targets, temperature)


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.set_materialize_grads(False)
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        wide = torch.promote_types(dtype, torch.float32)
        chosen, entropy = (torch.empty(len(hidden), dtype=wide, device=hidden.device) for _ in range(2))
        weight_, bias_ = weight.to(dtype), None if bias is None else bias.to(dtype)
        for part in _chunks(hidden, weight):
            logp = _log_softmax(hidden[part].to(dtype), weight_, bias_, temperature)
            chosen[part] = logp.gather(1, targets[part, None])[:, 0]
            entropy[part] = -torch.linalg.vecdot(logp.exp(), logp.clamp_min(torch.finfo(wide).min))
        ctx.save_for_backward(hidden, weight, bias, targets, entropy)
        ctx.dtype, ctx.temperature = dtype, temperature
        return chosen, entropy

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor | None, grad_entropy: torch.Tensor | None) -> tuple[Any, ...]:
        hidden, weight, bias, targets, entropy = ctx.saved_tensors
        dtype = ctx.dtype
        wide = entropy.dtype
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        d_hidden = torch.zeros_like(hidden) if wants_hidden else None
        d_weight = torch.zeros(weight.shape, dtype=wide, device=weight.device) if wants_weight else None
        d_bias = torch.zeros(bias.shape, dtype=wide, device=bias.device) if wants_bias else None
        weight_, bias_ = weight.to(dtype), None if bias is None else bias.to(dtype)
        with torch.autocast(hidden.device.type, enabled=False):
            for part in _chunks(hidden, weight) if grad is not None or grad_entropy is not None else ():
                chunk = hidden[part].to(dtype)
                logp = _log_softmax(chunk, weight_, bias_, ctx.temperature)
                # gradient of log p_target: [j = target] - p_j; of the entropy: -p_j (log p_j + H)
                d_logits = logp.exp()
                if grad_entropy is None:
                    d_logits *= -cast(torch.Tensor, grad)[part, None]
                else:
                    factor = logp.clamp_min_(torch.finfo(wide).min).add_(entropy[part, None])
                    factor *= grad_entropy[part, None]
                    if grad is not None:
                        factor += grad[part, None]
                    d_logits *= factor.neg_()
                if grad is not None:
                    d_logits.scatter_add_(1, targets[part, None], grad[part, None].to(wide))
                d_logits = (d_logits / ctx.temperature).to(dtype) if ctx.temperature != 1 else d_logits.to(dtype)
                if d_hidden is not None:
                    d_hidden[part] = (d_logits @ weight_).to(hidden.dtype)
                if d_weight is not None:
                    d_weight += d_logits.T @ chunk
                if d_bias is not None:
                    d_bias += d_logits.sum(0, dtype=wide)
        return (
            d_hidden,
            None if d_weight is None else d_weight.to(weight.dtype),
            None if d_bias is None or bias is None else d_bias.to(bias.dtype),
            None,
            None,
        )


def _chunks(hidden: torch.Tensor, weight: torch.Tensor) -> list[slice]:
    size = max(1, CHUNK // weight.shape[0])
    return [slice(start, start + size) for start in range(0, len(hidden), size)]


def _log_softmax(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, temperature: float
) -> torch.Tensor:  # (n, V), float32 or wider
    logits = nn.functional.linear(hidden, weight, bias)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if temperature != 1:
        logits /= temperature
    logits -= logits.logsumexp(-1, keepdim=True)
    return logits


def refusal(model: PreTrainedModel) -> str | None:
    """Returns why a model's prompts cannot be shared exactly, or None where they can."""
    config = model.config
    if config.model_type not in MODEL_TYPES:
        return f"model type {config.model_type} is not one of {', '.join(MODEL_TYPES)}"
    text = config.get_text_config()
    if "sliding_attention" in (getattr(text, "layer_types", None) or ()):
        return "some layers attend to a window only"
    if getattr(text, "attention_dropout", 0):
        return "the model drops attention at random (attention_dropout)"
    return None


def serve(model: PreTrainedModel, *, temperature: float = 1.0, float32_head: bool = False) -> None:
    """Lets a Qwen-VL model be called with ``packed=`` (packing.py, rollout.py), for good.

    With `Packed.targets` the output holds ``log_probs`` and ``entropy`` (N,) and no logits; the logits are divided by
    ``temperature``, and computed in float32 with ``float32_head``. Other calls are unchanged.
    """
    model.set_attn_implementation({"text_config": attention.NAME})
    base = qwen_base(model)
    features = base.get_image_features

    def see(
        self: nn.Module,
        pixel_values: torch.Tensor,
        image_grid_thw: torch.Tensor | None = None,
        packed: PackedCall | None = None,
        **kwargs: Any,
    ) -> Any:
        if packed is None or packed.picture_order is None:
            return features(pixel_values, image_grid_thw, **kwargs)
        keys = [(id(picture), _precision(pixel_values)) for picture in packed.pictures]
        kept = None if torch.is_grad_enabled() else packed.features
        if kept is not None and all(key in kept for key in keys):
            images = [kept[key] for key in keys]
        else:
            seen = features(pixel_values, image_grid_thw, **kwargs)
            images = _by_image(seen)
            if kept is not None:
                kept.update(zip(keys, images, strict=True))
        return _joined([images[i] for i in packed.picture_order])  # one image at several places: features repeated

    cast(Any, base).get_image_features = MethodType(see, base)
    inner = model.forward

    @functools.wraps(type(model).forward)  # generation reads the signature
    def forward(self: Any, *args: Any, packed: PackedCall | None = None, **kwargs: Any) -> Any:
        if not isinstance(packed, Packed) or packed.targets is None:
            return inner(*args, **kwargs) if packed is None else inner(*args, packed=packed, **kwargs)
        hidden = self.base_model(*args, packed=packed, **kwargs).last_hidden_state[0, packed.read]
        head = self.get_output_embeddings()
        # the head is looked up at each call and gathered where FSDP2 holds it in shards, as TRL does
        weight, bias = (x.full_tensor() if isinstance(x, DTensor) else x for x in (head.weight, head.bias))
        context = nullcontext()
        if float32_head:
            hidden, context = hidden.float(), torch.autocast(hidden.device.type, enabled=False)
        with context:
            scored, entropy = log_probs(hidden, weight, bias, packed.targets, temperature)
        return FusedCausalLMOutput(log_probs=scored, entropy=entropy)

    cast(Any, model).forward = MethodType(forward, model)


def _precision(x: torch.Tensor) -> torch.dtype | None:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _by_image(seen: Any) -> list[Any]:
    """Returns the tower's output image by image."""
    counts = [len(part) for part in seen.pooler_output]
    layers = getattr(seen, "deepstack_features", None)
    # a layer is one tensor of all images, or in later releases of transformers a tuple with a tensor an image
    split = layers and [layer.split(counts) if isinstance(layer, torch.Tensor) else layer for layer in layers]
    images = []
    for k, pooled in enumerate(seen.pooler_output):
        image = copy.copy(seen)
        image.pooler_output = (pooled,)
        if split:
            image.deepstack_features = [
                part[k] if isinstance(layer, torch.Tensor) else part[k : k + 1]
                for layer, part in zip(layers, split, strict=True)
            ]
        images.append(image)
    return images


def _joined(images: list[Any]) -> Any:
    """Returns the outputs of several images as one, which is `_by_image` undone."""
    seen = copy.copy(images[0])
    seen.pooler_output = tuple(image.pooler_output[0] for image in images)
    if getattr(seen, "deepstack_features", None) is not None:
        layers = zip(*(image.deepstack_features for image in images), strict=True)
        seen.deepstack_features = [
            torch.cat(parts) if isinstance(parts[0], torch.Tensor) else sum(parts, ()) for parts in layers
        ]
    return seen


def packed_log_probs(model: nn.Module, packed: Packed, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns log-probabilities and entropies (B, C) of the completion tokens of a packed row, zero where there is no
    token. ``model`` may be wrapped (DDP, FSDP2, PEFT); what it wraps must have been through `serve`."""
    output = model(**packed.inputs())
    made = []
    for values in (output.log_probs, output.entropy):
        made.append(values.new_zeros(shape).index_put(packed.places, values))
    return made[0], made[1]

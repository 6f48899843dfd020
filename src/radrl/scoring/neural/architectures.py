"""DistilBERT and DeBERTa as what they are to `encoder.Encoder`: a BERT without token types, and one whose attention
also looks at how far apart two tokens stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from radrl.errors import UserError

Weights = Mapping[str, Tensor]
Model = tuple[dict[str, Any], dict[str, Tensor]]
_DISTILBERT = (
    ("transformer.layer", "encoder.layer"),
    ("attention.q_lin", "attention.self.query"),
    ("attention.k_lin", "attention.self.key"),
    ("attention.v_lin", "attention.self.value"),
    ("attention.out_lin", "attention.output.dense"),
    ("sa_layer_norm", "attention.output.LayerNorm"),
    ("ffn.lin1", "intermediate.dense"),
    ("ffn.lin2", "output.dense"),
    ("output_layer_norm", "output.LayerNorm"),
)
_SIZES = {"dim": "hidden_size", "hidden_dim": "intermediate_size", "n_heads": "num_attention_heads"}
_DISTILBERT_CONFIG = {**_SIZES, "n_layers": "num_hidden_layers", "activation": "hidden_act"}


def as_bert(config: Mapping[str, Any], weights: Weights, at: str) -> Model:
    """Returns a model's config and tensors by BERT's names; ``at`` names its config in errors. Tensors of the first
    checkpoints of BERT, ``LayerNorm.gamma`` and ``beta``, have their later names.

    Raises:
        UserError: it is a DeBERTa of another kind than the published ones.
    """
    if config.get("model_type") == "distilbert":
        return _distilbert(config, weights)
    if config.get("model_type") == "deberta":
        return _deberta(config, weights, at)
    ends = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    renamed = {}
    for name, value in weights.items():
        end = next((old for old in ends if name.endswith(old)), "")
        renamed[name.removesuffix(end) + ends.get(end, "")] = value
    return dict(config), renamed


def _distilbert(config: Mapping[str, Any], weights: Weights) -> Model:
    renamed = {}
    for name, value in weights.items():
        for old, new in _DISTILBERT:
            name = name.replace(old, new)
        renamed[name] = value
    found = {_DISTILBERT_CONFIG.get(key, key): value for key, value in config.items()}
    return found, {**renamed, **_nothing("token_type", 1, found["hidden_size"])}


def _deberta(config: Mapping[str, Any], weights: Weights, at: str) -> Model:
    """DeBERTa's query, key and value are one matrix, head by head, and only two of them have a bias."""
    kinds = config.get("pos_att_type")
    wanted = {
        "relative_attention": (config.get("relative_attention"), True),
        "position_biased_input": (config.get("position_biased_input", True), False),
        "pos_att_type": (sorted(kinds.split("|") if isinstance(kinds, str) else kinds or []), ["c2p", "p2c"]),
        "talking_head": (config.get("talking_head", False), False),
        "type_vocab_size": (config.get("type_vocab_size", 0), 0),
    }
    for key, (found, only) in wanted.items():
        if found != only:
            raise UserError(f"{at}: key '{key}' is {config.get(key)!r}; only {only!r} is served")
    hidden, heads, size = config["hidden_size"], config["num_attention_heads"], config["max_position_embeddings"]
    renamed = dict(weights)
    for name, value in weights.items():
        if not name.endswith("attention.self.in_proj.weight"):
            continue
        inside = name.removesuffix("in_proj.weight")
        three = value.view(heads, 3, hidden // heads, hidden).transpose(0, 1).reshape(3, hidden, hidden)
        biases = (weights.get(f"{inside}q_bias"), torch.zeros(hidden), weights.get(f"{inside}v_bias"))
        for part, weight, bias in zip(("query", "key", "value"), three, biases, strict=True):
            renamed[f"{inside}{part}.weight"] = weight
            if bias is not None:  # what is missing is refused by its name in BERT
                renamed[f"{inside}{part}.bias"] = bias
    return dict(config), {**renamed, **_nothing("token_type", 1, hidden), **_nothing("position", size, hidden)}


def _nothing(of: str, rows: int, hidden: int) -> dict[str, Tensor]:
    return {f"embeddings.{of}_embeddings.weight": torch.zeros(rows, hidden)}

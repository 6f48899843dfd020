"""RadGraph's archive as published: what of its configuration is relied on, its labels, and its heads' weights.

What is not served is refused in a line: coreference, events, other sizes than the published ones, other encoders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from radrl.errors import UserError
from radrl.scoring.neural import encoder
from radrl.scoring.neural.graphs import SPLITTERS

WIDTH, WIDTH_SIZE, FEEDFORWARD, PIECES = 8, 20, [150, 150], 512

# what the package takes from the archive's config.json, and the only values that are served
_RELIED_ON: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("dataset_reader.max_span_width", (WIDTH,)),
    ("dataset_reader.token_indexers.bert.max_length", (PIECES,)),
    ("model.max_span_width", (WIDTH,)),
    ("model.feature_size", (WIDTH_SIZE,)),
    ("model.embedder.token_embedders.bert.max_length", (PIECES,)),
    ("model.feedforward_params.num_layers", (2,)),
    ("model.feedforward_params.hidden_dims", (150, FEEDFORWARD)),
    ("model.modules.relation.spans_per_word", (0.5,)),
    ("model.loss_weights.coref", (0,)),
    ("model.loss_weights.events", (0,)),
)


class Weights(NamedTuple):
    """The heads; all are (weight, bias) as torch's linear has them. ``start`` and ``end`` are the first layers of the
    label scorer and the keeper, side by side; ``width`` is their share of the width, with the bias."""

    widths: Tensor  # (8, 20)
    start: Tensor  # (300, hidden)
    end: Tensor  # (300, hidden)
    width: tuple[Tensor, Tensor]  # (300, 20), (300,)
    label: list[tuple[Tensor, Tensor]]  # 150 -> 150 -> labels
    keep: list[tuple[Tensor, Tensor]]  # 150 -> 150 -> 1
    first: tuple[Tensor, Tensor, Tensor, Tensor]  # of the one span, the other, their product; bias
    relation: list[tuple[Tensor, Tensor]]  # 150 -> 150 -> relations

    def double(self) -> Weights:
        """Returns a copy in float64."""
        return Weights(*(_double(field) for field in self))


def read_config(folder: Path) -> str:
    """Checks the archive's ``config.json`` and returns the hub id of its encoder.

    Raises:
        UserError: a key is missing, or asks for what is not served.
    """
    config = encoder.read_json(folder / "config.json")
    for key, served in _RELIED_ON:
        value = _get(folder, config, key)
        if value not in served or isinstance(value, bool):
            raise UserError(f"{folder}/config.json: key '{key}' is {value!r}; only {served[0]!r} is served")
    for key in ("ner", "relation"):
        if not _get(folder, config, f"model.loss_weights.{key}") > 0:
            raise UserError(f"{folder}/config.json: key 'model.loss_weights.{key}' is 0; the archive has no {key}")
    if (config["model"]["modules"].get("coref") or {}).get("coref_prop", 0):
        raise UserError(f"{folder}/config.json: 'coref_prop' is not 0; coreference is not served")
    return _get(folder, config, "model.embedder.token_embedders.bert.model_name")


def read_heads(
    folder: Path, weights: encoder.Weights, kind: str, hidden: int, labels: int, relations: int, device: str
) -> Weights:
    """Returns the heads' weights. Raises UserError where a tensor is missing or of another shape."""
    ner, rel, span = f"{kind}__ner_labels", f"{kind}__relation_labels", 2 * hidden + WIDTH_SIZE
    wide = FEEDFORWARD[0]

    def get(name: str, *shape: int) -> Tensor:
        if name not in weights or tuple(weights[name].shape) != shape:
            have = f"has the shape {list(weights[name].shape)}" if name in weights else "is missing"
            raise UserError(f"{folder}/weights.th: tensor '{name}' {have}, should be {list(shape)}")
        return weights[name].to(device, torch.float32)

    def linear(name: str, out: int, into: int) -> tuple[Tensor, Tensor]:
        return get(f"{name}.weight", out, into), get(f"{name}.bias", out)

    widths = get("_endpoint_span_extractor._span_width_embedding.weight", WIDTH, WIDTH_SIZE)
    of_label, of_keep = f"_ner._ner_scorers.{ner}", f"_relation._mention_pruners.{rel}._scorer"
    forward = f"_relation._relation_feedforwards.{rel}._linear_layers"
    one, two = (linear(f"{at}.0._module._linear_layers.0", wide, span) for at in (of_label, of_keep))
    both, bias = torch.cat([one[0], two[0]]), torch.cat([one[1], two[1]])
    pair, pair_bias = linear(f"{forward}.0", wide, 3 * span)
    of_one, of_other, of_product = pair.split(span, dim=1)
    return Weights(
        widths,
        both[:, :hidden],
        both[:, hidden : 2 * hidden],
        (both[:, 2 * hidden :], bias),
        [
            linear(f"{of_label}.0._module._linear_layers.1", wide, wide),
            linear(f"{of_label}.1._module", labels - 1, wide),
        ],
        [linear(f"{of_keep}.0._module._linear_layers.1", wide, wide), linear(f"{of_keep}.1._module", 1, wide)],
        (of_one, of_other, of_product, pair_bias),
        [linear(f"{forward}.1", wide, wide), linear(f"_relation._relation_scorers.{rel}", relations, wide)],
    )


def read_labels(folder: Path) -> tuple[str, list[str], list[str]]:
    """Returns the archive's type, its labels with the empty one first, and its relations."""
    files = sorted(folder.glob("*__ner_labels.txt"))
    kinds = [file.name.removesuffix("__ner_labels.txt") for file in files]
    if len(kinds) != 1 or kinds[0] not in SPLITTERS:
        raise UserError(f"{folder}: holds the labels of {kinds or 'no model'}; served: {', '.join(SPLITTERS)}")
    read = []
    for name in ("ner", "relation"):
        file = folder / f"{kinds[0]}__{name}_labels.txt"
        try:
            read.append(file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: cannot read ({error})") from None
    if read[0][0] != "":
        raise UserError(f"{files[0]}: the first label should be the empty one")
    return kinds[0], read[0], read[1]


def _get(folder: Path, config: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            raise UserError(f"{folder}/config.json: key '{key}' is missing; not a RadGraph archive that is served")
        config = config[part]
    return config


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) else type(value)(_double(one) for one in value)

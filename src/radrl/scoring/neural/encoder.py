"""A BERT encoder over packed tokens: no padding anywhere, so that a text's vectors hang on nothing else. RoBERTa,
DistilBERT and DeBERTa are BERTs with small changes (architectures.py).

Texts are sorted by length and laid end to end: the linear layers, in which nearly all of the time goes, see one matrix
``(tokens, hidden)``. Attention runs over the texts of equal length together, and so needs no mask. A matrix product may
still round a row differently in a batch of another size (by about 1e-7): what must be exact is settled in float64 by
whoever needs it (radgraph.py).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from radrl.errors import UserError, in_words
from radrl.scoring.neural.architectures import as_bert

Weights = Mapping[str, Tensor]
Pair = tuple[Tensor, Tensor]  # weight and bias
SERVED = ("bert", "roberta", "distilbert", "deberta")


class Layer(NamedTuple):
    """The weights of one layer. ``qkv`` are query, key and value side by side, ``far`` is DeBERTa's alone
    (`Encoder._distances`)."""

    qkv: Pair
    mixed: Pair
    norm: Pair
    up: Pair
    down: Pair
    last: Pair
    far: Pair | None

    def double(self) -> Layer:
        """Returns a copy in float64."""
        first = (_double(self.qkv), _double(self.mixed), _double(self.norm))
        second = (_double(self.up), _double(self.down), _double(self.last))
        return Layer(*first, *second, None if self.far is None else _double(self.far))


class Encoder:
    """A pretrained BERT, RoBERTa, DistilBERT or DeBERTa without its pooler, for inference.

    ``config`` is the model's ``config.json`` (``at`` names it in errors), ``weights`` its tensors by transformers'
    names without the model's prefix. ``layers`` keeps the first so many.

    Raises:
        UserError: the architecture is not served, or a tensor is missing or of another shape.
    """

    def __init__(
        self, config: Mapping[str, Any], weights: Weights, device: str, *, layers: int | None = None, at: str = "config"
    ) -> None:
        self.kind = config.get("model_type")
        wanted = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
        if self.kind not in SERVED:
            raise UserError(f"{at}: an encoder of type '{self.kind}' is not served; served: {', '.join(SERVED)}")
        config, weights = as_bert(config, weights, at)
        for key, value in wanted.items():
            if config.get(key, value) != value:
                raise UserError(f"{at}: key '{key}' is {config[key]!r}; only {value!r} is served")
        self.hidden, self.heads = config["hidden_size"], config["num_attention_heads"]
        self.eps, self.positions = config.get("layer_norm_eps", 1e-12), config["max_position_embeddings"]
        self.pad = config.get("pad_token_id", 1) if self.kind == "roberta" else None
        self.device, self.dtype, count = device, torch.float32, layers or config["num_hidden_layers"]

        def get(name: str, *shape: int) -> Tensor:
            if name not in weights or (shape and tuple(weights[name].shape) != shape):
                have = f"has the shape {list(weights[name].shape)}" if name in weights else "is missing"
                raise UserError(f"{at}: tensor '{name}' {have}; the weights belong to another config")
            return weights[name].detach().to(device, torch.float32)

        def norm(name: str) -> Pair:
            return get(f"{name}.LayerNorm.weight", self.hidden), get(f"{name}.LayerNorm.bias", self.hidden)

        def linear(name: str, out: int, into: int) -> Pair:
            return get(f"{name}.weight", out, into), get(f"{name}.bias", out)

        self.words = get("embeddings.word_embeddings.weight", config["vocab_size"], self.hidden)
        self.places = get("embeddings.position_embeddings.weight", self.positions, self.hidden)
        self.types = get("embeddings.token_type_embeddings.weight")[0]
        self.first = norm("embeddings")
        self.layers: list[Layer] = []
        for k in range(count):
            at_layer, wide = f"encoder.layer.{k}", config["intermediate_size"]
            three = [linear(f"{at_layer}.attention.self.{x}", self.hidden, self.hidden) for x in _QKV]
            far = self._distances(get, linear, f"{at_layer}.attention.self") if self.kind == "deberta" else None
            self.layers.append(
                Layer(
                    qkv=(torch.cat([w for w, _ in three]), torch.cat([b for _, b in three])),
                    mixed=linear(f"{at_layer}.attention.output.dense", self.hidden, self.hidden),
                    norm=norm(f"{at_layer}.attention.output"),
                    up=linear(f"{at_layer}.intermediate.dense", wide, self.hidden),
                    down=linear(f"{at_layer}.output.dense", self.hidden, wide),
                    last=norm(f"{at_layer}.output"),
                    far=far,
                )
            )

    def _distances(self, get: Callable[..., Tensor], linear: Callable[..., Pair], at: str) -> Pair:
        """Returns what DeBERTa's queries and keys are compared with at each distance of two tokens, from -512 to 511:
        a key and a query, (heads, distances, size of a head) each."""
        rows = get("encoder.rel_embeddings.weight", 2 * self.positions, self.hidden)
        key = F.linear(rows, get(f"{at}.pos_proj.weight", self.hidden, self.hidden))
        query = F.linear(rows, *linear(f"{at}.pos_q_proj", self.hidden, self.hidden))
        key, query = (one.view(len(rows), self.heads, -1).transpose(0, 1).contiguous() for one in (key, query))
        return key, query

    def double(self) -> Encoder:
        """Returns a copy in float64."""
        copy = object.__new__(Encoder)
        copy.__dict__ = {**self.__dict__, "dtype": torch.float64}
        for name in ("words", "places", "types"):
            setattr(copy, name, getattr(self, name).double())
        copy.first = _double(self.first)
        copy.layers = [layer.double() for layer in self.layers]
        return copy

    def __call__(self, texts: Sequence[Sequence[int]], *, first_only: bool = False) -> list[Tensor]:
        """Returns the last layer's vectors of each text (token ids with the special ones), (tokens, hidden) each; with
        ``first_only`` those of the first token alone, (1, hidden): the last layer is then computed for it only."""
        if not texts:
            return []
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        lengths = [len(texts[i]) for i in order]
        groups, start = [], 0  # (first row, texts, tokens of each) of the texts of one length
        for length, same in groupby(lengths):
            count = len(list(same))
            groups.append((start, count, length))
            start += count * length
        x = self._embed([texts[i] for i in order], lengths)  # (tokens of all, hidden)
        starts = torch.tensor([0, *lengths[:-1]], device=self.device).cumsum(0)
        for layer in self.layers:
            rows = starts if first_only and layer is self.layers[-1] else None
            x = self._layer(layer, x, groups, rows)
        parts = x.split([1] * len(texts) if first_only else lengths)
        back = dict(zip(order, parts, strict=True))
        return [back[i] for i in range(len(texts))]

    def _embed(self, texts: Sequence[Sequence[int]], lengths: Sequence[int]) -> Tensor:
        ids = torch.tensor([i for text in texts for i in text], device=self.device)
        place = torch.tensor([k for n in lengths for k in range(n)], device=self.device)
        if self.pad is not None:  # RoBERTa counts from pad + 1, and a "<pad>" written in the text does not count
            real = (ids != self.pad).long()
            before = torch.cat([real.new_zeros(1), real.cumsum(0)])[torch.arange(len(ids), device=self.device) - place]
            place = (real.cumsum(0) - before) * real + self.pad
        x = self.words[ids] + self.types + self.places[place]
        return self._norm(x, self.first)

    def _layer(self, layer: Layer, x: Tensor, groups: Sequence[tuple[int, int, int]], rows: Tensor | None) -> Tensor:
        if rows is None:
            mixed = self._attend(F.linear(x, *layer.qkv), groups, far=layer.far)
        else:
            (weight, bias), h = layer.qkv, self.hidden
            query = F.linear(x[rows], weight[:h], bias[:h])
            mixed = self._attend(F.linear(x, weight[h:], bias[h:]), groups, query)
            x = x[rows]
        x = self._norm(_added(x, mixed, layer.mixed), layer.norm)
        wide = F.gelu(F.linear(x, *layer.up))
        return self._norm(_added(x, wide, layer.down), layer.last)

    def _norm(self, x: Tensor, weights: Pair) -> Tensor:
        weight, bias = weights
        return F.layer_norm(x, (self.hidden,), weight, bias, self.eps)

    def _attend(
        self,
        x: Tensor,
        groups: Sequence[tuple[int, int, int]],
        query: Tensor | None = None,
        far: Pair | None = None,
    ) -> Tensor:
        """Returns the attention's output for queries, keys and values side by side in ``x``, (tokens, 3 hidden), or for
        one ``query`` a text, (texts, hidden), and keys and values in ``x``. ``far`` is DeBERTa's (`_distances`)."""
        out, size, done = [], self.hidden // self.heads, 0
        for start, count, length in groups:
            part = x[start : start + count * length].view(count, length, -1, self.heads, size)
            parts = list(part.permute(2, 0, 3, 1, 4))  # (texts, heads, tokens, size) each
            if query is not None:
                parts.insert(0, query[done : done + count].view(count, 1, self.heads, size).transpose(1, 2))
            q, k, v = parts
            if far is None:
                mixed = F.scaled_dot_product_attention(q, k, v)
            else:  # the three kinds of score share one scale (He et al., ICLR 2021)
                scale = (3 * size) ** -0.5
                mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=_apart(q, k, *far) * scale, scale=scale)
            out.append(mixed.transpose(1, 2).reshape(-1, self.hidden))
            done += count
        return torch.cat(out)


_QKV = ("query", "key", "value")


def _apart(query: Tensor, key: Tensor, far_key: Tensor, far_query: Tensor) -> Tensor:
    """Returns DeBERTa's scores of content by distance and of distance by content, (texts, heads, tokens, tokens), not
    yet scaled, from (texts, heads, tokens, size) and (heads, distances, size)."""
    count, middle = query.shape[-2], far_key.shape[1] // 2
    rows = slice(middle - count + 1, middle + count)  # the distances in a text of so many tokens
    at = torch.arange(count, device=query.device)
    apart = (at[:, None] - at + count - 1).expand(*query.shape[:2], -1, -1)  # of a query's token from a key's
    to_key = query @ far_key[:, rows].transpose(-1, -2)  # (texts, heads, tokens, distances)
    to_query = key @ far_query[:, rows].transpose(-1, -2)
    return to_key.gather(-1, apart) + to_query.gather(-1, apart.transpose(-1, -2)).transpose(-1, -2)


def _double(pair: Pair) -> Pair:
    return pair[0].double(), pair[1].double()


def _added(x: Tensor, into: Tensor, weights: Pair) -> Tensor:
    """Returns x + linear(into), made in x: saves two passes over memory."""
    weight, bias = weights
    return x.add_(bias).addmm_(into, weight.T)


@contextmanager
def exact(device: str) -> Iterator[None]:
    """Runs a block without gradients, in full float32: a training run may have switched TF32 or autocast on."""
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, False
    try:
        with torch.inference_mode(), torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        matmul.allow_tf32 = before


def read_json(path: Path) -> dict[str, Any]:
    """Returns a JSON file's object. Raises UserError where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: should hold an object with keys")
    return found


def read_weights(*paths: Path) -> dict[str, Tensor]:
    """Returns the tensors of the first of these files that is there: safetensors, or torch's format read as tensors
    only, so that no code in it can run.

    Raises:
        UserError: none is there, or it cannot be read or holds more than tensors.
    """
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UserError(f"{paths[0].parent}: no {' or '.join(path.name for path in paths)}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: not a file of tensors alone; objects in it are not loaded, since they may run code"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a file of tensors, or damaged ({in_words(error)[:200]})") from None


def without_prefix(weights: Weights, *prefixes: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with the first of the prefixes that any has, without it."""
    prefix = next((p for p in prefixes if any(name.startswith(p) for name in weights)), "")
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def read_tokenizer(folder: Path, name: str) -> Any:
    """Returns the fast tokenizer in ``folder``; where that is no folder, that of the hub model ``name`` if this machine
    has it. Nothing is downloaded.

    Raises:
        UserError: it is neither here nor there.
    """
    from transformers import AutoTokenizer

    where = str(folder) if folder.is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True, use_fast=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        said = str(error).split("\n")[0][:160]
        raise UserError(f"{folder}: no tokenizer of {name} ({said}); {get_encoder(folder, name)}") from None
    tokenizer.model_max_length = int(1e9)  # texts are cut or folded here; no warning
    return tokenizer


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Returns the config in ``folder``; where that is no folder, that of the hub model ``name`` if this machine has it.

    Raises:
        UserError: it is neither here nor there.
    """
    if folder.is_dir():
        return read_json(folder / "config.json")
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name, local_files_only=True, trust_remote_code=False).to_dict()
    except (OSError, ValueError):
        raise UserError(f"{folder}: no config of {name}; {get_encoder(folder, name)}") from None


def get_encoder(folder: Path, name: str) -> str:
    """Returns the command that brings a hub model's config and tokenizer to ``folder``."""
    return f"hf download {name} --include '*.json' 'vocab.txt' 'merges.txt' --local-dir {folder}"

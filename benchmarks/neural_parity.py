"""Are BERTScore, RadGraph F1 and CheXbert's figures those of their packages, on random weights of the real shapes?

    python benchmarks/neural_parity.py WEIGHTS --python PYTHON [--count 500] [--only FOLDER ...] [--workers WORKERS]

WEIGHTS are archives (``make_weights.py``); PYTHON has the packages of ``tests/scoring/reference_neural.py``, WORKERS is
as there. A pair is an Open-i report and the one before it. Prints the largest difference of each figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from openi import reports

from radrl.example import Answer, Example
from radrl.scoring import registry
from radrl.scoring.neural import models
from radrl.scoring.neural.bertscore_models import MODELS

SCRIPT = Path(__file__).parents[1] / "tests" / "scoring" / "reference_neural.py"
FORMS = ("simple", "partial", "complete")
AVERAGES = {"micro": "micro avg", "macro": "macro avg", "weighted": "weighted avg", "examples": "samples avg"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--only", nargs="*", help="folders of WEIGHTS")
    parser.add_argument("--workers", help="RadVLM-GRPO's verl/custom_rewards/reward_server")
    options = parser.parse_args()
    texts = [text for text in dict.fromkeys(reports()) if text][: options.count + 1]
    pairs = list(pairwise(texts))
    with tempfile.TemporaryDirectory() as root:
        for folder in options.weights.iterdir():
            if not options.only or folder.name in options.only:
                (Path(root) / folder.name).symlink_to(folder.resolve())
        command = [options.python, "-I", str(SCRIPT), root, *([options.workers] if options.workers else [])]
        ran = subprocess.run(command, input=json.dumps(pairs), capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(ran.stderr[-2000:])
        compare(json.loads(ran.stdout), pairs, {one.name: str(one) for one in Path(root).iterdir()})


def compare(theirs: dict, pairs: list[tuple[str, str]], weights: dict[str, str]) -> None:
    """Prints a line for each figure."""
    examples = [Example(id=str(k), task="report", question="?", reference=b) for k, (_, b) in enumerate(pairs)]
    answers = [Answer(a) for a, _ in pairs]

    def scored(name: str, **more: object):
        scorer = registry.get(name).with_options({"weights": weights, "device": "cpu", **more})
        return scorer, scorer(examples, answers)

    def line(name: str, mine: list[float], wanted: list[float]) -> None:
        apart, spread = np.abs(np.array(mine) - wanted), np.std(wanted)
        over = int((apart > 1e-6).sum())
        print(
            f"{name}: {len(mine)} values (spread {spread:.2g}), largest difference {apart.max():.2g}, {over} over 1e-6"
        )

    for model, wanted in theirs["bertscore raw"].items():
        _, scores = scored("bertscore", model=model, rescale=False)
        raw = [one.value for one in scores]
        line(f"BERTScore {model}, not rescaled", raw, np.maximum(wanted, 0))
        rescaled = np.maximum(theirs["bertscore"][model], MODELS[model].low)
        line(f"BERTScore {model}", [MODELS[model].rescaled(one) for one in raw], rescaled)
    for model, wanted in theirs["radgraph"].items():
        _, scores = scored("radgraph", model=model)
        for form, cases in zip(FORMS, wanted["cases"], strict=True):
            line(f"RadGraph F1 {model}, {form}", [one.parts[form] for one in scores], cases)
    if "labels" in theirs:
        _, compute = models.load("chexbert", weights, "cpu")
        for side, name in enumerate(("answers", "references")):
            found = compute([pair[side] for pair in pairs])
            mine = [[int(k in one.positive) for k in range(14)] for one in found]
            same = sum(a == pair[side] for a, pair in zip(mine, theirs["labels"], strict=True))
            print(
                f"CheXbert labels of {name}: {same} of {len(mine)} alike, {len(set(map(tuple, mine)))} different rows"
            )
        for chosen in ("14", "5"):
            for average, key in AVERAGES.items():
                scorer, scores = scored(f"chexbert_f1_{average}_{chosen}")
                mine = np.mean([one.value for one in scores])
                if scorer.pooled:
                    mine = scorer.pooled.value(scorer.pooled.table(examples, answers, **scorer.options).sum(axis=0))
                line(f"CheXbert F1 {average}, {chosen}", [float(mine)], [theirs["chexbert"][chosen][key]["f1-score"]])
        _, scores = scored("chexbert_accuracy_5")
        line("CheXbert accuracy, 5", [one.value for one in scores], theirs["chexbert"]["exact"])
    for name, wanted in theirs["radvlm"].items():
        _, scores = scored(f"{name}_radvlm")
        line(f"RadVLM-GRPO's reward {name}", [one.value for one in scores], wanted)


if __name__ == "__main__":
    main()

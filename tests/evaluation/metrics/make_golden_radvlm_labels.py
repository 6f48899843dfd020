"""Makes golden_radvlm_labels.json: figures that RadVLM's own evaluation of abnormality classification gives.

Give it radvlm/evaluation/compute_metrics_tasks.py of a clone of https://github.com/uzh-dqbm-cmi/RadVLM. Its
`evaluate_classification` is taken out of the file and run; needs scikit-learn. It looks for the names in the text, so
the answers here deny nothing: on denials ours differs on purpose.

    python tests/evaluation/metrics/make_golden_radvlm_labels.py RadVLM/radvlm/evaluation/compute_metrics_tasks.py
"""

from __future__ import annotations

import ast
import json
import random
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from radrl.data.formats.llava import CHEXPERT

WAYS = ("{}", "{}.", "The film shows {}.", "Findings: {}", "I see {}")
NAMES = {"F1 Score": "label_f1", "Precision": "label_precision", "Recall": "label_recall"}


def main(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if getattr(node, "name", "") == "evaluate_classification")
    scope = {"np": np, "precision_recall_fscore_support": precision_recall_fscore_support}
    exec(compile(ast.Module([function], []), str(source), "exec"), scope)
    draw = random.Random(0)
    cases = []
    for _ in range(500):
        there, said = (draw.sample(CHEXPERT, draw.choice((0, 1, 1, 2, 3, 5))) for _ in range(2))
        said = sorted({*said, *there[: draw.randint(0, 3)]}, key=lambda _: draw.random())
        text = (
            draw.choice(WAYS).format(draw.choice((", ", "; ", " and ")).join(said).lower()) if said else "No finding."
        )
        cases.append((sorted(there), text))
    outputs = [{"output": text, "labels": there} for there, text in cases]
    found = scope["evaluate_classification"](outputs, [label.lower() for label in CHEXPERT])
    figures = {}
    for name, figure in found.items():
        kind, _, mean = name.removesuffix(")").partition("(")
        figures[f"{NAMES[kind]}_{mean}" if mean else name] = float(figure)
    golden = {"labels": CHEXPERT, "figures": figures, "cases": cases}
    Path(__file__).with_name("golden_radvlm_labels.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What an evaluation costs.

    python benchmarks/evaluation.py scoring [--data ../shared/data] [--workers 2]
    python benchmarks/evaluation.py memory [--cases 100000]

``scoring``: seconds for 382 IU test reports x 5 models with every CPU scorer of reports, in worker processes. Two of
the models are published prediction sets; the others are made of the references' sentences, so that their texts are new.
``memory``: seconds and peak memory of a process that reads a manifest and a file of so many predictions, checks and
parses them and scores them with every metric; half are reports, the others questions and boxes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from radrl.example import Answer, Box, Example
from radrl.manifest.jsonl import write_manifest

RUNS = ("manual_template_target_b4rouge/result/test_result.json",
        "qwen_dino_sft_rag_top20_copy_oracle_cw1_lr2e5_logp_top20/test_preds.json")  # fmt: skip


def captions(path: Path) -> dict[str, str]:
    """Returns the texts of a JSON object of id to [text]."""
    return {name: texts[0] for name, texts in json.loads(path.read_text()).items()}


def scoring(data: Path, workers: int) -> None:
    """Prints how long 382 x 5 reports take."""
    import radrl.scoring  # noqa: F401  registers the scorers
    from radrl.evaluation.judge import score_models
    from radrl.scoring import registry

    folder = data / "iu_metric_runs"
    references = captions(folder / RUNS[0].replace("test_result", "test_refs"))
    sets = [captions(folder / run) for run in RUNS]
    draw = random.Random(0)
    sentences = [s for text in references.values() for s in re.split(r"(?<=\.)\s+", text) if s]
    sets += [{name: " ".join(draw.sample(sentences, 5)) for name in references} for _ in range(3)]
    examples = {
        name: Example(id=name, task="report", question="Report?", reference=text) for name, text in references.items()
    }
    every = [registry.get(name) for name in registry.names()]
    chosen = [s for s in every if "report" in s.tasks and s.kind == "cpu" and s.missing() is None]
    chosen = [s.fitted(list(examples.values())) for s in chosen]
    print(f"{len(chosen)} scorers: {', '.join(s.name for s in chosen)}")
    asked = list(examples.values())
    runs = {f"model {k}": [[[Answer(said[name]) for name in references]]] for k, said in enumerate(sets, 1)}
    start = time.perf_counter()
    found = score_models(asked, runs, [("report", scorer) for scorer in chosen], workers)
    seconds = time.perf_counter() - start
    print(f"{len(runs)} x {len(asked)} reports, {workers} workers (their start included): {seconds:.1f} s")
    print(f"{len(next(iter(found.values()))[0].columns)} metrics")


def memory(cases: int) -> None:
    """Prints what scoring so many predictions takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw = random.Random(0)
        box = Box(xyxy=(0.1, 0.2, 0.5, 0.7), label="effusion")
        said = ["The heart is enlarged.", "There is a small left pleural effusion.", "No pneumothorax.", "Clear lungs.",
                "Right lower lobe consolidation.", "Degenerative change of the spine."]  # fmt: skip
        examples, texts = [], []
        for k in range(cases):
            report = " ".join(draw.choices(said, k=6)) + f" Study {k}."
            match k % 4:
                case 0 | 2:
                    fields = {"task": "report", "question": "Report?", "reference": report}
                    text = " ".join(draw.choices(said, k=6)) + f" Case {k}."
                case 1:
                    fields = {"task": "grounding", "question": "Where?", "boxes": (box,)}
                    text = f"effusion [0.1, 0.2, 0.{draw.randint(3, 9)}, 0.9]"
                case _:
                    fields = {"task": "vqa_open", "question": "Which side?", "reference": "left"}
                    text = draw.choice(["left", "right", "the left one"])
            examples.append(Example(id=f"case {k}", patient=f"p{k // 2}", **fields))
            texts.append(text)
        write_manifest(root / "m.jsonl", examples)
        lines = (json.dumps({"id": e.id, "completion": t}) + "\n" for e, t in zip(examples, texts, strict=True))
        (root / "p.jsonl").write_text("".join(lines))
        subprocess.run([sys.executable, __file__, "child", folder], check=True)


def child(folder: Path) -> None:
    """Scores, and prints its own time and peak memory."""

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    from radrl.commands.load_recipe import load_recipe
    from radrl.evaluation.answers.ask_model import ask_model
    from radrl.evaluation.answers.parsed import parse_predictions
    from radrl.evaluation.answers.sources import Source
    from radrl.evaluation.metrics.score_cases import score_cases
    from radrl.manifest.jsonl import read_manifest

    print(f"imports: peak {peak():.0f} MB")
    (folder / "r.yaml").write_text("out: run\nmodel: {start: tiny}\n")
    start = time.perf_counter()
    examples = read_manifest(folder / "m.jsonl")
    found = ask_model(load_recipe(folder / "r.yaml"), Source("file", str(folder / "p.jsonl")), examples, folder / "out")
    print(f"read and checked: {time.perf_counter() - start:.0f} s, peak {peak():.0f} MB")
    rows = parse_predictions(found.samples, examples, found.header.style)
    del found
    scores = score_cases(examples, rows)
    seconds = time.perf_counter() - start
    print(f"{len(examples)} scored: {seconds:.0f} s, peak {peak():.0f} MB; {len(scores.columns)} metrics")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scoring", "memory", "child"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cases", type=int, default=100_000)
    given = parser.parse_args()
    if given.what == "scoring":
        scoring(given.data, given.workers)
    elif given.what == "memory":
        memory(given.cases)
    else:
        child(given.folder)

"""What does RadCliQ cost a pair, against the authors' packages one pair at a time, and does it agree with them?

    python benchmarks/radcliq.py time WEIGHTS --python PYTHON [--groups 3] [--rate 0.7]
    python benchmarks/radcliq.py rate RUN [--prompts 32]
    python benchmarks/radcliq.py strange [--texts 10000] [--seed 0] [--names radcliq ...]

``time``: groups of 8 different Open-i reports with one reference (and again with the share ``--rate`` of different
texts that ``rate`` found), on random weights of the real shapes (``make_weights.py``); seconds on the clock and of the
CPU, the largest differences, and the share of the time in matrix products. PYTHON has the authors' packages.
``rate``: samples 8 completions of each report prompt from a demo run's models, and prints the share of different texts.
``strange``: texts of all kinds through every variant, on tiny random weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

import radrl.scoring  # noqa: E402, F401
from radrl.example import Answer, Example  # noqa: E402
from radrl.scoring import registry  # noqa: E402

GROUP = 8


def ready(name: str, root: Path) -> registry.Scorer:
    """Returns a scorer with the weights below ``root``, on the CPU."""
    folders = {one.name: str(one) for one in root.iterdir() if one.is_dir()}
    return registry.get(name).with_options({"weights": folders, "device": "cpu"})


def batch(pairs: Sequence[Sequence[str]]) -> tuple[list[Example], list[Answer]]:
    """Returns pairs of (answer, reference) as Examples and Answers."""
    made = {b: Example(id=str(i), task="report", question="?", reference=b) for i, (_, b) in enumerate(pairs)}
    return [made[b] for _, b in pairs], [Answer(a) for a, _ in pairs]


def forget(root: Path) -> None:
    """Empties what is kept of references, so that a run is a first one."""
    from radrl.scoring.neural import models

    for name in ("radgraph", "chexbert", "distilroberta"):
        models.load(name, {name: str(root / name)}, "cpu")[1]._kept.clear()


def clocked(root: Path, pairs: Sequence[Sequence[str]], size: int) -> tuple[float, float]:
    """Returns the seconds a pair, on the clock and of the CPU, scored ``size`` pairs at a time."""
    scorer = ready("radcliq", root)
    forget(root)
    begin, used = time.perf_counter(), time.process_time()
    for k in range(0, len(pairs), size):
        scorer(*batch(pairs[k : k + size]))
    return (time.perf_counter() - begin) / len(pairs), (time.process_time() - used) / len(pairs)


def timed(root: Path, python: str, groups: int, rate: float) -> None:
    """Prints agreement and cost."""
    from openi import reports

    from radrl.scoring.neural import graphs, models
    from radrl.scoring.neural.radcliq import radcliq

    every = [text for text in dict.fromkeys(reports()) if text]
    texts = random.Random(0).sample(every, groups * (GROUP + 1))
    pairs = [(texts[groups + i], texts[i // GROUP]) for i in range(groups * GROUP)]
    command = [python, "-I", str(HERE / "reference_radcliq.py"), str(root)]
    ran = subprocess.run(command, input=json.dumps(pairs), capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr[-2000:])
    theirs = json.loads(ran.stdout)
    want = theirs["found"]
    scores = ready("radcliq", root)(*batch(pairs))  # also loads the models
    weights = {one.name: str(one) for one in root.iterdir()}
    (rg, spans), (_, readings) = (models.load(name, weights, "cpu") for name in ("radgraph", "chexbert"))
    both = [text for pair in pairs for text in pair]
    mine = [graphs.graph(rg.words(text), one) for text, one in zip(both, spans(both), strict=True)]
    flat = {name: [one for pair in want[name] for one in pair] for name in ("graphs", "embeddings", "labels")}
    same = sum(json.dumps(a) == json.dumps(b) for a, b in zip(mine, flat["graphs"], strict=True))
    read = readings(both)
    code = {0: "", 1: 1, 2: 0, 3: -1}
    labels = sum([code[c] for c in one.classes] == b for one, b in zip(read, flat["labels"], strict=True))
    apart = max(np.abs(one.embedding - b).max() for one, b in zip(read, flat["embeddings"], strict=True))
    bert = max(abs(s.parts["bertscore"] - b) for s, b in zip(scores, want["bertscore"], strict=True))
    like = [cosine(*pair) for pair in want["embeddings"]]
    expected = [
        radcliq(graphs.scores(*g)["radcliq"], b, c)
        for g, b, c in zip(want["graphs"], want["bertscore"], like, strict=True)
    ]
    whole = max(abs(s.value - x) for s, x in zip(scores, expected, strict=True))
    print(f"{len(pairs)} pairs: {same} of {len(both)} graphs and {labels} of {len(both)} label lists identical; "
          f"embeddings within {apart:.1e}, BERTScore {bert:.1e}, RadCliQ {whole:.1e}")  # fmt: skip
    parts = {name: theirs["seconds"][name] for name in ("graphs", "embeddings", "bertscore")}
    wall, cpu = (sum(one[k] for one in parts.values()) / len(pairs) for k in (0, 1))
    said = ", ".join(f"{name} {1000 * one[1] / len(pairs):.0f}" for name, one in parts.items())
    print(f"packages, a pair at a time: {1000 * wall:.0f} ms a pair, {1000 * cpu:.0f} of the CPU ({said})")
    different = [pairs[i - i % GROUP + (i % GROUP) % max(round(GROUP * rate), 1)] for i in range(len(pairs))]
    for name, chosen, size in (
        ("one group at a time", pairs, GROUP),
        ("all groups at once", pairs, len(pairs)),
        (f"{rate:.0%} different", different, len(pairs)),
    ):
        mine_wall, mine_cpu = clocked(root, chosen, size)
        print(f"ours, {name}: {1000 * mine_wall:.0f} ms a pair, {1000 * mine_cpu:.0f} of the CPU: "
              f"{wall / mine_wall:.1f} and {cpu / mine_cpu:.1f} times faster")  # fmt: skip
    profiled(root, pairs[:GROUP])


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the cosine of two vectors."""
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def profiled(root: Path, pairs: Sequence[Sequence[str]]) -> None:
    """Prints which share of the time is in matrix products, attention's included."""
    from torch.profiler import ProfilerActivity, profile

    scorer = ready("radcliq", root)
    forget(root)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        begin = time.perf_counter()
        scorer(*batch(pairs))
        used = time.perf_counter() - begin
    products = (
        "aten::addmm",
        "aten::addmm_",
        "aten::mm",
        "aten::bmm",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
    )
    times = {one.key: one.self_cpu_time_total / 1e6 for one in seen.key_averages()}
    share = sum(times.get(name, 0.0) for name in products)
    others = sorted(((t, n) for n, t in times.items() if n not in products), reverse=True)[:5]
    print(f"matrix products: {share / sum(times.values()):.0%} of the operators' time, {share / used:.0%} by clock; "
          f"then {', '.join(f'{n} {t / used:.1%}' for t, n in others)}")  # fmt: skip


def rate(run: Path, prompts: int) -> None:
    """Prints the share of different texts among a GRPO batch's report completions."""
    from sampled_reward import sampled

    from radrl.commands.load_recipe import load_recipe
    from radrl.commands.train import load_examples
    from radrl.evaluation.answers.decoding import Decoding
    from radrl.prompt.messages import PromptStyle

    recipe = load_recipe(run / "grpo" / "recipe.yaml")
    examples = load_examples(recipe)
    order = np.random.default_rng(0).permutation(len(examples)).tolist()
    chosen = examples.take([i for i in order if examples[i].task == "report"][:prompts])
    for stage in ("sft", "grpo"):
        decoding = Decoding(temperature=1.0, max_new_tokens=64, samples=GROUP)
        said = sampled(str(run / stage / "model"), chosen, PromptStyle("unit", False), decoding)
        in_group = sum(len(set(texts)) for texts in said) / (GROUP * len(chosen))
        overall = len({text for texts in said for text in texts}) / (GROUP * len(chosen))
        print(f"{stage}: {len(chosen)} prompts x {GROUP}: {in_group:.0%} of the texts different in their group, "
              f"{overall:.0%} in the batch")  # fmt: skip


def strange(count: int, seed: int, names: Sequence[str]) -> None:
    """Scores strange texts by every variant; raises where a value is not finite or out of its range."""
    from fuzz_scorers import text
    from neural_archives import write_tiny

    logging.disable(logging.WARNING)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = write_tiny(Path(folder))
        texts = [text(rng) for _ in range(count)]
        references = [text(rng).encode(errors="replace").decode() for _ in range(40)] + ["Small left effusion."] * 10
        pairs = [(one, rng.choice(references)) for one in texts]
        for name in names:
            begin, none, failed = time.perf_counter(), 0, 0
            scorer = ready(name, root).fitted(batch(pairs)[0])
            for k in range(0, count, 64):
                for one in scorer(*batch(pairs[k : k + 64])):
                    none += one is None
                    failed += one is not None and "failed" in one.parts
                    assert one is None or math.isfinite(one.value)
            print(f"{name:<16}{count} texts: all finite and in range; {none} None (no word to compare with), "
                  f"{failed} counted as failed; {time.perf_counter() - begin:.0f} s", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("time")
    one.add_argument("weights", type=Path)
    one.add_argument("--python", required=True)
    one.add_argument("--groups", type=int, default=3)
    one.add_argument("--rate", type=float, default=0.75)
    two = kinds.add_parser("rate")
    two.add_argument("run", type=Path)
    two.add_argument("--prompts", type=int, default=32)
    three = kinds.add_parser("strange")
    three.add_argument("--texts", type=int, default=10_000)
    three.add_argument("--seed", type=int, default=0)
    three.add_argument("--names", nargs="+", default=["radcliq", "radcliq_radvlm", "radcliq_radeval", "chexbert_f1"])
    options = parser.parse_args()
    if options.kind == "time":
        timed(options.weights, options.python, options.groups, options.rate)
    elif options.kind == "rate":
        rate(options.run, options.prompts)
    else:
        strange(options.texts, options.seed, options.names)


if __name__ == "__main__":
    main()

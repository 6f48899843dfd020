"""Kills one GRPO run ten times with ``kill -9`` at random moments, resumes it each time, and compares final weights.

    python benchmarks/kill_grpo.py [--kills 10] [--steps 60] [--seed 0]

Both runs start from a tiny model with random weights on a small phantom data set; the run is as ``radrl grpo`` makes
it, in its own process. Prints the last whole checkpoint at each kill, and "identical" or the largest difference.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

RECIPE = """
seed: 3
out: {out}
model: {{start: {start}}}
data: {{train: [data/train.jsonl]}}
rewards:
  report: [{{scorer: finding_f1}}, {{scorer: format, weight: 0.1}}]
  grounding: [{{scorer: soft_f1}}, {{scorer: format, weight: 0.1}}]
  vqa_closed: [{{scorer: vqa_accuracy}}, {{scorer: format, weight: 0.1}}]
  vqa_open: [{{scorer: vqa_accuracy}}, {{scorer: format, weight: 0.1}}]
sft: {{max_steps: 20, per_device_train_batch_size: 8, learning_rate: 1e-3, gradient_checkpointing: false}}
grpo:
  max_steps: {steps}
  per_device_train_batch_size: 16
  num_generations: 4
  num_iterations: 2
  learning_rate: 1e-4
  beta: 0.01
  max_completion_length: 24
  gradient_checkpointing: false
  save_steps: 2
"""


def radrl(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "radrl", *arguments]


def last_whole(folder: Path) -> int:
    return max((int(p.parent.name.split("-")[1]) for p in folder.glob("checkpoint-*/radrl.json")), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        subprocess.run(
            radrl("phantom", "--out", str(root / "data"), "--train", "10", "--test", "4"), check=True, **quiet
        )
        (root / "sft.yaml").write_text(RECIPE.format(out="start", start="tiny", steps=options.steps))
        subprocess.run(radrl("sft", str(root / "sft.yaml")), check=True, **quiet)
        recipes = {}
        for run in ("unbroken", "killed"):
            recipes[run] = root / f"{run}.yaml"
            recipes[run].write_text(RECIPE.format(out=run, start="start/sft/model", steps=options.steps))
        subprocess.run(radrl("grpo", str(recipes["unbroken"])), check=True, **quiet)
        command = radrl("grpo", str(recipes["killed"]), "--resume")
        folder = root / "killed" / "grpo"
        # A kill waits until a step drawn at random is in a whole checkpoint (often one from before, so that the kill
        # falls into the start), and then a moment drawn at random: in a rollout, an update, or the saving.
        for kill, step in enumerate(sorted(draw.randrange(options.steps - 12) for _ in range(options.kills)), 1):
            process = subprocess.Popen(command, **quiet)
            while last_whole(folder) < step and process.poll() is None:
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 2))
            if process.poll() is not None:
                raise SystemExit(f"the run ended (code {process.returncode}) before kill {kill}; give more --steps")
            process.kill()
            process.wait()
            print(f"kill {kill}: last whole checkpoint at step {last_whole(folder)}", flush=True)
        subprocess.run(command, check=True, **quiet)
        one, other = (load_file(root / run / "grpo" / "model" / "model.safetensors") for run in ("unbroken", "killed"))
        same = one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
        worst = max((one[key] - other[key]).abs().max().item() for key in one)
        print("final weights: identical" if same else f"final weights: DIFFERENT, by up to {worst:.3g}")
        raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()

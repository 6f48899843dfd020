"""Kills one run many times with ``kill -9`` at random moments, resumes it each time, and compares final weights.

    python benchmarks/kill.py [--stage grpo] [--kills 20] [--lora] [--processes 2] [--fsdp2] [--steps 60] [--seed 0]

Both runs start from a tiny model with random weights on a small phantom data set; the run is as ``radrl grpo`` (or
``radrl sft``) makes it, in processes of its own. Of two processes, started by torchrun, a kill takes one, or both and
torchrun. The last kill falls into the saving of the model. Prints the last whole checkpoint at each kill, and
"identical" or the largest difference.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file

RECIPE = """
seed: 3
out: {out}
model: {{start: {start}, lora: {lora}}}
data: {{train: [data/train.jsonl]}}
rewards:
  report: [{{scorer: finding_f1}}, {{scorer: format, weight: 0.1}}]
  grounding: [{{scorer: soft_f1}}, {{scorer: format, weight: 0.1}}]
  vqa_closed: [{{scorer: vqa_accuracy}}, {{scorer: format, weight: 0.1}}]
  vqa_open: [{{scorer: vqa_accuracy}}, {{scorer: format, weight: 0.1}}]
sft:
  max_steps: {steps}
  per_device_train_batch_size: 4
  learning_rate: 1e-3
  gradient_checkpointing: false
  save_steps: 2
{fsdp}
grpo:
  max_steps: {steps}
  per_device_train_batch_size: 8
  num_generations: 4
  num_iterations: 2
  learning_rate: 1e-4
  beta: 0.01
  max_completion_length: 24
  gradient_checkpointing: false
  save_steps: 2
{fsdp}
"""
LORA = "{r: 4, lora_alpha: 16, lora_dropout: 0.1, target_modules: [q_proj, v_proj, qkv]}"
FSDP = """  fsdp: true
  fsdp_config: {version: 2, transformer_layer_cls_to_wrap: [Qwen3VLTextDecoderLayer, Qwen3VLVisionBlock]}"""
DRIVER = Path(__file__).parents[1] / "tests" / "training" / "fsdp_on_cpu.py"


def radrl(*arguments: str, processes: int = 1, fsdp: bool = False) -> list[str]:
    if processes == 1:
        return [sys.executable, "-m", "radrl", *arguments]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [*launch, *([str(DRIVER)] if fsdp else ["-m", "radrl"]), *arguments]


def last_whole(folder: Path) -> int:
    return max((int(p.parent.name.split("-")[1]) for p in folder.glob("checkpoint-*/radrl.json")), default=0)


def kill(process: subprocess.Popen, draw: random.Random) -> str:
    """Kills the process, or, where it is torchrun, one of its processes or all; returns which, when all have ended."""
    running = psutil.Process(process.pid).children(recursive=True)
    ranks = [child for child in running if child.ppid() == process.pid] if len(running) > 1 else []
    chosen = draw.choice([*([child] for child in ranks), [psutil.Process(process.pid), *running]])
    for one in chosen:
        one.send_signal(signal.SIGKILL)
    process.wait()  # torchrun ends the others
    psutil.wait_procs(running, timeout=60)
    return f"process {ranks.index(chosen[0])}" if chosen[0] in ranks else "all"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("sft", "grpo"), default="grpo")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--fsdp2", action="store_true")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    os.environ["OMP_NUM_THREADS"] = "1"  # also where torchrun does not set it
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        subprocess.run(
            radrl("phantom", "--out", str(root / "data"), "--train", "10", "--test", "4"), check=True, **quiet
        )
        (root / "start.yaml").write_text(RECIPE.format(out="start", start="tiny", lora="null", steps=10, fsdp=""))
        subprocess.run(radrl("sft", str(root / "start.yaml")), check=True, **quiet)
        commands = {}
        for run in ("unbroken", "killed"):
            recipe = RECIPE.format(
                out=run,
                start="start/sft/model",
                lora=LORA if options.lora else "null",
                steps=options.steps,
                fsdp=FSDP if options.fsdp2 else "",
            )
            (root / f"{run}.yaml").write_text(recipe)
            arguments = (options.stage, str(root / f"{run}.yaml"), "--resume")
            commands[run] = radrl(*arguments, processes=options.processes, fsdp=options.fsdp2)
        subprocess.run(commands["unbroken"], check=True, **quiet)
        folder = root / "killed" / options.stage
        # A kill waits until a step drawn at random is in a whole checkpoint (often one from before, so that the kill
        # falls into the start), and then a moment drawn at random: in a rollout, an update, or the saving.
        steps = sorted(draw.randrange(options.steps - 12) for _ in range(options.kills - 1))
        for number, step in enumerate([*steps, options.steps], 1):
            log = (root / "log").open("w+")
            process = subprocess.Popen(commands["killed"], stdout=log, stderr=log)
            while last_whole(folder) < step and process.poll() is None:
                time.sleep(0.02)
            if step < options.steps:
                time.sleep(draw.uniform(0, 2))
            if process.poll() is not None:
                said = (root / "log").read_text()[-5000:]
                raise SystemExit(f"the run ended (code {process.returncode}) before kill {number}\n{said}")
            whole, killed = last_whole(folder), kill(process, draw)
            print(f"kill {number}: {killed}, last whole checkpoint at step {whole}", flush=True)
        subprocess.run(commands["killed"], check=True, **quiet)
        one, other = (
            load_file(root / run / options.stage / "model" / "model.safetensors") for run in ("unbroken", "killed")
        )
        same = one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
        worst = max((one[key] - other[key]).abs().max().item() for key in one)
        print("final weights: identical" if same else f"final weights: DIFFERENT, by up to {worst:.3g}")
        raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()

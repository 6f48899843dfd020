"""Recipes of valid TRL keys with odd values: each trains two steps of the tiny model or is refused in one line.

    python benchmarks/odd_recipes.py --count 200 --seed 0

Keys and types come from the dataclasses of the installed TRL. Each recipe runs the real command in a process of its own
(forked, so that the libraries are imported once), with at most 12 GB and two minutes. What is neither trained nor
refused in one line is printed with its recipe and the end of what it said; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import types
import typing
from pathlib import Path
from typing import Any, Literal

import yaml

MEMORY, SECONDS = 12 << 30, 120
# compilers take minutes; these make a run endless; a million processes
NOT_DRAWN = {"output_dir", "seed", "max_steps", "torch_compile", "torch_compile_backend", "torch_compile_mode"}
ONLY = {
    "max_completion_length": [-1, 0, 1, 16, "8"],
    "dataloader_num_workers": [-1, 0, 1, 2],
    "deepspeed": [{}, "ds.json", {"zero_optimization": {"stage": 3}}],
    "fsdp": ["full_shard", "", "nonsense"],
    "generation_kwargs": [{"no_repeat_ngram_size": 2}, {"nonsense": 1}, {"num_beams": 2}, {"temperature": -1}, {}],
    "lr_scheduler_kwargs": [{"num_cycles": 2}, {"nonsense": 1}, {"min_lr": 0.1}, {}],
    "optim_args": ["momentum=0.9", "nonsense", "rank=2,scale=x", ""],
    "gradient_checkpointing_kwargs": [{"use_reentrant": True}, {"nonsense": 1}, {}],
    "chat_template_kwargs": [{"enable_thinking": False}, {"nonsense": [1]}, {}],
    "report_to": ["none", "all", [], "wandb", "tensorboard", ["mlflow"], "nonsense"],
    "accelerator_config": [{}, {"split_batches": True}, {"nonsense": 1}, "file.json"],
    "pad_to_multiple_of": [0, 8, "auto", "none", "x", -8],
    "cache_implementation": ["static", "dynamic", "nonsense", "offloaded"],
    "loss_type": ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo", "nll", "dft", "GRPO", "ppo"],
    "importance_sampling_level": ["token", "sequence", "turn"],
    "chat_template_path": ["nonsense.jinja", "", "/tmp"],
}
WHOLE = [-1, 0, 1, 2, 3, 7, 10**9]
NUMBERS = [-1.0, 0, 1e-8, 0.3, 1, 2.5, 1e9, 1e300, "1e-4"]
WRONG = ["nonsense", [], {}, 2.5, True, None, "-"]


def values_of(hint: Any, choices: Any) -> list[Any]:
    """Returns values of a field's type, the odd ones among them."""
    if choices:
        return [*choices, "nonsense"]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return [value for arg in args for value in values_of(arg, None)]
    if origin is Literal:
        return list(args)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [member.value for member in hint]
    if hint is bool:
        return [True, False]
    if hint is int:
        return WHOLE
    if hint is float:
        return NUMBERS
    if hint is str:
        return ["nonsense", ""]
    if (origin or hint) is dict:
        return [{}, {"nonsense": 1}]
    if (origin or hint) is list:
        return [[], ["nonsense"]]
    return [None]


def draw(rng: random.Random, folder: Path, number: int) -> tuple[str, dict[str, Any]]:
    """Returns the command, and a recipe with one to three odd settings."""
    import trl

    stage = rng.choice(["sft", "coldstart", "grpo", "grpo"])
    config = trl.GRPOConfig if stage == "grpo" else trl.SFTConfig
    hints = typing.get_type_hints(config)
    section: dict[str, Any] = {"max_steps": 2, "per_device_train_batch_size": 4, "save_strategy": "no"}
    if stage == "grpo":
        section |= {"num_generations": 2, "max_completion_length": 8}
    fields = [field for field in dataclasses.fields(config) if field.init and field.name not in NOT_DRAWN]
    for field in rng.sample(fields, rng.choice([1, 1, 2, 3])):
        values = ONLY.get(field.name) or values_of(hints[field.name], field.metadata.get("choices"))
        section[field.name] = rng.choice(WRONG if rng.random() < 0.06 else values)
    recipe: dict[str, Any] = {
        "out": f"runs/{number}",
        "model": {"start": "tiny", "image_size": 64} if rng.random() < 0.5 else {"start": "model"},
        "data": {"train": ["train.jsonl"], "test": ["test.jsonl"]},
        "rewards": {
            "report": [{"scorer": "finding_f1"}],
            "grounding": [{"scorer": "soft_f1"}],
            "vqa_closed": [{"scorer": "vqa_accuracy"}],
            "vqa_open": [{"scorer": "vqa_accuracy"}],
        },
    }
    if rng.random() < 0.2:
        recipe["model"]["lora"] = rng.choice(
            [{"r": 2, "target_modules": ["q_proj"]}, {"target_modules": "all-linear"}, {"r": -1}, {"r": 4}]
        )
    recipe |= {"coldstart": {"sft": section}} if stage == "coldstart" else {stage: section}
    return stage, recipe


def run(stage: str, file: Path, log: Path) -> tuple[int, float]:
    """Runs ``radrl STAGE FILE`` in a fork of this process; returns its exit code (-1: no end within the time)."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with log.open("wb") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        sys.argv = ["radrl", stage, str(file)]
        code = 0
        try:
            from radrl.commands.main import main

            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
    while time.monotonic() - begin < SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - begin
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1, time.monotonic() - begin


def ended(stage: str, code: int, log: Path, out: Path) -> str:
    """Returns ``trained``, ``refused``, or what is wrong with how a run ended."""
    said = log.read_text(errors="replace")
    lines = [line for line in said.splitlines() if line.startswith("radrl: ")]
    if "Traceback" in said:
        return "traceback"
    if code == 0:
        done = out / stage / "done.json"
        steps = json.loads(done.read_text())["steps"] if done.is_file() else None
        return "trained" if steps == 2 else f"exit 0 after {steps} steps"
    if code == 2:
        return "refused" if len(lines) == 1 else f"exit 2 with {len(lines)} lines"
    return f"exit {code}"


def main() -> None:
    """Draws, runs, counts."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--count", type=int, default=200)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--only", type=int, help="run this one alone and show all it says")
    options = asked.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"}
    import torch

    torch.set_num_threads(1)  # a fork must find no threads
    import radrl.training.grpo  # noqa: F401  imported once, for all
    from radrl.commands import train  # noqa: F401
    from radrl.data import phantom
    from radrl.manifest.example_set import read_manifests
    from radrl.models import loading
    from radrl.models.tiny import make_tiny, tokenizer_texts

    folder = Path(tempfile.mkdtemp(prefix="odd-recipes-"))
    phantom.write(folder, {"train": 8, "test": 4}, size=64, workers=1)
    examples = read_manifests([folder / "train.jsonl"])
    loading.save(*make_tiny(tokenizer_texts(examples), image_size=64), folder / "model")
    begin, counts, longest = time.monotonic(), collections.Counter(), 0.0
    for number in range(options.count):
        stage, recipe = draw(random.Random(f"{options.seed}/{number}"), folder, number)
        if options.only not in (None, number):
            continue
        file, log = folder / f"{number}.yaml", folder / f"{number}.log"
        file.write_text(yaml.safe_dump(recipe, sort_keys=False))
        code, seconds = run(stage, file, log)
        how = ended(stage, code, log, folder / "runs" / str(number))
        longest = max(longest, seconds)
        counts[how] += 1
        if how not in ("trained", "refused") or options.only is not None:
            settings = recipe["coldstart"]["sft"] if stage == "coldstart" else recipe[stage]
            print(f"--- {number} {stage} {how}: {settings} {recipe['model']}")
            print(log.read_text(errors="replace")[-1500 if options.only is None else -9000 :])
        elif os.environ.get("SHOW"):
            print(number, stage, how, f"{seconds:.1f}", log.read_text(errors="replace").strip().splitlines()[-1:])
        shutil.rmtree(folder / "runs", ignore_errors=True)
    seconds = time.monotonic() - begin
    shutil.rmtree(folder)
    print(f"{options.count} recipes, seed {options.seed}: {dict(counts)}, {seconds:.0f} s, the longest {longest:.0f} s")
    sys.exit(0 if counts.keys() <= {"trained", "refused"} else 1)


if __name__ == "__main__":
    main()

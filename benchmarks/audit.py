"""Does the audit see a hacked reward? GRPO on the phantom's reports, rewarded by length only and by recall only.

    python benchmarks/audit.py --start runs/demo/sft/model --data runs/demo/data/gold.jsonl --out runs/audit \
        [--honest runs/demo/grpo runs/demo/grpo-thinking]

Trains the demo's SFT model twice with a reward that can be hacked, watched with freshly drawn held-out films, and
prints each run's warnings, its length and its held-out metric. Both must warn; the audits of the --honest runs, which
had the demo's ordinary rewards, must not. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.resources import files
from pathlib import Path

import transformers

from radrl.commands.load_recipe import load_recipe
from radrl.commands.train import run_grpo
from radrl.data import phantom

HACKS = {"length": "length", "recall": "comprehensiveness"}
DEV_FILMS = 64


def hacked(name: str, scorer: str, options: argparse.Namespace, dev: Path) -> Path:
    """Trains with one scorer only and returns the stage's folder."""
    rewards = json.dumps({"report": [{"scorer": scorer}]})
    recipe = load_recipe(
        Path(str(files("radrl.recipes").joinpath("demo.yaml"))),
        [
            f"out={json.dumps(str(options.out.resolve()))}",
            f"model={json.dumps({'start': str(options.start.resolve())})}",
            f"data={json.dumps({'train': [str(options.data.resolve())], 'dev': [str(dev)], 'tasks': ['report']})}",
            f"rewards={rewards}",
            f"grpo.max_steps={options.steps}",
            "grpo.per_device_train_batch_size=64",
            "grpo.save_strategy=no",
        ],
    )
    return run_grpo(recipe, name).folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="a new folder")
    parser.add_argument("--honest", nargs="*", type=Path, default=[], help="stage folders of runs that must not warn")
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    held_out = (options.out / "data").resolve()
    phantom.write(held_out, {"dev": DEV_FILMS}, workers=1)
    passed = True
    for name, scorer in HACKS.items():
        begun = time.perf_counter()
        folder = hacked(name, scorer, options, held_out / "dev.jsonl")
        log = [row for row in json.loads((folder / "log.json").read_text()) if "reward" in row]
        found = json.loads((folder / "audit.json").read_text())
        print(f"{name}: {len(log)} steps in {time.perf_counter() - begun:.0f} s")
        for key in ("reward", "audit/report/words", f"audit/report/{scorer}/length_correlation"):
            print(f"  {key}: " + " ".join(f"{row[key]:.2f}" for row in log if key in row))
        print("  " + "; ".join(f"dev at step {at['step']}: {at['report']:.3f}" for at in found["dev"]))
        print("  " + ("\n  ".join(f"step {w['step']}: {w['text']}" for w in found["warnings"]) or "NO WARNING"))
        passed &= bool(found["warnings"])
    for folder in options.honest:
        warnings = json.loads((folder / "audit.json").read_text())["warnings"]
        print(f"{folder}: {len(warnings)} warnings" + "".join(f"\n  {w['text']}" for w in warnings))
        passed &= not warnings
    sys.exit(not passed)


if __name__ == "__main__":
    main()

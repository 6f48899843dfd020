"""``radrl demo``: the whole method on drawn X-rays, from random weights to a judged model and a page.

Stages: phantom -> SFT -> GRPO (direct) -> SFT continued for the same time (the control) -> cold start -> GRPO with
thinking -> evaluation -> page. All of SFT's labels are open to every stage: SFT and cold start train on silver and gold
labels together; GRPO and its control train on the gold ones, the same films for both.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from radrl.data import phantom
from radrl.errors import UserError
from radrl.recipe import Recipe, load

# Films a split. Silver labels are by a hurried reader, as most labels of the published sets are; see data/phantom.
FILMS = {"silver": 2000, "gold": 600, "held-out": 320}
QUICK_FILMS = {"silver": 160, "gold": 64, "held-out": 24}
QUICK = [
    "sft.max_steps=60",
    "coldstart.sft.max_steps=20",
    "grpo.max_steps=4",
    "grpo.per_device_train_batch_size=32",
    "grpo.steps_per_generation=1",
    "grpo.max_completion_length=64",
    "grpo.save_steps=4",
]
# Thinking writes more, so its run is shorter to fit the ten minutes.
THINKING = ["prompt.thinking=true", "grpo.max_completion_length=96", "grpo.max_steps=32"]
QUICK_THINKING = ["grpo.max_steps=4"]


def run_demo(out: Path, *, quick: bool = False, resume: bool = False) -> Path:
    """Runs every stage that is not done yet and returns the page.

    Raises:
        UserError: ``out`` holds a run and ``resume`` is not asked for.
    """
    from radrl.evaluation.run import run_evaluation
    from radrl.progress import progress_bar
    from radrl.training.stages import run_coldstart, run_grpo, run_sft

    out = out.resolve()
    if (out / "sft").exists() and not resume:
        raise UserError(f"{out}: holds a run already; add --resume to go on, or choose another --out")
    films = QUICK_FILMS if quick else FILMS
    with progress_bar() as bar:
        task = bar.add_task("Phantom", total=sum(films.values()), note="")
        phantom.write(
            out / "data", films, silver={"silver": 1.0}, progress=lambda done, _: bar.update(task, completed=done)
        )
    all_labels, gold = ["silver", "gold"], ["gold"]
    sft = run_sft(_recipe(out, all_labels, None, quick), "sft", resume=resume)
    from_sft = _recipe(out, gold, sft.model, quick)
    grpo = run_grpo(from_sft, "grpo", resume=resume)
    control = run_sft(
        _recipe(out, gold, sft.model, quick, "sft.learning_rate=1e-3"),
        "sft-continued",
        resume=resume,
        as_long_as=grpo.folder,
    )
    cold = run_coldstart(_recipe(out, all_labels, sft.model, quick), "coldstart", resume=resume)
    thinking = run_grpo(
        _recipe(out, gold, cold.model, quick, *THINKING, *(QUICK_THINKING if quick else [])),
        "grpo-thinking",
        resume=resume,
    )
    stages = {
        "SFT": sft,
        "SFT continued": control,
        "GRPO": grpo,
        "Cold start, thinking": cold,
        "GRPO, thinking": thinking,
    }
    models = {name: (str(stage.model), "thinking" in name) for name, stage in stages.items()}
    return run_evaluation(
        _recipe(out, all_labels, sft.model, quick, "evaluation.max_new_tokens=128"),
        models,
        out,
        second_base="SFT continued",
        title="radrl demo" + (" (quick look)" if quick else ""),
        extra_facts={"Seconds of training": {name: (stage.done() or {})["seconds"] for name, stage in stages.items()}},
    )


def _recipe(out: Path, train: list[str], start: Path | None, quick: bool, *more: str) -> Recipe:
    values: dict[str, Any] = {
        "out": str(out),
        "data.train": [str(out / "data" / f"{split}.jsonl") for split in train],
        "data.test": [str(out / "data" / "held-out.jsonl")],
    }
    if start is not None:
        values |= {"model.start": str(start), "model.image_size": None}
    overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    with files("radrl.recipes").joinpath("demo.yaml") as file:
        return load(Path(str(file)), [*overrides, *(QUICK if quick else []), *more])

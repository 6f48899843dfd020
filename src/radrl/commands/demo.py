"""``radrl demo``: the whole method on drawn X-rays, from random weights to a judged model and a page.

Stages: phantom -> SFT on silver and gold labels (the long demo: then on the gold ones) -> GRPO (direct) -> SFT
continued for the same time (the control) -> cold start -> GRPO with thinking -> evaluation -> page. All labels are open
to every stage; GRPO and its control train on the gold ones, the same films for both, which SFT has seen too.
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

from radrl.commands.load_recipe import load_recipe
from radrl.data import phantom
from radrl.errors import UserError
from radrl.recipe.schema import Recipe


class Size(NamedTuple):
    """How long a demo is: films a split (the last one is held out), and what is changed in every recipe, in SFT on gold
    labels alone (without a change there is no such stage), and in GRPO with thinking.

    Silver labels are by a hurried reader, as most labels of the published sets are; see data/phantom.
    """

    films: dict[str, int]
    settings: list[str]
    gold: list[str]
    thinking: list[str]


# A thinking completion is longer, so that its runs are shorter.
SIZES = {
    "demo": Size(
        {"silver": 2000, "gold": 600, "held-out": 300},
        [],
        [],
        ["grpo.max_steps=20"],
    ),
    "quick": Size(
        {"silver": 160, "gold": 64, "held-out": 24},
        [
            "sft.max_steps=60",
            "coldstart.sft.max_steps=20",
            "grpo.max_steps=4",
            "grpo.per_device_train_batch_size=32",
            "grpo.steps_per_generation=1",
            "grpo.save_steps=4",
        ],
        [],
        ["grpo.max_steps=4"],
    ),
    # SFT to where more of it on the same labels no longer teaches the tiny model to see, so that GRPO and its control
    # begin from what the labels can give; more films to judge on, which the short demo has not seen
    "long": Size(
        {"silver": 2000, "gold": 600, "unseen": 1200},
        [
            "sft.max_steps=2600",
            "coldstart.sft.max_steps=300",
            "grpo.max_steps=400",
            "grpo.learning_rate=1.5e-4",
            "grpo.beta=0.02",
            "data.mix={report: 4, grounding: 3, vqa_open: 4}",
            "rewards.grounding=[{scorer: soft_f1, weight: 2.0}, {scorer: format, weight: 0.1}]",
            "rewards.vqa_open=[{scorer: vqa_accuracy, weight: 1.5}, {scorer: format, weight: 0.1}]",
        ],
        ["sft.max_steps=400"],
        ["grpo.max_steps=64"],
    ),
}
THINKING = ["prompt.thinking=true", "grpo.max_completion_length=96"]
GOLD = ["sft.learning_rate=1e-3"]  # half the first rate: SFT on gold labels, and the control that continues it


def run_demo(out: Path, size: str = "demo", *, resume: bool = False) -> Path:
    """Runs every stage of a demo of this size (`SIZES`) that is not done yet and returns the page.

    Raises:
        UserError: ``out`` holds a run and ``resume`` is not asked for.
    """
    from radrl.commands.evaluate import run_evaluation
    from radrl.commands.train import run_coldstart, run_grpo, run_sft
    from radrl.support.progress import progress_bar

    out = out.resolve()
    if (out / "sft").exists() and not resume:
        raise UserError(f"{out}: holds a run already; add --resume to go on, or choose another --out")
    films, settings, of_gold, of_thinking = SIZES[size]
    with progress_bar() as bar:
        task = bar.add_task("Phantom", total=sum(films.values()), note="")
        phantom.write(
            out / "data", films, silver={"silver": 1.0}, progress=lambda done, _: bar.update(task, completed=done)
        )

    def recipe(train: list[str], start: Path | None, *more: str) -> Recipe:
        return _recipe(out, train, list(films)[-1], start, *settings, *more)

    all_labels, gold = ["silver", "gold"], ["gold"]
    first = sft = run_sft(recipe(all_labels, None), "sft", resume=resume)
    if of_gold:
        sft = run_sft(recipe(gold, first.model, *GOLD, *of_gold), "sft-gold", resume=resume)
    grpo = run_grpo(recipe(gold, sft.model), "grpo", resume=resume)
    control = run_sft(recipe(gold, sft.model, *GOLD), "sft-continued", resume=resume, as_long_as=grpo.folder)
    cold = run_coldstart(recipe(all_labels, sft.model), "coldstart", resume=resume)
    thinking = run_grpo(recipe(gold, cold.model, *THINKING, *of_thinking), "grpo-thinking", resume=resume)
    stages = {
        "SFT": sft,
        "SFT continued": control,
        "GRPO": grpo,
        "Cold start, thinking": cold,
        "GRPO, thinking": thinking,
    }
    models = {name: (str(stage.model), "thinking" in name) for name, stage in stages.items()}
    timed = stages if sft is first else {"SFT, all labels": first, **stages}
    seconds = {name: (stage.done() or {})["seconds"] for name, stage in timed.items()}
    return run_evaluation(
        recipe(all_labels, sft.model, "evaluation.max_new_tokens=128", "evaluation.batch_size=150"),
        models,
        out,
        second_base="SFT continued",
        title="radrl demo" + ("" if size == "demo" else f" ({size})"),
        extra_facts={"Seconds of training": seconds},
    )


def _recipe(out: Path, train: list[str], test: str, start: Path | None, *more: str) -> Recipe:
    values: dict[str, Any] = {
        "out": str(out),
        "data.train": [str(out / "data" / f"{split}.jsonl") for split in train],
        "data.test": [str(out / "data" / f"{test}.jsonl")],
    }
    if start is not None:
        values |= {"model.start": str(start), "model.image_size": None}
    overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    with as_file(files("radrl.recipes").joinpath("demo.yaml")) as file:
        return load_recipe(file, [*overrides, *more])

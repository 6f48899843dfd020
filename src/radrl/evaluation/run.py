"""One evaluation: every model answers the same held-out questions, decoded alike; a table and a page come out."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from radrl import page
from radrl.data.examples import ExampleSet
from radrl.evaluation import baselines
from radrl.evaluation.comparison import compare
from radrl.evaluation.generate import generate
from radrl.evaluation.metrics import score
from radrl.example import Answer
from radrl.files import write_text
from radrl.prompt import PromptStyle, parse
from radrl.recipe import Recipe
from radrl.training import models as loading
from radrl.training.run import Stage, progress_bar
from radrl.training.stages import load_examples

MAX_NEW_TOKENS = 256


def run_evaluation(
    recipe: Recipe,
    models: Mapping[str, tuple[str, bool]],
    out: Path,
    *,
    second_base: str | None = None,
    title: str = "Evaluation",
    max_new_tokens: int = MAX_NEW_TOKENS,
    extra_facts: Mapping[str, Any] | None = None,
) -> Path:
    """Judges models on the recipe's test data, greedily decoded, and writes predictions, table and page to ``out``.

    Args:
        models: for each name the model folder (or hub id) and whether it is asked to think. Differences are to the
            first one.
        second_base: another model that all are compared with.
        title: heading of the page.
        max_new_tokens: longest completion.
        extra_facts: groups of facts for the page.

    Returns:
        The page.
    """
    test, train = load_examples(recipe, "test"), load_examples(recipe, "train")
    answers: dict[str, list[Answer]] = {}
    facts: dict[str, Any] = {"title": title, **_facts(recipe, test)}
    for name, (start, thinking) in models.items():
        style = PromptStyle(recipe.prompt.box_format, thinking)
        completions, backend = _completions(recipe, name, start, style, test, max_new_tokens)
        answers[name] = [parse(text, example, style) for text, example in zip(completions, test, strict=True)]
        facts.setdefault("Images resized by", {})[name] = backend
        rows = [
            {"id": example.id, "completion": text, "thinking": thinking, "temperature": 0}
            for example, text in zip(test, completions, strict=True)
        ]
        write_text(out / "predictions" / f"{_file_name(name)}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    answers[baselines.NAME] = baselines.answers(list(train), list(test), recipe.seed)
    scores = {name: score(list(test), given) for name, given in answers.items()}
    comparison = compare(list(test), scores, base=next(iter(models)), others_base=second_base, seed=recipe.seed)
    comparison.save(out / "comparison.json")
    write_text(out / "table.md", comparison.to_markdown())
    file = out / "page.html"
    page.write(
        file, comparison, list(test), answers, scores, _logs(models), test.roots, {**facts, **(extra_facts or {})}
    )
    return file


def _completions(
    recipe: Recipe, name: str, start: str, style: PromptStyle, test: ExampleSet, max_new_tokens: int
) -> tuple[list[str], str]:
    settings = recipe.model
    model, processor = loading.load(
        start, dtype=settings.dtype, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels
    )
    if torch.cuda.is_available():
        model.to("cuda")
    with progress_bar() as bar:
        task = bar.add_task(f"Evaluate {name}", total=len(test), note="")
        found = generate(
            model, processor, test, style, max_new_tokens=max_new_tokens, progress=lambda n: bar.advance(task, n)
        )
    return [texts[0] for texts in found], loading.image_backend(processor)


def _facts(recipe: Recipe, test: ExampleSet) -> dict[str, Any]:
    packages = ("radrl", "torch", "transformers", "trl")
    return {
        "Run": {
            "test Examples": len(test),
            "decoding": "greedy, the same for every model",
            "seed": recipe.seed,
            "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu(),
        },
        "Versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def _cpu() -> str:
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _logs(models: Mapping[str, tuple[str, bool]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the training log of each model that is a stage's."""
    found = {name: Stage(Path(start).parent, name).log() for name, (start, _) in models.items()}
    return {name: log for name, log in found.items() if log}


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)

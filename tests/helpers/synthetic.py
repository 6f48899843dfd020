"""A made-up comparison for the page: noise images and invented answers."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image

from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.statistics.comparison import compare
from radrl.example import Answer, Box, Example

MODELS = {
    "trivial baseline": 0.35,
    "SFT": 0.55,
    "SFT, thinking": 0.56,
    "GRPO": 0.72,
    "GRPO, thinking": 0.68,
}
REPORT = "The heart is enlarged. There is a small right pleural effusion. No pneumothorax. Clear left lung."
OTHER = "The heart is enlarged. There is a left upper lobe consolidation. No pneumothorax."
TASKS = ("report", "report", "grounding", "grounding", "vqa_closed", "vqa_open")


def make(root: Path, patients: int = 40, hostile: str = "", films: int = 4, models: int = 5) -> dict:
    """Returns the arguments of ``write_page`` but for the path; ``hostile`` is put wherever text goes."""
    draw = random.Random(7)
    draw_films(root, films)
    examples = [_example(p, k, task, hostile, films) for p in range(patients) for k, task in enumerate(TASKS)]
    names = {name + hostile: skill for name, skill in list(MODELS.items())[:models]}
    answers = {name: [_answer(e, skill, draw, hostile) for e in examples] for name, skill in names.items()}
    scores = {name: score_cases(examples, [given]) for name, given in answers.items()}
    base, trivial = "SFT" + hostile, ("trivial baseline" + hostile,)
    notes = ("models were not run alike: temperature" + hostile,)
    return {
        "comparison": compare(examples, scores, base, baselines=trivial, samples=200, notes=notes),
        "examples": examples,
        "answers_by_model": answers,
        "scores_by_model": scores,
        "logs_by_stage": {"SFT" + hostile: _sft(draw), "GRPO, direct": _grpo(draw), "GRPO, thinking": _grpo(draw)},
        "image_roots": [root] * len(examples),
        "facts": {
            "title": "A made-up run" + hostile,
            "Versions": {"radrl": "0.1.0", "torch": "2.11.0", "trl": "1.16.0" + hostile},
            "Seeds": {"data": 0, "training": 17, "evaluation": 3},
            "Seconds": {"phantom": 4.21, "SFT": 312.5, "GRPO, direct": 1204.0, "evaluation": 88.12},
        },
    }


def draw_films(root: Path, count: int) -> None:
    """Writes noise images ``0.png`` and on."""
    noise = np.random.default_rng(7)
    for k in range(count):
        pixels = np.clip(noise.normal(90, 30, (96, 80)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((160, 192)).save(root / f"{k}.png")


def _example(patient: int, k: int, task: str, hostile: str, films: int) -> Example:
    hostile = _encodable(hostile)
    box = Box(xyxy=(0.12, 0.5, 0.45, 0.85), label="right pleural effusion" + hostile)
    return Example(
        id=f"p{patient}-{k}{hostile}",
        task=task,
        question={"report": "Write the findings.", "grounding": "Where is the effusion?"}.get(task, "Is it big?")
        + hostile,
        images=(f"{patient % films}.png",),
        reference=hostile + REPORT if task == "report" else "yes" + hostile,
        boxes=(box,) if task == "grounding" else (),
        choices=("yes" + hostile, "no") if task == "vqa_closed" else (),
        patient=f"p{patient}",
        source="phantom",
        meta={"type": ("size" + hostile) if "vqa" in task else ""},
    )


def _encodable(text: str) -> str:
    """Returns the text without lone surrogates, which an Example and a Box refuse themselves."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _answer(example: Example, skill: float, draw: random.Random, hostile: str) -> Answer:
    thinking = "The costophrenic angle is blunted on the right." + hostile if draw.random() < 0.5 else None
    if example.task == "report":
        return Answer((REPORT if draw.random() < skill else OTHER) + hostile, thinking)
    if example.task == "grounding":
        slip = (1 - skill) * draw.uniform(0, 0.3)
        box = Box(
            xyxy=(0.12 + slip, 0.5 + slip / 2, 0.45 + slip, 0.85 + slip / 2),
            label="effusion" + _encodable(hostile),
        )
        return Answer("effusion [0.1, 0.2, 0.3, 0.4]" + hostile, thinking, boxes=(box,))
    right = draw.random() < skill
    choice = (0 if right else 1) if example.choices else None
    return Answer(("yes" if right else "no") + hostile, thinking, choice=choice, well_formed=draw.random() < 0.7)


def _sft(draw: random.Random) -> list[dict]:
    logs = [
        {"step": s, "loss": 3 * math.exp(-s / 40) + 0.4 + draw.gauss(0, 0.05), "epoch": s / 50} for s in range(1, 150)
    ]
    return [*logs, {"step": 149, "train_runtime": 312.5, "train_loss": 0.9}]


def _grpo(draw: random.Random) -> list[dict]:
    def rising(s: int, top: float) -> float:
        return top - 0.3 * math.exp(-s / 30) + draw.gauss(0, 0.05)

    return [
        {
            "step": s,
            "loss": draw.gauss(0, 0.01),
            "reward": rising(s, 0.8) + rising(s, 0.9),
            "rewards/report/finding_f1/mean": rising(s, 0.75),
            "rewards/report/format/mean": rising(s, 1.0),
            "rewards/grounding/soft_f1/mean": rising(s, 0.6) if s % 3 else math.nan,
            "rewards/report/format/std": 0.1,
            "completions/mean_length": 60 + 10 * rising(s, 1.0),
            "frac_reward_zero_std": abs(draw.gauss(0.2, 0.1)),
        }
        for s in range(1, 101)
    ]

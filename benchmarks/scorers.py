"""How long do the CPU scorers take for a rollout of 8 x 64 report completions?

    python benchmarks/scorers.py [--reports FILE] [--repeats 7] [--workers 0] [--new]

64 references of about 60 words and 8 completions of each: the reference with sentences left out and others put in,
as a policy in training writes them. They are made from a JSONL of {"id", "text"} (``--reports``, say the references of
a published test set), else from the phantom's reports. So the texts are new and their sentences mostly are not, as a
trained policy's are: the reports were read before, as an epoch reads its references. ``--new`` gives each sentence a
number of its own, so that none was read before. Prints the median and the least time of a rollout the scorers have
not seen, in all and for each scorer alone; the CPU's time also holds on a machine that does other things.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from radrl.clinical import extract
from radrl.data import phantom
from radrl.example import Example
from radrl.prompt.messages import PromptStyle
from radrl.recipe.sections import Reward
from radrl.scoring import registry
from radrl.scoring.completions import Completion
from radrl.scoring.reward_terms import RewardTerm
from radrl.scoring.rewards import Rewards
from radrl.support.texts import read_texts

NAMES = ("finding_f1", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "google_bleu", "rouge_l_coco", "cider", "format",
         "length", "repetition", "soft_overlong", "ecr")  # fmt: skip
WORDS = 60


def reports(path: Path | None) -> list[list[str]]:
    """Returns reports as lists of sentences."""
    if path:
        texts = list(read_texts(path).values())
    else:
        films = (phantom.make(0, i, 64) for i in range(400))
        asked = [e for i, film in enumerate(films) for e in phantom.examples(film, f"p{i}", "p.png", (0, i), "gold")]
        texts = [example.reference for example in asked if example.task == "report"]
    return [[s for s in re.split(r"(?<=\.)\s+", text) if s] for text in texts]


def rollout(rng: random.Random, sentences: Sequence[str], groups: int = 64, size: int = 8) -> tuple[list, list]:
    """Returns completions and their Examples, group by group."""

    def text() -> list[str]:
        said: list[str] = []
        while sum(len(s.split()) for s in said) < WORDS:
            said.append(rng.choice(sentences))
        return said

    texts, examples = [], []
    for g in range(groups):
        reference = text()
        example = Example(id=str(g), task="report", question="Report?", reference=" ".join(reference))
        for _ in range(size):
            said = [s if rng.random() < 0.6 else rng.choice(sentences) for s in reference]
            texts.append(" ".join(said))
            examples.append(example)
    return texts, examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--new", action="store_true")
    options = parser.parse_args()
    every = reports(options.reports)
    sentences = [s for report in every for s in report]
    rng = random.Random(0)
    corpus = [Example(id=str(i), task="report", question="?", reference=" ".join(r)) for i, r in enumerate(every)]
    items = {n: RewardTerm("report", registry.get(n).fitted(corpus), None, Reward(scorer=n)) for n in NAMES}
    for report in every:
        extract.findings(" ".join(report))
    number = count()

    def new() -> list[tuple[list, list]]:
        made = [rollout(rng, sentences) for _ in range(options.repeats + 1)]
        if options.new:
            made = [([re.sub(r"(?<=\w)[.](?= |$)", lambda _: f" {next(number)}.", t) for t in a], e) for a, e in made]
        return made

    rollouts = new()
    texts = rollouts[0][0]
    words = statistics.mean(len(t.split()) for t in texts)
    print(f"{len(texts)} completions, {words:.0f} words each, {len(set(texts))} different")
    lexical = tuple(name for name in NAMES if name != "finding_f1")
    for names in (NAMES, lexical, *((name,) for name in NAMES)):
        rewards = Rewards([items[name] for name in names], PromptStyle(), options.workers)
        taken, cpu = [], []
        for texts, examples in rollouts:
            begin, used = time.perf_counter(), time.process_time()
            rewards.compute([Completion(*both, 100) for both in zip(texts, examples, strict=True)])
            taken.append(1000 * (time.perf_counter() - begin))
            cpu.append(1000 * (time.process_time() - used))
        said = {NAMES: "all together", lexical: "without finding"}.get(names, names[0])
        median, least = statistics.median(taken[1:]), min(taken[1:])
        print(f"{said:<16}median {median:7.1f} ms   least {least:7.1f} ms   least of the CPU {min(cpu[1:]):7.1f} ms")
        rollouts = new()


if __name__ == "__main__":
    main()

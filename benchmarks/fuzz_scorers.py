"""Do all CPU scorers give a finite value in their range for any text, in time?

    python benchmarks/fuzz_scorers.py [--texts 200000] [--processes 2] [--seed 0]

Texts of 0 to 100,000 characters (95% below 300, 4.5% below 5,000, the others up to the end): random Unicode with
half surrogates, report words, nested brackets, huge numbers, tags, one piece many times over. Each is scored by every
CPU scorer on one of its tasks, against references drawn in the same way, as an Answer made of the whole text or as
`radrl.answers.parsing.parse` reads it. Prints the number of scores and each scorer's slowest call on one text above
5,000 characters, and fails on an exception or a value outside the declared range (the registry raises).
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import get_args

import radrl.scoring  # noqa: F401
from radrl.answers.parsing import parse
from radrl.example import Answer, Box, Example, Task
from radrl.prompt.messages import PromptStyle
from radrl.scoring import registry

WORDS = """no effusion left right small pneumothorax opacity heart is enlarged there are lungs clear of and or cannot be
excluded resolved XXXX ___ FINDINGS: IMPRESSION: yes not . , ; ( [ { ) ] } <think> </think> ||| 1e308 -0 NaN inf 1.2.3.4
9999999999999999999999999 İ ß ﬁ é"""
PIECES = [
    *WORDS.split(),
    *["The answer is B.", "A) ", "\n", " \n\n\t", "[0.1, 0.2, 0.3, 0.4]", "\u200b", "\ud800", "\u017f"],
]
LABELS = ("Atelectasis", "Edema", "Pleural Effusion", "Pneumothorax", "the heart")
LONGEST, LONG, BATCH = 100_000, 5_000, 50


def text(rng: random.Random) -> str:
    """Returns a random text."""
    share = rng.random()
    size = rng.randint(0, 300 if share < 0.95 else 5_000 if share < 0.995 else LONGEST)
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(map(chr, rng.choices(range(0x110000), k=size)))
    if kind == 1:
        return "".join(map(chr, rng.choices(range(128), k=size)))
    if kind == 2:
        piece = rng.choice(PIECES) + rng.choice(["", " ", "\n"])
        return (piece * (size // max(len(piece), 1)))[:size]
    if kind == 3:
        return ("[(" * size)[: size // 2] + "9" * (size - size // 2)
    return rng.choice(["", " "]).join(rng.choices(PIECES, k=max(size // 5, 1)))[:size]


def example(rng: random.Random, task: str, reference: str) -> Example:
    """Returns an Example of a task with that reference."""
    choices = ("effusion", "no effusion", "the heart") if task == "vqa_closed" else ()
    boxes = (Box(xyxy=(0, 0, 0.5, 1), label="lung"), Box(xyxy=(0.2, 0, 1, 1e-9))) if task == "grounding" else ()
    named = rng.sample(LABELS, rng.randint(0, 3)) if task == "classification" else []
    if choices or task == "classification":
        reference = "no effusion" if choices else ", ".join(named) or "No finding"
    reference = reference.encode(errors="replace").decode()
    label_set = LABELS if task == "classification" else ()
    return Example(
        id="a", task=task, question="?", reference=reference, choices=choices, boxes=boxes,
        labels=tuple(named), label_set=label_set,
    )  # fmt: skip


def answer(rng: random.Random, said: str, one: Example) -> Answer:
    """Returns a text as it is, or as `parse` reads it."""
    if rng.random() < 0.5:
        return parse(said, one, PromptStyle(rng.choice(["unit", "thousand"]), rng.random() < 0.5))
    return Answer(said, rng.choice([None, said[:50]]), choice=rng.choice([None, 1]), tokens=len(said))


def run(seed: int, count: int) -> tuple[int, dict[str, tuple[float, int]]]:
    """Returns how many scores were made, and each scorer's slowest call on one text, in seconds of
    the CPU, with its length."""
    rng = random.Random(seed)
    scorers = [s for s in map(registry.get, registry.names()) if s.kind == "cpu" and s.name != "meteor"]
    slowest: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    made = 0
    references = [text(rng) for _ in range(200)] + ["Small left effusion. No pneumothorax."] * 50
    corpus = [example(rng, "report", reference) for reference in references]
    scorers = [scorer.fitted(corpus) for scorer in scorers]
    asked = {task: [example(rng, task, r) for r in references] for task in get_args(Task)}
    texts = [text(rng) for _ in range(count)]
    long = [[one] for one in texts if len(one) > LONG]  # scored alone, with a clock
    short = [one for one in texts if len(one) <= LONG]
    for batch in [*long, *(short[k : k + BATCH] for k in range(0, len(short), BATCH))]:
        for scorer in scorers:
            examples = [asked[rng.choice(scorer.tasks)][rng.randrange(len(references))] for _ in batch]
            answers = [answer(rng, said, one) for said, one in zip(batch, examples, strict=True)]
            begin = time.process_time()
            scores = scorer(examples, answers)  # raises outside the range
            if len(batch) == 1:
                slowest[scorer.name] = max(slowest[scorer.name], (time.process_time() - begin, len(batch[0])))
            for score in scores:
                assert score is None or all(map(math.isfinite, (score.value, *score.parts.values()))), scorer.name
            made += len(scores)
    return made, dict(slowest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    parts = 100
    begin, made, slowest = time.perf_counter(), 0, {}
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        seeds = [options.seed * parts + k for k in range(parts)]
        for count, slow in pool.map(run, seeds, [max(options.texts // parts, 1)] * parts):
            made += count
            slowest |= {name: max(slow[name], slowest.get(name, (0.0, 0))) for name in slow}
    for name, (seconds, length) in sorted(slowest.items(), key=lambda item: -item[1][0]):
        print(f"{name:<24}slowest {1000 * seconds:8.1f} ms on {length:>7,} characters")
    print(f"{options.texts:,} texts, {made:,} scores, all finite and in range; {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

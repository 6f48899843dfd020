"""The words: the report of a reading, and the trace of observations that leads to an answer.

The phrasings are data, in phrases.yaml beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from radrl.data.phantom.findings import DEVICES
from radrl.data.phantom.reader import Reading
from radrl.example import Finding

LEAST_WORDS, MOST_WORDS = 20, 55
_LUNG = ("consolidation", "atelectasis", "nodule", "mass", "edema")  # with none of these the lungs are clear
_PLEURA = ("pleural effusion", "pneumothorax")
_SLOT_STATES = {"severity": "severity", "adverb": "severity", "side": "side", "at": "side region", "in": "side region"}


@cache
def phrases() -> dict[str, Any]:
    """Returns the phrasings of phrases.yaml."""
    text = files("radrl.data.phantom").joinpath("phrases.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Returns one of the options."""
    return options[int(rng.integers(len(options)))]


def report(reading: Reading, rng: np.random.Generator) -> tuple[str, tuple[Finding, ...]]:
    """Returns a report, and the findings as its text states them.

    A systematic read: heart, lungs, pleura and devices are each spoken of, in this order. Every finding seen is
    stated; where a system has none, a sentence says so. 20-55 words.
    """
    text = phrases()
    stated = [_state(finding, finding.name in reading.doubted, rng) for finding in reading.seen]
    said = {finding.name: sentence for sentence, finding in stated}

    sentences = [said.get("cardiomegaly") or pick(rng, text["heart_normal"])]
    sentences += [said[name] for name in said if name in _LUNG] or [pick(rng, text["lungs_clear"])]
    sentences += [said[name] for name in said if name in _PLEURA]
    sentences += _absent([name for name in _PLEURA if name not in said], rng)
    sentences += [said[name] for name in said if name in DEVICES] or [pick(rng, text["devices_none"])]

    spare = [pick(rng, text["other_normal"])]
    if not said:
        spare.insert(0, pick(rng, text["impression"]["normal"]))
    elif len(said) < 3 and rng.random() < 0.35 and (ending := _summary([f for _, f in stated], rng)):
        spare.insert(0, ending)
    for sentence in spare:
        short = _words(sentences) < LEAST_WORDS
        if short or (rng.random() < 0.5 and _words([*sentences, sentence]) <= MOST_WORDS):
            sentences.append(sentence)
    others = [line for line in text["other_normal"] if line not in sentences]
    while _words(sentences) < LEAST_WORDS:
        sentences.append(others.pop(int(rng.integers(len(others)))))
    return " ".join(sentences), tuple(finding for _, finding in stated)


def _words(sentences: Sequence[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def _state(finding: Finding, doubted: bool, rng: np.random.Generator) -> tuple[str, Finding]:
    """Returns the sentence for a finding, and the finding with only what the sentence states."""
    forms = phrases()["present"][finding.name]
    many = len(finding.boxes) > 1
    kind = "one"
    if many and "many" in forms:
        kind = "many"
    elif finding.name == "pneumothorax" and finding.region == "upper":
        kind = "apical"
    if doubted:
        kind = "many_maybe" if many and "many_maybe" in forms else "maybe"
    template = pick(rng, forms[kind])
    words = _slots(finding, rng)
    states: set[str] = set()
    for slot in re.findall(r"{(\w+)}", template):
        if words[slot.lower()]:
            states.update(_SLOT_STATES[slot.lower()].split())
    # Words that state by themselves.
    states.update(
        field
        for field, word in (("side", "ilateral"), ("side", "bibasilar"), ("side", "both "), ("region", "apical"))
        if word in template
    )
    if kind == "apical" or "bibasilar" in template or "both bases" in template:
        states.add("region")
    update: dict[str, str | None] = {field: None for field in ("side", "region", "severity") if field not in states}
    update["presence"] = "uncertain" if doubted else "present"
    return fill(template, words), finding.model_copy(update=update)


def _slots(finding: Finding, rng: np.random.Generator) -> dict[str, str]:
    """Returns the word for every slot a sentence about the finding may have."""
    text = phrases()
    grades = text["grades"].get(finding.name, text["grades"]["default"])
    words = {"severity": "", "adverb": "", "side": finding.side or "", "at": finding.side or "", "in": ""}
    if finding.severity:
        words["severity"] = pick(rng, grades[finding.severity])
        words["adverb"] = pick(rng, text["adverbs"][finding.severity])
    if finding.side:
        if finding.region:
            words["at"] = pick(rng, text["places"]["at"][finding.side][finding.region])
            words["in"] = pick(rng, text["places"]["in"][finding.side][finding.region])
        else:
            words["in"] = "in both lungs" if finding.side == "bilateral" else f"in the {finding.side} lung"
    return words


def fill(template: str, words: dict[str, str]) -> str:
    """Fills a template, drops what empty slots leave behind, and starts it with a capital letter."""
    text = re.sub(r"{(\w+)}", lambda slot: words[slot[1].lower()], template)
    text = re.sub(r"\s+([.,])", r"\1", re.sub(r" {2,}", " ", text)).strip().replace(",.", ".")
    return text[0].upper() + text[1:]


def _absent(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Returns a sentence that names these findings as absent, in either order; none for none."""
    if not names:
        return []
    words = [pick(rng, phrases()["absent_names"].get(name, [name])) for name in names]
    words = [words[i] for i in rng.permutation(len(words))]
    template = pick(rng, phrases()["absent"][("one", "two")[len(words) - 1]])
    return [fill(template, dict(zip("ab", words, strict=False)))]


def _summary(findings: Sequence[Finding], rng: np.random.Generator) -> str | None:
    """Returns a closing line that repeats the findings, or None where there is a doubted or plural one."""
    if any(f.presence == "uncertain" or len(f.boxes) > 1 or f.name in DEVICES for f in findings):
        return None
    names = [f"{f.side or ''} {f.name}".strip() for f in findings]
    return fill(pick(rng, phrases()["impression"]["findings"]), {"list": " and ".join(names)})


def observe(finding: Finding, rng: np.random.Generator) -> str:
    """Returns what of a finding meets the eye, in up to seven words."""
    text = phrases()
    both = finding.side == "bilateral"
    side = "both" if both else finding.side or ""
    zone = f"{side} {finding.region} zone".replace("middle", "mid") if finding.region else f"{side} lung"
    words = {"side": side, "zone": f"{zone}s" if both else zone}
    words["grade"] = text["grade_words"].get(finding.severity, "")
    seen = fill(pick(rng, text["observe"][finding.name]), words)
    return (seen[0].lower() + seen[1:]).replace("both base", "both bases").replace("both angle ", "both angles ")


def observe_absent(name: str, rng: np.random.Generator) -> str:
    """Returns what is seen where the finding is not."""
    return pick(rng, phrases()["observe_absent"][name])


def trace(observations: Sequence[str], answer: str = "", most: int = 25) -> str:
    """Returns observations as one line of at most ``most`` words that ends on the answer."""
    kept: list[str] = []
    budget = most - len(answer.split()) - 1
    for seen in observations:
        if sum(len(line.split()) for line in [*kept, seen]) <= budget:
            kept.append(seen)
    return " ".join(f"{line}." for line in (*kept, *((f"so {answer}",) if answer else ())))


def report_trace(reading: Reading, rng: np.random.Generator) -> str:
    """Returns the trace of a whole read: heart, lungs, angles, then lines."""
    parts = phrases()["observe_parts"]
    seen = {finding.name: observe(finding, rng) for finding in reading.seen}
    lines: list[str] = [seen.get("cardiomegaly") or parts["heart"]]
    lines += [seen[name] for name in seen if name in _LUNG] or [parts["lungs"]]
    lines += [seen[name] for name in seen if name in _PLEURA] or [parts["angles"]]
    lines += [seen[name] for name in seen if name in DEVICES]
    return trace(lines)

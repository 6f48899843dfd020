"""The questions about a film: a report, two to ground, two closed and one open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from radrl.data.phantom.film import Phantom
from radrl.data.phantom.findings import DEVICES, NAMES, SEVERITIES
from radrl.data.phantom.language import (
    observe,
    observe_absent,
    phrases,
    pick,
    report,
    report_trace,
    trace,
)
from radrl.data.phantom.reader import Quality, Reading, read
from radrl.example import Box, Example, Finding

# How much more often a finding is asked after where it is present than where it is absent, so that over a data set
# "yes" is right about half the time for each of them. Fitted to the frequencies of findings.py.
PRESENCE_WEIGHT = {
    "cardiomegaly": 4.0,
    "pleural effusion": 3.4,
    "pneumothorax": 18.7,
    "consolidation": 3.6,
    "atelectasis": 18.6,
    "nodule": 22.6,
    "mass": 18.0,
    "edema": 20.1,
    "endotracheal tube": 12.3,
    "central venous catheter": 10.3,
    "pacemaker": 10.2,
}
_LOCATED = ("consolidation", "nodule", "mass")


def examples(
    phantom: Phantom, id: str, image_path: str, seed: int | Sequence[int], quality: Quality = "gold"
) -> list[Example]:
    """Returns the six questions about a phantom, with answers, boxes and traces as a reader of that quality gives.

    ``id`` is the patient's, ``image_path`` goes into the Examples. ``Example.findings`` is
    what the report states, and for the other questions what the reader saw.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    reading = read(phantom.findings, phantom.anatomy, quality, rng)
    asked = [("report", *_report(reading, rng))]
    asked += [(f"ground-{i}", *_ground(phantom.anatomy, reading, rng, first=i == 1)) for i in (1, 2)]
    asked += [("yesno", *_yes_no(reading, rng)), ("choice", *_choice(reading, rng)), ("open", *_open(reading, rng))]
    common = {"quality": quality, "view": phantom.view, "sex": phantom.sex, "age": phantom.age}
    return [
        Example(
            id=f"{id}/{name}",
            images=(image_path,),
            patient=id,
            source="phantom",
            meta={"type": kind, **common},
            **{"findings": reading.seen, **fields},
        )
        for name, kind, fields in asked
    ]


_Asked = tuple[str, dict[str, Any]]


def _report(reading: Reading, rng: np.random.Generator) -> _Asked:
    text, stated = report(reading, rng)
    fields = {"reference": text, "findings": stated, "thinking": report_trace(reading, rng)}
    return "report", {"task": "report", "question": pick(rng, phrases()["report_questions"]), **fields}


def _ground(anatomy: Sequence[Box], reading: Reading, rng: np.random.Generator, first: bool) -> _Asked:
    """The first question is after a finding where there is one, the second after anatomy about as often."""
    text = phrases()["grounding"]
    u = rng.random()
    if u < 0.10:
        name = pick(rng, [name for name in NAMES if name not in reading.names])
        sentence = pick(rng, text["absent"]).format(name=name)
        fields = {"reference": sentence, "thinking": trace([observe_absent(name, rng)], "nothing to box")}
        return f"absent:{name}", {
            "task": "grounding",
            "question": pick(rng, text["finding"]).format(name=name),
            **fields,
        }
    if reading.seen and u < (0.95 if first else 0.55):
        finding = reading.seen[int(rng.integers(len(reading.seen)))]
        fields = {"reference": finding.name, "boxes": finding.boxes}
        fields["thinking"] = trace([observe(finding, rng)], _count(finding.boxes))
        question = pick(rng, text["finding"]).format(name=finding.name)
        return f"finding:{finding.name}", {"task": "grounding", "question": question, **fields}
    name = pick(rng, ("right lung", "left lung", "heart", "lungs"))
    parts = phrases()["observe_parts"]
    if name == "lungs":
        boxes = tuple(box.model_copy(update={"label": "lungs"}) for box in anatomy if box.label.endswith("lung"))
        question, seen = pick(rng, text["lungs"]), parts["both"]
    else:
        boxes = tuple(box for box in anatomy if box.label == name)
        question, seen = pick(rng, text["anatomy"]).format(name=name), parts["heart box" if name == "heart" else name]
    fields = {"reference": name, "boxes": boxes, "thinking": trace([seen], _count(boxes))}
    return "anatomy", {"task": "grounding", "question": question, **fields}


def _count(boxes: Sequence[Box]) -> str:
    return f"{('one', 'two', 'three', 'four')[len(boxes) - 1]} box{'es' if len(boxes) > 1 else ''}"


def _closed(kind: str, question: str, reference: str, choices: Sequence[str], seen: Sequence[str]) -> _Asked:
    fields = {"reference": reference, "choices": tuple(choices), "thinking": trace(seen, reference)}
    return kind, {"task": "vqa_closed", "question": question, **fields}


def _yes_no(reading: Reading, rng: np.random.Generator) -> _Asked:
    """Yes or no: is a finding there, or (at times) is the film normal."""
    text = phrases()["closed"]
    if rng.random() < (0.07 if reading.seen else 0.25):
        seen = [observe(f, rng) for f in reading.seen] or _normal_chest()
        return _closed(
            "abnormality", pick(rng, text["abnormality"]), "no" if reading.seen else "yes", ("yes", "no"), seen
        )
    weights = np.array([PRESENCE_WEIGHT[name] if name in reading.names else 1.0 for name in NAMES])
    name = NAMES[rng.choice(len(NAMES), p=weights / weights.sum())]
    question = pick(rng, text["presence"]).format(article_name=_with_article(name))
    found = [finding for finding in reading.seen if finding.name == name]
    seen = [observe(found[0], rng) if found else observe_absent(name, rng)]
    return _closed(f"presence:{name}", question, "yes" if found else "no", ("yes", "no"), seen)


def _normal_chest() -> list[str]:
    return [phrases()["observe_parts"][part] for part in ("heart", "lungs", "angles")]


def _with_article(name: str) -> str:
    return f"{phrases()['articles'].get(name, '')} {name}".strip()


def _shuffled(rng: np.random.Generator, options: Sequence[str]) -> list[str]:
    return [options[int(i)] for i in rng.permutation(len(options))]


def _choice(reading: Reading, rng: np.random.Generator) -> _Asked:
    """Multiple choice; the options stand in random order."""
    text = phrases()["closed"]
    kinds = ["finding"]
    heart = 0.45 if "cardiomegaly" in reading.names else 0.03 if reading.seen else 0.35
    if rng.random() < heart:
        kinds = ["heart"]
    elif rng.random() < 0.60:
        kinds = _about(reading) or ["finding"]
    kind = pick(rng, kinds)
    if kind == "heart":
        grade = next((f.severity for f in reading.seen if f.name == "cardiomegaly"), None)
        words = {None: "normal", **{s: f"{phrases()['adverbs'][s][0]} enlarged" for s in SEVERITIES}}
        seen = [observe(f, rng) for f in reading.seen if f.name == "cardiomegaly"]
        seen = seen or [observe_absent("cardiomegaly", rng)]
        return _closed(kind, pick(rng, text[kind]), words[grade], _shuffled(rng, list(words.values())), seen)
    if kind == "finding":
        return _which(reading, rng)
    finding = _subject(reading, kind, rng)
    options = {"side": ("left", "right", "both"), "severity": SEVERITIES, "region": ("upper", "middle", "lower")}[kind]
    question = pick(rng, text[kind]).format(name=finding.name)
    return _closed(kind, question, _value(finding, kind), _shuffled(rng, options), [observe(finding, rng)])


def _which(reading: Reading, rng: np.random.Generator) -> _Asked:
    """Which of four findings is seen; 'none of these' is right on a normal film and a wrong option on some others."""
    none = phrases()["none_of_these"]
    absent = _shuffled(rng, [name for name in NAMES if name not in reading.names])
    if reading.seen:
        finding = reading.seen[int(rng.integers(len(reading.seen)))]
        right, seen = finding.name, [observe(finding, rng)]
        wrong = [*absent[:2], none] if rng.random() < 0.4 else absent[:3]
    else:
        right, wrong = none, absent[:3]
        seen = [observe_absent(name, rng) for name in wrong]
    question = pick(rng, phrases()["closed"]["finding"])
    return _closed("finding", question, right, _shuffled(rng, [right, *wrong]), seen)


def _about(reading: Reading) -> list[str]:
    """Returns the kinds of question that a finding of the reading can answer."""
    return [kind for kind in ("side", "severity", "region") if _subjects(reading, kind)]


def _subjects(reading: Reading, kind: str) -> list[Finding]:
    if kind == "side":
        return [f for f in reading.seen if f.side and f.name != "edema"]
    if kind == "region":
        return [f for f in reading.seen if f.region and f.name in _LOCATED]
    return [f for f in reading.seen if f.severity and f.name not in ("nodule", "mass")]


def _subject(reading: Reading, kind: str, rng: np.random.Generator) -> Finding:
    options = _subjects(reading, kind)
    return options[int(rng.integers(len(options)))]


def _value(finding: Finding, kind: str) -> str:
    value = getattr(finding, kind)
    return "both" if value == "bilateral" else value


def _open(reading: Reading, rng: np.random.Generator) -> _Asked:
    """A short answer of one to three words; 'none' where there is nothing to name."""
    none = phrases()["none"]
    devices = [f for f in reading.seen if f.name in DEVICES]
    kinds = _about(reading)
    if len(devices) == 1 or (not devices and reading.seen and rng.random() < 0.10):
        kinds.append("device")
    main = _main(reading)
    if main:
        kinds.append("main")
    if not reading.seen:
        kinds = ["device" if rng.random() < 0.2 else "main"]
    kind = pick(rng, kinds or ["main"])
    template = pick(rng, phrases()["open"][kind])
    if kind == "device":
        subject, answer = (devices[0], devices[0].name) if devices else (None, none)
        seen = [observe(subject, rng)] if subject else [observe_absent(name, rng) for name in DEVICES]
    elif kind == "main":
        subject, answer = (main, main.name) if main else (None, none)
        seen = [observe(subject, rng)] if subject else _normal_chest()
    else:
        subject = _subject(reading, kind, rng)
        answer, seen = _value(subject, kind), [observe(subject, rng)]
    question = template.format(name=subject.name if subject else "")
    return kind, {"task": "vqa_open", "question": question, "reference": answer, "thinking": trace(seen, answer)}


def _main(reading: Reading) -> Finding | None:
    """Returns the finding that is more severe than every other, if there is one; devices count only by themselves."""
    ill = [f for f in reading.seen if f.severity]
    if not ill:
        return reading.seen[0] if len(reading.seen) == 1 else None
    ranked = sorted(ill, key=lambda f: SEVERITIES.index(f.severity))
    if len(ranked) > 1 and ranked[-1].severity == ranked[-2].severity:
        return None
    return ranked[-1]

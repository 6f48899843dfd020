"""The phantom: the same everywhere, boxes where the findings are, and texts that say what was seen."""

from __future__ import annotations

import errno
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from radrl.data.phantom import NAMES, Phantom, examples, make, plan, write
from radrl.data.phantom.draw import draw
from radrl.errors import UserError
from radrl.example import Box, Example, Finding
from radrl.manifest.jsonl import read_manifest

WORDS = {
    "cardiomegaly": r"cardiomegaly|(?<!not )enlarged",
    "pleural effusion": r"effusions?",
    "edema": r"edema",
    "central venous catheter": r"central venous catheter|central line",
    "nodule": r"nodules?",
    "consolidation": r"consolidation|airspace opacity",
}
LUNGS = tuple(
    Box(xyxy=xyxy, label=label)
    for xyxy, label in (
        ((0.1, 0.1, 0.45, 0.8), "right lung"),
        ((0.55, 0.1, 0.9, 0.8), "left lung"),
        ((0.4, 0.5, 0.7, 0.8), "heart"),
    )
)


@cache
def undrawn(index: int) -> Phantom:
    """A phantom without its film: what the texts need, fast."""
    patient, plans = plan(0, index)
    findings = []
    for p in plans:
        boxes = tuple(Box(xyxy=(0.2, 0.2, 0.4, 0.4), label=p.name) for _ in p.parts)
        findings.append(Finding(name=p.name, side=p.side, region=p.region, severity=p.severity, boxes=boxes))
    return Phantom(np.zeros((1, 1)), tuple(findings), LUNGS, patient.sex, patient.age, patient.view)


@cache
def asked(quality: str) -> list[list[Example]]:
    return [examples(undrawn(i), f"p{i}", "p.png", (0, i), quality) for i in range(2000)]


def test_a_seed_and_index_fix_the_film():
    first, again, other = make(3, 5), make(3, 5), make(3, 6)
    assert first.image.shape == (192, 192)
    assert first.image.dtype == np.uint8
    assert first.image.tobytes() == again.image.tobytes()
    assert first.findings == again.findings
    assert first.image.tobytes() != other.image.tobytes()
    assert make(4, 5).image.tobytes() != first.image.tobytes()


def test_workers_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("radrl.data.phantom.dataset._CHUNK", 3)
    for workers in (1, 2):
        write(tmp_path / str(workers), {"train": 8, "test": 3}, size=64, silver={"train": 0.5}, workers=workers)
    one, two = (
        {str(p.relative_to(tmp_path / w)): p.read_bytes() for p in sorted((tmp_path / w).rglob("*")) if p.is_file()}
        for w in ("1", "2")
    )
    assert one == two
    assert len(one) == 8 + 3 + 2 + 1


def test_a_box_holds_what_its_finding_changes():
    """Draws films with and without a finding: the difference lies in the boxes, and fills them."""
    left = dict.fromkeys(NAMES, 4)
    index = 0
    while any(left.values()):
        patient, plans = plan(1, index)
        index += 1
        for i, one in enumerate(plans):
            if not left[one.name]:
                continue
            left[one.name] -= 1
            film, boxes, _ = draw(patient, plans, 128)
            well = replace(patient, ctr=0.44) if one.name == "cardiomegaly" else patient
            without, _, _ = draw(well, plans[:i] + plans[i + 1 :], 128)
            change = np.abs(film.astype(float) - without)
            change[change < 6] = 0  # rounding and grain
            inside = np.zeros_like(change)
            for box in boxes[i]:
                x1, y1, x2, y2 = (round(128 * v) for v in box.xyxy)
                inside[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = 1
            share = (change * inside).sum() / change.sum()
            assert share > 0.85, (one, share)
            for box in boxes[i]:
                x1, y1, x2, y2 = (round(128 * v) for v in box.xyxy)
                rows, columns = np.nonzero(change[y1:y2, x1:x2])
                assert np.ptp(rows) > 0.6 * (y2 - y1) - 2, (one, box)
                assert np.ptp(columns) > 0.6 * (x2 - x1) - 2, (one, box)


def test_the_patients_right_is_the_images_left():
    found = 0
    for index in range(400):
        patient, plans = plan(2, index)
        for i, one in enumerate(plans):
            if one.name in ("pleural effusion", "pneumothorax", "mass") and one.side in ("left", "right"):
                found += 1
                box = draw(patient, plans, 64)[1][i][0].xyxy
                assert ((box[0] + box[2]) / 2 < 0.5) == (one.side == "right"), one
        if found >= 30:
            break
    anatomy = {box.label: box.xyxy for box in make(2, 0).anatomy}
    assert anatomy["right lung"][0] < anatomy["left lung"][0]


@pytest.mark.parametrize("quality", ["gold", "silver"])
def test_a_report_states_its_findings_and_no_others(quality):
    """Reads the positive and doubtful sentences back with plain patterns; a gold report leaves nothing out."""
    negative = re.compile(r"^(No |There is no |Negative for |The heart is not )")
    for index, (report, *_) in enumerate(asked(quality)):
        sentences = re.split(r"(?<=\.) ", report.reference)
        said = {}
        for sentence in sentences:
            if not negative.match(sentence) and not re.search("clear|normal|Impression|summary", sentence):
                for name in NAMES:
                    if re.search(WORDS.get(name, name), sentence, re.I):
                        said[name] = sentence
        stated = {finding.name: finding for finding in report.findings}
        assert set(said) == set(stated), report.reference
        for name, sentence in said.items():
            doubt = bool(re.search("possible|cannot", sentence, re.I))
            assert (stated[name].presence == "uncertain") == doubt, sentence
            side = stated[name].side
            assert (side == "left") == bool(re.search(r"\bleft\b", sentence, re.I)), sentence
            assert (side == "right") == bool(re.search(r"\bright\b", sentence, re.I)), sentence
        if quality == "gold":
            assert set(stated) == {finding.name for finding in undrawn(index).findings}
        absent = " ".join(sentence for sentence in sentences if negative.match(sentence))
        assert not any(re.search(WORDS.get(name, name), absent, re.I) for name in stated), report.reference


def test_reports_are_short_and_varied():
    reports = [question[0].reference for question in asked("gold")]
    words = [len(text.split()) for text in reports]
    assert min(words) >= 20
    assert max(words) <= 55
    assert len(set(reports)) > 0.95 * len(reports)
    everything = " ".join(
        " ".join((e.question, e.reference, e.thinking or "", *e.choices)) for group in asked("gold") for e in group
    )
    assert len(set(re.findall(r"[a-z]+", everything.lower()))) < 300
    assert not set("<>{}") & set(everything)
    assert all(len(e.thinking.split()) <= 25 for group in asked("gold") for e in group)


def test_a_hurried_reader_misses_the_mild():
    mild = Counter()
    for index, group in enumerate(asked("silver")):
        seen = {finding.name for finding in group[1].findings}
        for finding in undrawn(index).findings:
            if finding.severity:
                mild[finding.severity, finding.name in seen] += 1
    missed = {s: mild[s, False] / (mild[s, False] + mild[s, True]) for s in ("mild", "moderate", "severe")}
    assert missed == pytest.approx({"mild": 0.45, "moderate": 0.20, "severe": 0.05}, abs=0.05)


def test_no_answer_wins_by_habit():
    """Yes and no, and the place of the right option, are balanced."""
    answers: dict[str, Counter] = {}
    for group in asked("gold"):
        for e in group:
            if e.task == "vqa_closed":
                kind = f"place:{len(e.choices)}" if len(e.choices) > 2 else e.meta["type"]
                answer = e.choices.index(e.reference) if len(e.choices) > 2 else e.reference
                answers.setdefault(kind, Counter())[answer] += 1
    assert {f"presence:{name}" for name in NAMES} < set(answers)
    for kind, counts in answers.items():
        even = 1 / (int(kind[-1]) if kind.startswith("place") else 2)
        deviation = 3.5 * np.sqrt(even * (1 - even) / counts.total()) + 0.03
        assert max(counts.values()) / counts.total() < even + deviation, (kind, counts)


def test_prevalence():
    found = [{finding.name for finding in undrawn(i).findings} for i in range(2000)]
    share = {name: np.mean([name in names for names in found]) for name in NAMES}
    for name in ("cardiomegaly", "pleural effusion", "consolidation"):
        assert 0.18 < share[name] < 0.27, share
    for name in ("pneumothorax", "mass", "nodule", "atelectasis", "edema"):
        assert 0.06 < share[name] < 0.12, share
    for name in ("endotracheal tube", "central venous catheter", "pacemaker"):
        assert 0.09 < share[name] < 0.16, share
    assert 0.18 < np.mean([not names for names in found]) < 0.26
    assert max(map(len, found)) == 4


def test_a_finished_data_set_is_kept_and_another_replaces_it(tmp_path):
    counts = write(tmp_path / "a", {"train": 4, "val": 2}, size=64, workers=1)
    manifest = tmp_path / "a" / "train.jsonl"
    rows = read_manifest(manifest)
    assert counts == {"train": 24, "val": 12} == {"train": len(rows), "val": 12}
    assert Image.open(manifest.parent / rows[0].images[0]).size == (64, 64)
    before = manifest.stat().st_mtime_ns
    assert write(tmp_path / "a", {"train": 4, "val": 2}, size=64, workers=1) == counts
    assert manifest.stat().st_mtime_ns == before
    write(tmp_path / "a", {"train": 5}, size=64, workers=1)
    assert not (tmp_path / "a" / "val.jsonl").exists()
    assert read_manifest(manifest)[:24] == rows  # a split grows without changing what it had


def test_an_interrupted_data_set_does_not_look_finished(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a", {"train": 4}, size=64, progress=stop, workers=1)
    assert not list((tmp_path / "a").iterdir())


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match=r"^\S*full: .*No space left on device\)$"):
        write(tmp_path / "full", {"train": 2}, size=64, workers=1)


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="not a phantom data set"):
        write(tmp_path, {"train": 2}, size=64)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]

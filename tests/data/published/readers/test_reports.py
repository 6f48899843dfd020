"""Reports: which text is taken, which records are left out and why."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest
import sets

from radrl.data.published.prepare import prepare
from radrl.data.published.readers import reader
from radrl.data.published.readers._mimic_sections import sections
from radrl.data.published.record import Record, Skipped
from radrl.errors import UserError
from radrl.manifest.example_set import read_manifests


def read(name, root, **options):
    one = reader(name)
    return list(one.read(root, {key: o.values[0] for key, o in one.options.items()} | options))


def test_mimic_takes_sections_as_the_official_script_does(tmp_path):
    items = read("mimic_cxr", sets.write("mimic_cxr", tmp_path))
    records = {r.id: r for r in items if isinstance(r, Record)}
    first = records["s50414267/02aa804e-bde0afdd"]
    assert first.report["findings"] == (
        "There is no focal consolidation, pleural effusion or pneumothorax. Bilateral nodular opacities that most "
        "likely represent nipple shadows."
    )
    assert first.report["impression"] == "No acute cardiopulmonary process."
    assert (first.patient, first.study, first.split) == ("10000032", "50414267", "train")
    assert first.images == ("files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg",)
    # the heading CHEST, TWO VIEWS counts as findings, and is empty here
    second = records["s53189527/2a2277a9-b0ded155"]
    assert "findings" not in second.report
    assert second.report["impression"] == "AP chest compared to ___: Mild pulmonary edema is new."
    assert records["s57375967/68b5c4b1-227d0485"].split == "dev"
    assert records["s57375967/68b5c4b1-227d0485"].report.keys() == {"history", "last_paragraph"}
    assert records["s50525523/096052b7-d256dc40"].lacks["report"] == "a report that the official script sets apart"
    assert records["s55697293/4b4b4b4b-d256dc40"].lacks["report"] == "no report file"
    assert [r.id for r in items if isinstance(r, Skipped)] == [
        "s50414267/174413ec-4ec4c1f7", "s51178377/3a3a3a3a-d256dc40",
    ]  # fmt: skip


def test_mimic_by_study_and_the_first_section_there_is(tmp_path, prepared):
    root = sets.write("mimic_cxr", tmp_path)
    records = {r.id: r for r in read("mimic_cxr", root, unit="study", view="all")}
    assert [len(records[name].images) for name in ("s50414267", "s53189527")] == [2, 1]
    assert records["s57375967"].report["last_paragraph"].startswith("Comparison is made")
    first = "findings-then-impression-then-last-paragraph"  # as RadVLM and the official script have it
    prepared("mimic_cxr", root, tmp_path / "out", ("report",), section=first)
    said = {e.study: e.reference[:20] for e in read_manifests(sorted((tmp_path / "out").glob("t*.jsonl")))}
    said |= {e.study: e.reference[:20] for e in read_manifests([tmp_path / "out/dev.jsonl"])}
    assert said["50414267"] == "There is no focal co"  # findings
    assert said["53189527"] == "AP chest compared to"  # impression
    assert said["57375967"] == "Comparison is made w"  # neither: the last paragraph


def test_a_study_without_labels_says_so_when_labels_are_asked_for(tmp_path, prepared):
    root = sets.write("mimic_cxr", tmp_path / "in")
    table = next(root.glob("mimic-cxr-2.0.0-chexpert.csv*"))
    raw = table.read_bytes()
    rows = (gzip.decompress(raw) if table.suffix == ".gz" else raw).decode().splitlines()
    blank = [rows[0], *(",".join([*row.split(",")[:2], *[""] * 14]) for row in rows[1:])]
    table.unlink()
    sets.csv(root / "mimic-cxr-2.0.0-chexpert.csv", *blank)
    with pytest.raises(UserError, match="no record gave an Example"):
        prepared("mimic_cxr", root, tmp_path / "out", ("list",))
    skipped = (tmp_path / "out/.parts/skipped.jsonl").read_text()
    assert "no label is set, not even No Finding" in skipped
    assert "the report lacks" not in skipped


def test_the_last_section_of_a_name_counts_and_misspelt_headings_are_known():
    text = " x\n FINDINGS: one\n more\n IMPRESSOIN: a\n FINDINDGS:  two\n ADDENDUM: b\n"
    assert sections(text) == {"preamble": "x", "findings": "two", "impression": "a", "addendum": "b"}
    assert sections("no heading\n \nbut two paragraphs") == {
        "full report": "no heading", "last_paragraph": "but two paragraphs",
    }  # fmt: skip


def test_chexpert_plus(tmp_path, prepared):
    root = sets.write("chexpert_plus", tmp_path / "in")
    summary = prepared("chexpert_plus", root, tmp_path / "out", ("report",))
    assert summary.examples == {"train": 1, "dev": 1}
    assert summary.skipped == {"the report lacks the section": 1, "a lateral view": 1}
    (line,) = (tmp_path / "out/train.jsonl").read_text().splitlines()
    example = json.loads(line)
    assert example["reference"] == "Low lung volumes. No effusion."
    assert (example["patient"], example["study"]) == ("patient00001", "patient00001/study1")
    both = prepared("chexpert_plus", root, tmp_path / "both", ("report",), section="both")
    assert both.examples == {"train": 1, "dev": 1}
    example = json.loads((tmp_path / "both/train.jsonl").read_text())
    assert example["reference"] == "Findings: Low lung volumes. No effusion.\nImpression: 1. No acute disease."
    impressions = prepared("chexpert_plus", root, tmp_path / "imp", ("report",), section="impression")
    assert impressions.examples == {"train": 2, "dev": 1}


def test_iu_reports_without_findings_or_images_are_counted(tmp_path, prepared):
    root = sets.write("iu_xray", tmp_path / "in")
    summary = prepared("iu_xray", root, tmp_path / "out", ("report",), shares={"train": 1.0})
    assert (summary.examples, summary.skipped) == ({"train": 1}, {"no image": 1, "the report lacks the section": 1})
    example = json.loads((tmp_path / "out/train.jsonl").read_text())
    assert example["reference"] == "Clear & dry."
    assert example["images"] == [f"images/NLMCXR_png/CXR1_IM-0001-{view}.png" for view in (1001, 2001)]
    assert [json.loads(line)["id"] for line in (tmp_path / "out/skipped.jsonl").open()] == ["CXR2", "CXR3"]


def test_the_published_iu_reports(shared_data, tmp_path, prepared):
    root = shared_data / "txv_nlmcxr_reports"
    items = read("iu_xray", root)
    assert len(items) == 3955
    records = [item for item in items if isinstance(item, Record)]
    assert Counter(i.why for i in items if isinstance(i, Skipped)) == {"no image": 104}
    assert sum(len(r.images) for r in records) == 7470
    assert sum("findings" in r.report for r in records) == 3337
    summary = prepared("iu_xray", root, tmp_path / "out", ("report",), images=False)
    assert sum(summary.examples.values()) == 3337
    assert summary.records == 3955


def test_r2gen(tmp_path, prepared):
    root = sets.write("r2gen", tmp_path / "in")
    summary = prepared("r2gen", root, tmp_path / "out", ("report",))
    assert (summary.examples, summary.skipped) == ({"train": 1, "dev": 1, "test": 1}, {"no report": 1})
    example = json.loads((tmp_path / "out/test.jsonl").read_text())
    assert (example["patient"], len(example["images"])) == ("CXR3030", 2)


def test_padchest(tmp_path):
    first, second, skipped, empty = read("padchest", sets.write("padchest", tmp_path))
    assert first.report["findings"] == "sin hallazgos patologicos edad paciente ."
    assert (first.labels, first.images) == ({}, ("0/2053_k6ga29.png",))
    assert second.labels == {"pulmonary fibrosis": "present", "chronic changes": "present"}
    assert second.images == ("0/1383_s7pr9s.png",)
    assert skipped.why == "a lateral or other view"
    assert (empty.report, empty.labels) == (None, None)
    assert prepare  # the others go through it

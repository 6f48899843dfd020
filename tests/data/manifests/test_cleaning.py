"""Reports without references to earlier studies: what goes, what stays, and that nothing is added."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import serve

from radrl.clinical.cleaning import clean, key
from radrl.clinical.extract import findings
from radrl.data.manifests.cleaning import clean_manifest, difference, judged
from radrl.manifest.jsonl import read_manifest
from radrl.output.page.cleaning import write_cleaning_page
from radrl.recipe.endpoints import Endpoint
from radrl.support.endpoint import Reply

CASES = {
    "Lungs are clear. No effusion.": "Lungs are clear. No effusion.",
    "Stable mild cardiomegaly. No new focal consolidation.": "Mild cardiomegaly. No focal consolidation.",
    "Compared to the prior study from ___, there is increased right pleural effusion. Heart size is unchanged.":
        "There is right pleural effusion.",
    "The right effusion has resolved. Left basilar atelectasis is again seen.": "Left basilar atelectasis.",
    "Comparison is made with prior radiograph from ___.": "",
    "Increased interstitial markings.": "Increased interstitial markings.",
    "Port-A-Cath terminates in the SVC, unchanged. The lungs are clear.":
        "Port-A-Cath terminates in the SVC. The lungs are clear.",
    "There is an unchanged small nodule in the right upper lobe.": "There is a small nodule in the right upper lobe.",
    "In comparison with the study of ___, there is little change and no evidence of pneumonia.":
        "No evidence of pneumonia.",
    "The heart is again mildly enlarged. Mediastinal contours are stable.": "The heart is mildly enlarged.",
}  # fmt: skip


@pytest.mark.parametrize(("report", "wanted"), CASES.items())
def test_what_is_left(report, wanted):
    cleaned = clean(report)
    assert cleaned.text == wanted
    assert bool(cleaned.removed) == (report != wanted)
    assert clean(wanted).text == wanted


def test_what_was_taken_out_is_where_it_says():
    report = "Stable mild cardiomegaly. The heart size is unchanged."
    assert [(report[a:b].strip(), why) for a, b, why in clean(report).removed] == [
        ("Stable", "a change"), ("The heart size is unchanged.", "nothing else is said"),
    ]  # fmt: skip


WORDS = """no new stable unchanged effusion right left pneumothorax has resolved increased compared to prior study from
___ the is are again seen consolidation . , and but with cardiomegaly mild severe heart lungs clear interval removal of
tube since there improved decreased edema or likely previous now"""
words = st.sampled_from(WORDS.split())


@settings(max_examples=150, deadline=None)
@given(st.lists(words, max_size=25).map(" ".join) | st.text(max_size=80))
def test_nothing_is_said_that_was_not_said(report):
    cleaned = clean(report)
    assert {key(f) for f in findings(cleaned.text)} <= {key(f) for f in findings(report)}
    assert all(0 <= r.start <= r.end <= len(report) for r in cleaned.removed)


def manifest(folder, *reports, **more):
    rows = [
        {"id": f"r{k}", "task": "report", "question": "q", "reference": report, **more}
        for k, report in enumerate(reports)
    ]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "m.jsonl"


def test_a_manifest_and_its_page(tmp_path, refusal):
    source = manifest(tmp_path, "Stable cardiomegaly.", "No effusion.", "Compared to prior.", "<b>Unchanged</b> edema.")
    counts, shown = clean_manifest(source, tmp_path / "c.jsonl")
    write_cleaning_page(tmp_path / "c.html", "m.jsonl", counts, shown)
    assert (counts.reports, counts.changed, counts.emptied) == (4, 3, 1)
    assert [e.reference for e in read_manifest(tmp_path / "c.jsonl")][:2] == ["Cardiomegaly.", "No effusion."]
    page = (tmp_path / "c.html").read_text()
    assert '<mark class="missed" title="a change">Stable</mark> cardiomegaly' in page
    assert "<b>" not in page
    assert "where the image paths hold" in refusal(clean_manifest, source, tmp_path / "x/c.jsonl")


def test_other_languages_and_tasks_pass(tmp_path):
    source = manifest(tmp_path, "Stable cardiomegaly.", meta={"language": "es"})
    assert clean_manifest(source, tmp_path / "c.jsonl")[0].passed == 1
    assert read_manifest(tmp_path / "c.jsonl") == read_manifest(source)


@pytest.mark.parametrize(
    ("reply", "cut", "text", "why"),
    [
        ("Cardiomegaly.", False, "Cardiomegaly.", ""),
        ("<think>hm</think>\n Cardiomegaly.", False, "Cardiomegaly.", ""),
        ("<think>Cardiomegaly.", False, None, "empty"),  # never closed
        ("NONE", False, "", ""),
        ("", False, None, "empty"),
        ("Cardiomegaly", True, None, "cut at max_tokens"),
        ("Cardiomegaly. Right effusion.", False, None, "says something of a finding that the report does not say"),
        ("Cardiomegaly. " * 9, False, None, "longer than the report"),
    ],
)
def test_a_reply_is_used_only_if_it_adds_nothing(reply, cut, text, why):
    assert judged(Reply(reply, cut), "Stable cardiomegaly since ___, as before.") == (text, why)


def test_the_words_that_a_model_took_out():
    report = "Stable mild cardiomegaly. No effusion."
    cleaned = difference(report, "Mild cardiomegaly. No effusion.")
    assert [report[r.start : r.end] for r in cleaned.removed] == ["Stable"]


def test_a_model_is_asked_once_and_what_it_gives_up_is_left_out(tmp_path):
    def answer(report, nth):
        return "Large left effusion." if "edema" in report else report.replace("Stable ", "")

    source = manifest(tmp_path, "Stable cardiomegaly.", "No edema.", "No effusion.")
    with serve(answer) as server:
        endpoint = Endpoint(url=server.url, model="m", attempts=2)
        counts, shown = clean_manifest(source, tmp_path / "c.jsonl", endpoint)
        first = len(server.bodies)
        clean_manifest(source, tmp_path / "c.jsonl", endpoint)
    write_cleaning_page(tmp_path / "c.html", "m.jsonl", counts, shown)
    assert [e.reference for e in read_manifest(tmp_path / "c.jsonl")] == ["cardiomegaly.", "No effusion."]
    assert list(counts.given_up) == ["r1"]
    assert (first, len(server.bodies)) == (4, 6)  # the one that was given up is asked again
    assert "does not say" in (tmp_path / "c.html").read_text()


def test_a_model_is_told_what_the_file_says_and_asked_anew_for_it(tmp_path, refusal):
    source = manifest(tmp_path, "Stable cardiomegaly. {report}")
    told = tmp_path / "cleaner.txt"
    told.write_text('Answer as {"text": ...}.\n\n{report}', encoding="utf-8")
    with serve(lambda report, nth: report.replace("Stable ", "")) as server:
        endpoint = Endpoint(url=server.url, model="m")
        for prompt in (None, told, told):
            clean_manifest(source, tmp_path / "c.jsonl", endpoint, prompt)
    said = [body["messages"][0]["content"][0]["text"] for body in server.bodies]
    assert len(said) == 2  # once for each prompt
    assert said[1] == 'Answer as {"text": ...}.\n\nStable cardiomegaly. {report}'
    told.write_text("Clean it.")
    line = refusal(clean_manifest, source, tmp_path / "c.jsonl", endpoint, told)
    assert line == f"{told}: the cleaner's prompt has no {{report}}; put it where it belongs"

"""The words of questions: our own, RadVLM's, a user's; the id alone decides which."""

from __future__ import annotations

import zlib

import pytest
import sets

from radrl.data.published.asking import Asking
from radrl.data.published.prepare import Settings, prepare
from radrl.data.published.wordings import own_wordings, read_wordings, worded
from radrl.manifest.example_set import read_manifests


def test_radvlm_has_as_many_as_it_published():
    counts = {key: len(set(texts)) for key, texts in read_wordings("radvlm").items()}
    assert counts["report-findings"] == counts["report-both"] == counts["report-impression"] == 15
    assert (counts["locate"], counts["phrase"], counts["detect"] + counts["list"]) == (20, 8, 21)


@pytest.mark.parametrize("given", ["", "radvlm"])
def test_the_id_alone_decides_and_every_wording_is_used(given):
    wordings = read_wordings(given) if given else {}
    texts = (wordings or own_wordings())["locate"]
    found = [worded(wordings, "locate", f"a/{k}/locate", {"label": "heart"}) for k in range(600)]
    assert len(set(found)) == len(texts)
    slots = ("{label:lower}", "{label}")
    said = [texts[zlib.crc32(f"a/{k}/locate".encode()) % len(texts)] for k in range(600)]
    assert found == [text.replace(slots[0], "heart").replace(slots[1], "heart") for text in said]


def test_words_of_the_data_are_put_in_as_they_are():
    lower = {"phrase": ["{phrase:lower}"], "locate": ["{label:lower}: {label}"]}
    assert worded(lower, "phrase", "a", {"phrase": "{label} {phrase} \\1"}) == "{label} {phrase} \\1"
    for given, written in (("Left lung", "left lung"), ("COPD", "COPD"), ("right Lung", "right Lung"), ("", "")):
        assert worded(lower, "locate", "a", {"label": given}) == f"{written}: {given}"


def test_a_set_is_asked_in_the_words_of_a_file(tmp_path, refusal):
    file = tmp_path / "mine.yaml"
    file.write_text("locate: ['Box the {label}!']\n")
    root = sets.write("nih_boxes", tmp_path / "in")

    def asked(wordings, out):
        prepare("nih_boxes", root, tmp_path / out, Settings(Asking(("locate",), wordings=wordings)), workers=1)
        examples = read_manifests(sorted((tmp_path / out).glob("[dt]*.jsonl")))
        return {e.id: e.question for e in examples}, {e.boxes[0].label for e in examples}

    ours, _ = asked({}, "ours")
    mine, labels = asked(read_wordings(str(file)), "mine")
    assert mine.keys() == ours.keys()
    assert set(mine.values()) == {f"Box the {label}!" for label in labels}
    assert not set(ours.values()) & set(mine.values())
    # a folder is of one wording
    assert "mine" in refusal(prepare, "nih_boxes", root, tmp_path / "mine", Settings(Asking(("locate",))), workers=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("locat: ['{label}']", "key 'locat': unknown (did you mean 'locate'?)"),
        ("locate: 'Where is the {label}?'", "key 'locate': should be a list of questions"),
        ("locate: []", "key 'locate': should be a list of questions"),
        ("locate: ['{label}?', 'Where?']", "key 'locate': wording 2 has no {label}"),
        ("report-findings: ['Report {label}.']", "key 'report-findings': wording 1 has {label}, which nothing"),
        ("- a", "a file of wordings is a mapping"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, refusal, text, said):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    line = refusal(read_wordings, str(file))
    assert line.startswith(f"{file}: ")
    assert said in line


def test_a_name_that_is_none(refusal):
    assert "no such wordings (did you mean 'radvlm'?)" in refusal(read_wordings, "radvml")
    assert "no such file of wordings" in refusal(read_wordings, "nothing.yaml")

"""Predictions on disk: what a kill leaves is taken up, what is missing, double or unknown is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radrl.errors import UserError
from radrl.evaluation.answers import predictions as store
from radrl.evaluation.answers.digests import manifest_digest
from radrl.evaluation.answers.header import Header, begin, differences, read_header
from radrl.evaluation.answers.predictions import Prediction
from radrl.example import Example

EXAMPLES = [Example(id=f"c{k}", task="report", question="Report?", reference="Clear.") for k in range(4)]
HEADER = Header(
    model="SFT",
    source="runs/sft",
    backend="transformers",
    prompt={"box_format": "unit", "thinking": False},
    decoding={"temperature": 0.0, "max_new_tokens": 64, "samples": 1},
    hashes={"manifest": manifest_digest(EXAMPLES)},
)


def said(*ids: str, sample: int = 0) -> list[Prediction]:
    return [Prediction(name, sample, f"text\nof “{name}”", 3, "s") for name in ids]


def test_a_header_comes_back_and_its_digest_does_not_depend_on_the_name(tmp_path):
    HEADER.save(tmp_path / "a.json")
    assert read_header(tmp_path / "a.json") == HEADER
    assert replace(HEADER, model="other", source="elsewhere").settings == HEADER.settings
    assert replace(HEADER, decoding={**HEADER.decoding, "temperature": 0.1}).settings != HEADER.settings


@given(st.data())
def test_a_kill_at_any_byte_loses_the_torn_line_only(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "a.jsonl"
    with store.prediction_writer(path) as append:
        append(said("c0", "c1"))
        append(said("c2"))
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    with store.prediction_writer(path) as append:
        kept = list(store.read_predictions(path, torn_line_ends=True))
        assert kept == said("c0", "c1", "c2")[:whole]
        append(said("c3"))
    assert list(store.read_predictions(path)) == [*kept, *said("c3")]


def test_two_processes_cannot_write_one_file(tmp_path, refusal):
    path = tmp_path / "a.jsonl"

    def again():
        with store.prediction_writer(path):
            pass

    with store.prediction_writer(path):
        assert "another process is writing it; wait for it, or give each a --shard" in refusal(again)
    again()


def test_other_settings_are_named_and_never_mixed(tmp_path, refusal):
    path = tmp_path / "a.jsonl"
    begin(path, HEADER)
    begin(path, replace(HEADER, source="moved"))
    other = replace(HEADER, decoding={**HEADER.decoding, "max_new_tokens": 65}, hashes={"manifest": "0"})
    line = refusal(begin, path, other)
    assert "decoding.max_new_tokens was 64, is 65" in line
    assert "hashes.manifest was" in line
    assert differences(HEADER, HEADER) == []
    (tmp_path / "b.jsonl").write_text("{}\n")
    assert "without their header" in refusal(begin, tmp_path / "b.jsonl", HEADER)


def test_predictions_are_put_in_the_manifests_order():
    rows = [*said("c3", "c1"), *said("c0", "c2", "c1", sample=1), *said("c2", "c0"), *said("c3", sample=1)]
    found = store.arrange_by_sample(rows, EXAMPLES, 2, "f")
    assert [[one.id for one in row] for row in found] == [["c0", "c1", "c2", "c3"]] * 2
    assert [{one.sample for one in row} for row in found] == [{0}, {1}]


@pytest.mark.parametrize(
    ("rows", "samples", "wanted"),
    [
        (said("c0", "c1"), 1, "2 missing ids: 'c2', 'c3'"),
        (said("c0", "c1", "c2", "c3", "c1"), 1, "1 ids that stand twice: 'c1'"),
        (said("c0", "c1", "c2", "c3", "x"), 1, "1 ids that are not in the manifest: 'x'"),
        (said("c0", "c1", "c2", "c3"), 2, "4 missing ids"),
        (said("c0", "c1", "c2", "c3") + said("c0", sample=1), 1, "c0 (sample 1 of 1)"),
    ],
)
def test_missing_double_and_unknown_ids_are_named(refusal, rows, samples, wanted):
    line = refusal(store.arrange_by_sample, rows, EXAMPLES, samples, "p.jsonl")
    assert line.startswith("p.jsonl: ")
    assert wanted in line
    assert "nothing was scored" in line


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_bytes(content)
    said = str(path)
    try:
        list(store.read_predictions(path))
    except UserError as error:
        said = str(error)
    assert said.startswith(str(path))

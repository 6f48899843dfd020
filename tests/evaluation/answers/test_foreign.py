"""Predictions of others: each known form, and nothing in silence."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radrl.errors import UserError
from radrl.evaluation.answers import foreign
from radrl.evaluation.answers.predictions import arrange_by_sample
from radrl.example import Example
from radrl.prompt.messages import PromptStyle

STYLE = PromptStyle()
EXAMPLES = [
    Example(
        id=f"mimic/{k}", task="report", question="Report?", reference=f"Clear, {k}.", study=f"5000{k}",
        images=(f"images/d{k}.png",),
    )
    for k in range(3)
]  # fmt: skip
TEXTS = ["No effusion.", "Large, left\neffusion.", "“Oedema”"]


def read(path) -> list[str]:
    header, rows = foreign.read_foreign(path, EXAMPLES, STYLE)
    return [one.completion for one in arrange_by_sample(rows, EXAMPLES, header.samples, path)[0]]


def written(tmp_path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rexrank_csv_and_json_by_study(tmp_path):
    rows = [f'5000{k},"{text}"\n' for k, text in enumerate(TEXTS)]
    assert read(written(tmp_path, "p.csv", "study_id,report\n" + "".join(reversed(rows)))) == TEXTS
    studies = {f"5000{k}": {"model_prediction": text, "findings": "x"} for k, text in enumerate(TEXTS)}
    assert read(written(tmp_path, "p.json", json.dumps(studies))) == TEXTS
    captions = {f"5000{k}": [text] for k, text in enumerate(TEXTS)}
    assert read(written(tmp_path, "c.json", json.dumps(captions))) == TEXTS


def test_radvlm_output_by_id_or_by_image(tmp_path):
    rows = [{"output": text, "full_output": f"<think>x</think>{text}", "instr": "i", "answer": "a"} for text in TEXTS]
    by_id = [{**row, "id": f"mimic/{k}"} for k, row in enumerate(rows)]
    assert read(written(tmp_path, "by_id.json", json.dumps(by_id))) == TEXTS
    by_image = [{**row, "img_path": f"/data/files/d{k}.jpg"} for k, row in enumerate(rows)]
    assert read(written(tmp_path, "by_image.json", json.dumps(by_image[::-1]))) == TEXTS


def test_pairs_stand_beside_their_reference_or_id(tmp_path):
    texts = [text.replace("\n", " ") for text in TEXTS]
    assert read(written(tmp_path, "p.txt", "".join(f"Clear,  {k}.\t{t}\n" for k, t in enumerate(texts)))) == texts
    assert read(written(tmp_path, "p.tsv", "".join(f"mimic/{k}\t{t}\n" for k, t in enumerate(texts)))) == texts


def test_jsonl_of_texts_and_of_samples(tmp_path):
    assert read(written(tmp_path, "p.jsonl", "".join(json.dumps({"id": e.id, "text": "x"}) + "\n" for e in EXAMPLES)))
    rows = [{"id": e.id, "sample": s, "completion": f"{e.id} {s}"} for e in EXAMPLES for s in (1, 0)]
    path = written(tmp_path, "s.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    header, found = foreign.read_foreign(path, EXAMPLES, STYLE)
    assert [one.completion for one in arrange_by_sample(found, EXAMPLES, header.samples, path)[1]] == [
        f"mimic/{k} 1" for k in range(3)
    ]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("p.csv", "study,report\n1,a\n", "needed: study_id and report"),
        ("p.csv", "study_id,report\n50000,a,b\n", "p.csv:2: not as many fields"),
        ("p.csv", "study_id,report\n50000,a\n50000,b\n50001,c\n50002,d\n", "1 ids that stand twice: 'mimic/0'"),
        ("p.csv", "study_id,report\n50000,a\n50001,c\n50009,d\n", "not in the manifest: '50009'"),
        ("p.json", '{"50000": {"model_prediction": "a"}, "50000": {"model_prediction": "b"}}', "'50000' stands twice"),
        ("p.json", '{"50000": {"findings": "a"}}', "'50000' has no text under 'model_prediction'"),
        ("p.json", '[{"output": "a", "answer": "b"}]', "no key of id, idx, img_path"),
        ("p.txt", "Clear, 0.\ta\nClear, 2.\tb\nClear, 1.\tc\n", "p.txt:2: the reference is not that of 'mimic/1'"),
        ("p.txt", "Clear, 0.\ta\n", "1 pairs for 3 Examples"),
        ("p.txt", "Clear, 0.\n", "p.txt:1: a line is"),
        ("p.jsonl", '{"id": "mimic/0"}\n', "p.jsonl:1: not a line"),
        ("p.jsonl", '{"id": "mimic/0", "text": "a"}\n', "2 missing ids: 'mimic/1', 'mimic/2'"),
        ("p.md", "x", "predictions are read from"),
        ("p.json", "[]", "holds no prediction"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, refusal, name, text, wanted):
    assert wanted in refusal(read, written(tmp_path, name, text))


def test_predictions_of_another_manifest_are_refused(tmp_path, refusal):
    path = written(tmp_path, "p.jsonl", "".join(json.dumps({"id": e.id, "text": "x"}) + "\n" for e in EXAMPLES))
    header, _ = foreign.read_foreign(path, EXAMPLES, STYLE)
    header.hashes["manifest"] = "of another"
    header.save(path.with_suffix(".json"))
    assert "answers another manifest" in refusal(read, path)


FORMS = st.sampled_from(sorted(foreign.READERS))
PIECES = st.lists(
    st.sampled_from(
        ["study_id", "report", ",", '"', "\n", "\t", "{", "}", "[", "]", ":", "1", "\\ud800", '"output"', "é"]
    )
    | st.text(max_size=5),
    max_size=20,
).map("".join)


@given(FORMS, PIECES)
@example(".json", "[" * 100_000)
@example(".json", '[{"output": "\\ud800", "id": 1}]')
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory, suffix, text):
    path = tmp_path_factory.mktemp("any") / f"p{suffix}"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        _, rows = foreign.read_foreign(path, EXAMPLES, STYLE)
    except UserError as error:
        said = str(error)
    else:
        said = f"{path}"
        json.dumps([one._asdict() for one in rows]).encode()
    assert said.startswith(str(path))
    assert said.isprintable()

"""A published model, judged through transformers, through a server and by a file of its answers: one table."""

from __future__ import annotations

import json

import pytest
from published import ASKED, OPTIONS, OWN, serving, set_own, train

from radrl.commands.evaluate import run_evaluation
from radrl.evaluation.answers.header import read_header
from radrl.manifest.example_set import read_manifests
from radrl.prompt.messages import PromptStyle, messages

CASES = 8


@pytest.fixture(scope="module")
def published(phantom_set, tmp_path_factory):
    """The model's folder. It is asked with the messages of its style, and taught to answer them."""
    examples = read_manifests([phantom_set / "test.jsonl"]).take(range(CASES))
    style = PromptStyle(box_format="thousand", thinking=True, think_in_template=True, template=ASKED)
    folder = tmp_path_factory.mktemp("published") / "model"
    train(folder, examples, [messages(example, style) for example in examples])
    return folder


@pytest.fixture
def judge(make_recipe, tmp_path):
    """``judge(start, *overrides, out=..)`` evaluates one model, named M, and returns its folder of results."""

    def judge(start, *overrides, out):
        options = json.dumps(OPTIONS)
        recipe = make_recipe(
            f"data.limit={CASES}", f"evaluation.models.M={options}", "evaluation.max_new_tokens=160", *overrides
        )
        run_evaluation(recipe, {"M": (str(start), False)}, tmp_path / out)
        return tmp_path / out

    return judge


def said(folder) -> dict[str, str]:
    lines = (folder / "predictions" / "M.jsonl").read_text().splitlines()
    return {one["id"]: one["completion"] for one in map(json.loads, lines)}


@pytest.mark.slow
def test_one_table_whichever_way_the_answers_came(published, judge, tmp_path):
    folder = judge(published, out="folder")
    with serving(published) as server:
        api = judge("endpoint:api", f"evaluation.endpoints.api={{url: '{server.url}', model: big}}", out="api")
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text("".join(json.dumps({"id": k, "text": text}) + "\n" for k, text in said(folder).items()))
    file = judge(theirs, out="file")
    tables = [(place / "table.csv").read_bytes() for place in (folder, api, file)]
    assert tables[0] == tables[1] == tables[2]
    cells = [json.loads((place / "comparison.json").read_text())["cells"] for place in (folder, api, file)]
    assert cells[0] == cells[1] == cells[2]
    found = cells[0]["M"]
    assert found["vqa_closed accuracy"]["mean"] == found["vqa_open accuracy"]["mean"] == 1.0
    assert found["soft_f1"]["mean"] > 0.8
    styles = [read_header(place / "predictions" / "M.json").style for place in (folder, api, file)]
    assert styles[0] == styles[1] == styles[2]
    assert (styles[0].box_format, styles[0].answer_format, styles[0].template) == ("thousand", "tags", ASKED)
    assert server.bodies[0]["repetition_penalty"] == 1.0
    assert cells[0]["M"]["format"]["mean"] == cells[0]["M"]["finding_f1"]["mean"] == 1.0


def test_a_folders_own_settings_change_nothing_unless_the_recipe_says_so(published, judge):
    own = judge(published, out="own")
    assert "generation_config" not in (own / "table.md").read_text()
    asked = judge(published, "evaluation.generation_config=model", "evaluation.temperature=0", out="asked")
    set_own(published, {})
    try:
        plain = judge(published, out="plain")
    finally:
        set_own(published, OWN)
    assert said(own) == said(plain)
    headers = [read_header(place / "predictions" / "M.json") for place in (own, plain, asked)]
    assert headers[0].decoding == headers[1].decoding
    assert headers[0].decoding["repetition_penalty"] == 1.0
    assert said(asked) != said(own)
    taken = {key: value for key, value in OWN.items() if key not in ("do_sample", "temperature")}
    assert headers[2].decoding["taken"] == taken
    assert headers[2].decoding["repetition_penalty"] == 1.3
    assert "M was decoded by its folder's generation_config" in (asked / "table.md").read_text()
    assert "repetition_penalty 1.3" in (asked / "table.md").read_text()

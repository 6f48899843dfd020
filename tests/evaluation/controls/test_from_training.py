"""What an evaluation takes from the training data: baselines where there are some, a word where there are none, and
whether the test is held out."""

from __future__ import annotations

import json

import pytest

from radrl.commands.evaluate import run_comparison, run_evaluation
from radrl.evaluation.controls import baselines
from radrl.evaluation.controls.from_training import NONE
from radrl.manifest.from_recipe import load_examples
from radrl.manifest.jsonl import read_manifest, write_manifest


@pytest.fixture
def judge(make_recipe, phantom_set, tmp_path):
    """``judge("a.b=c", ...)`` judges a file that answers every test question with its reference; returns the folder."""
    answers = tmp_path / "answers.jsonl"
    lines = [json.dumps({"id": e.id, "text": e.reference}) for e in read_manifest(phantom_set / "test.jsonl")]
    answers.write_text("\n".join(lines))

    def call(*overrides, compare=False):
        recipe, out = make_recipe(*overrides), tmp_path / "out"
        if compare:
            run_comparison({"file": [(answers, False)]}, out, recipe)
        else:
            run_evaluation(recipe, {"file": (str(answers), False)}, out)
        return out

    return call


def shown(out) -> dict:
    text = (out / "page.html").read_text()
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


@pytest.mark.parametrize("compare", [False, True])
def test_nothing_is_needed_of_training_and_the_table_says_so(judge, compare):
    out = judge("data.train=[]", compare=compare)
    found = json.loads((out / "comparison.json").read_text())
    assert (found["baselines"], found["models"]) == ([], ["file"])
    assert found["cells"]["file"]["vqa_closed accuracy"]["mean"] == 1.0
    line = "no trivial baselines, and not checked whether the test is held out: the recipe names no training data"
    assert line in found["notes"][-1]
    assert f"Note: {line}" in (out / "table.md").read_text()
    page = (out / "page.html").read_text()
    assert page.count(line) == 2  # above the table, and among the facts
    assert "The trivial baseline never sees" not in page
    assert "dagger" not in (out / "table.tex").read_text()


@pytest.fixture
def few(phantom_set, tmp_path):
    """A manifest with training Examples of two tasks only."""
    kept = [e for e in read_manifest(phantom_set / "train.jsonl") if e.task in ("report", "vqa_closed")]
    write_manifest(tmp_path / "few.jsonl", kept)
    return tmp_path / "few.jsonl"


def test_a_task_without_training_examples_has_no_baseline_and_the_others_have(judge, few, phantom_set):
    out = judge(f"data.train=[{{manifest: '{few}', images: '{phantom_set}'}}]")
    found = json.loads((out / "comparison.json").read_text())
    assert found["notes"][-1] == "no trivial baseline of grounding, vqa_open: 'data.train' has no Example of it"
    cells = found["cells"][baselines.NAME]
    assert {name for name, cell in cells.items() if cell} >= {"finding_f1", "vqa_closed accuracy", "format"}
    assert not any(cells[name] for name in ("soft_f1", "vqa_open accuracy", "token_f1"))
    reports_and_closed = found["cells"]["file"]["finding_f1"]["n"] + found["cells"]["file"]["vqa_closed accuracy"]["n"]
    assert cells["format"]["n"] == reports_and_closed < found["cells"]["file"]["format"]["n"]
    assert found["empty"][baselines.NAME] == {}
    assert found["empty"]["file"]
    for model, row in found["cells"].items():  # nobody is better or worse than what is not there
        differences = row["soft_f1"]["differences"] if row["soft_f1"] else []
        assert not [d for d in differences if d["to"] == baselines.NAME], model
    data = shown(out)
    number = data["models"].index(baselines.NAME)
    for case in data["cases"]:
        answer = case["a"][number]
        assert (answer["t"] == NONE.text) == (case["t"] in (1, 3))
        assert (set(answer["v"]) == {None}) == (answer["t"] == NONE.text)


def test_a_test_that_is_not_held_out_is_said_in_one_line(judge, phantom_set):
    out = judge(f"data.train=['{phantom_set}/train.jsonl', '{phantom_set}/test.jsonl']")
    (note,) = [n for n in json.loads((out / "comparison.json").read_text())["notes"] if "held out" in n]
    tests = read_manifest(phantom_set / "test.jsonl")
    shares = f"share {len({e.patient for e in tests})} patients and {len({e.images for e in tests})} images"
    assert f"{len(tests)} of {len(tests)} test Examples are not held out: they {shares} with 'data.train'" in note
    held_out = judge()
    facts = json.loads((held_out / "comparison.json").read_text())["facts"]["Run"]
    assert facts["held out from data.train"] == "patients, studies and image files differ, also in their bytes"


def test_training_data_that_are_not_here_can_be_left_out(judge, refusal):
    message = refusal(judge, "data.train=[gone.jsonl]")
    assert "gone.jsonl: no such manifest" in message
    assert "--set 'data.train=[]'" in message


def test_a_count_with_nothing_to_take_from_is_no_obstacle_to_judging(make_recipe, few, phantom_set, refusal):
    sources = f"data.train=[{{manifest: '{few}', images: '{phantom_set}', count: 3}}, '{phantom_set}/test.jsonl']"
    recipe = make_recipe(sources, "data.tasks=[vqa_open]")
    assert load_examples(recipe, needed=False).tasks == {"vqa_open"}
    assert "'count' has none to take" in refusal(load_examples, recipe)

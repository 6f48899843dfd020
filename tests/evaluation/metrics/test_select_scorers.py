"""What a recipe asks of a table: metrics that are no rewards, and the protocol of a publication in one word."""

from __future__ import annotations

import json

import pytest

from radrl.commands.evaluate import run_comparison
from radrl.evaluation.answers.header import Header
from radrl.evaluation.metrics.select_scorers import select_scorers
from radrl.manifest.jsonl import read_manifest
from radrl.output.protocol_notes import protocol_notes
from radrl.prompt.messages import PromptStyle, target
from radrl.recipe import protocols
from radrl.recipe.apply_protocol import overridden, with_protocol
from radrl.scoring.reward_terms import read_columns

CASES = {"report": 4, "grounding": 8, "vqa_closed": 8, "vqa_open": 4}
TEXTS = "evaluation.metrics=[bleu_2, {scorer: cider, options: {words: split}, title: CIDEr, task: report}]"


@pytest.fixture
def said(tmp_path, phantom_set):
    """Files of predictions of the phantom test set: the references, and the same without their last words."""
    files = [tmp_path / "right.jsonl", tmp_path / "short.jsonl"]
    for k, file in enumerate(files):
        lines = []
        for example in read_manifest(phantom_set / "test.jsonl"):
            words = target(example, PromptStyle()).split()
            lines.append(json.dumps({"id": example.id, "text": " ".join(words[: len(words) - k] or words)}) + "\n")
        file.write_text("".join(lines))
    return files


def compared(recipe, said, out):
    """Returns comparison.json, table.md and the page of both files."""
    models = {"right": [(said[0], False)], "short": [(said[1], False)]}
    page = run_comparison(models, out, recipe).read_text()
    return json.loads((out / "comparison.json").read_text()), (out / "table.md").read_text(), page


def test_metrics_stand_in_the_tables_and_are_no_rewards(make_recipe, said, tmp_path):
    recipe = make_recipe(TEXTS)
    found, table, page = compared(recipe, said, tmp_path / "out")
    assert not recipe.rewards
    metrics = found["metrics"]
    assert {"bleu_2", "vqa_open bleu_2", "cider(words=split)"} <= metrics.keys()
    assert metrics["cider(words=split)"]["title"] == "Report: CIDEr"
    assert metrics["cider(words=split)"]["about"].startswith("scorer cider(words=split): CIDEr-D")
    assert metrics["bleu_2"]["title"] == "Report: BLEU-2 (COCO)"
    assert metrics["bleu_2"]["better"] == "higher"
    assert not metrics["bleu_2"]["headline"]
    for text in (table, page):
        assert "Report: BLEU-2 (COCO)" in text
        assert "Report: CIDEr" in text


@pytest.mark.parametrize(
    ("metrics", "wanted"),
    [
        ("[bleu_2, bleu_7]", "key 'evaluation.metrics.1.scorer': unknown scorer 'bleu_7'"),
        ("[rouge_l]", "key 'evaluation.metrics.0.scorer': scorer 'rouge_l': two published figures have this name"),
        ("[{scorer: bleu_2, options: {word: split}}]", "'evaluation.metrics.0.options': scorer 'bleu_2' has no option"),
        ("[{scorer: bleu_2, options: {words: 14a}}]", "option 'words' of scorer 'bleu_2' should be"),
        ("[{scorer: bleu_2, task: grounding}]", "key 'evaluation.metrics.0.task': 'bleu_2' scores report, vqa_open"),
        ("[{scorers: bleu_2}]", "unknown key 'evaluation.metrics.0.scorers'"),
        ("[judge]", "key 'evaluation.metrics.0.scorer': 'judge' asks a model"),
        ("[3]", "evaluation.metrics.0"),
    ],
)
def test_a_wrong_metric_is_one_line_with_its_key(make_recipe, refusal, metrics, wanted):
    assert wanted in refusal(make_recipe, f"evaluation.metrics={metrics}")


def test_weights_that_lack_are_said_before_anything_is_generated(make_recipe, refusal, monkeypatch):
    monkeypatch.delenv("RADRL_WEIGHTS", raising=False)
    recipe = make_recipe("evaluation.metrics=[bleu_1, radgraph]")
    assert "key 'evaluation.metrics.1': scorer 'radgraph': needs the weights" in refusal(select_scorers, recipe, CASES)


def test_a_metric_of_a_task_that_is_not_there_is_a_line(make_recipe):
    asking = select_scorers(make_recipe("evaluation.metrics=[soft_f1, bleu_1]"), {"report": 3})
    assert [(one.task, one.scorer.name) for one in asking.scorers] == [("report", "bleu_1")]
    assert asking.unused == ["evaluation.metrics.0: 'soft_f1' scores grounding; the test data has no such case"]


@pytest.mark.parametrize("name", protocols.protocol_names())
def test_a_protocol_names_scorers_and_keys_that_exist(make_recipe, name):
    recipe = make_recipe(f"evaluation.protocol={name}", "judge={url: 'http://x', model: m}")
    protocol = protocols.read_protocol(name)
    read_columns(recipe, protocol.columns, "protocol")
    assert protocol.evaluation.keys() <= type(recipe.evaluation).model_fields.keys()
    assert any(column.headline for column in protocol.columns)
    applied = with_protocol(recipe)
    assert {key: getattr(applied.evaluation, key) for key in protocol.evaluation} == protocol.evaluation
    assert applied.prompt.preset == protocol.prompt
    assert with_protocol(applied) == applied
    assert overridden(applied) == []


def test_what_the_recipe_sets_wins_and_is_said(make_recipe):
    recipe = with_protocol(make_recipe("evaluation.protocol=radvlm_grpo", "evaluation.temperature=0.5"))
    assert recipe.evaluation.temperature == 0.5
    assert recipe.evaluation.max_new_tokens == 1024
    assert overridden(recipe) == ["evaluation.temperature is 0.5, not 0.0"]
    header = Header("m", "m", "transformers", {"thinking": True}, {"temperature": 0.5, "max_new_tokens": 1024})
    lines = protocol_notes(recipe, {"GREEN": "not there"}, {"m": header})
    assert lines[0].startswith("protocol radvlm_grpo: RadVLM-GRPO (arXiv 2512.10691)")
    assert lines[1:] == [
        "columns of the protocol left out (why: see the page): GREEN",
        "set otherwise by the recipe than by the protocol: evaluation.temperature is 0.5, not 0.0",
        "m was decoded otherwise than the protocol says: max_new_tokens 1024, not 4096",
    ]


def test_no_protocol_changes_nothing(make_recipe):
    for name in ("none", "null"):
        recipe = make_recipe(f"evaluation.protocol={name}")
        assert with_protocol(recipe) is recipe
        assert protocol_notes(recipe, {}, {}) == []


def test_an_unknown_protocol_is_told_the_nearest(make_recipe, refusal):
    said = refusal(make_recipe, "evaluation.protocol=radvlm-grpo")
    assert "key 'evaluation.protocol': no protocol 'radvlm-grpo' (did you mean 'radvlm_grpo'?)" in said


def test_a_protocols_columns_stand_first_and_are_the_headlines_of_its_tasks(make_recipe, said, tmp_path, monkeypatch):
    monkeypatch.delenv("RADRL_WEIGHTS", raising=False)
    recipe = make_recipe("evaluation.protocol=rexrank", "evaluation.metrics=[bleu_1]")
    found, table, page = compared(recipe, said, tmp_path / "out")
    names = [name for name, metric in found["metrics"].items() if metric["tasks"] == ["report"]]
    assert names[0] == "bleu_2_rexrank"
    assert {name for name in names if found["metrics"][name]["headline"]} == {"bleu_2_rexrank"}
    assert found["metrics"]["soft_f1"]["headline"]  # the protocol has no columns of that task
    assert "Note: protocol rexrank: ReXrank (arXiv 2411.15122)" in table.splitlines()[0]
    assert table.index("| Report: BLEU |") < table.index("| Report: words")
    assert "protocol rexrank" in page
    facts = found["facts"]["Protocol"]
    assert facts["set otherwise by the recipe"] == "nothing"
    assert "RadCliQ-v1" in facts["columns"]
    assert "needs the weights" in facts["left out: RadCliQ-v1"]


def test_a_protocols_column_that_is_usual_keeps_its_name(make_recipe, said, tmp_path):
    found, _, _ = compared(make_recipe("evaluation.protocol=medvlthinker"), said, tmp_path / "out")
    closed = [name for name, metric in found["metrics"].items() if metric["tasks"] == ["vqa_closed"]]
    assert closed[:2] == ["vqa_accuracy_exact", "vqa_closed accuracy"]
    assert found["cells"]["right"]["vqa_closed accuracy"]["mean"] == 1

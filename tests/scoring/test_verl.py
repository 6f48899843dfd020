"""The rewards as verl calls them (by keyword, one completion or a batch)."""

import json

import pytest
from typer.testing import CliRunner

from radrl.commands.main import app
from radrl.data.formats.llava_export import write_llava
from radrl.errors import UserError
from radrl.example import Box, Example, Turn
from radrl.manifest.jsonl import write_manifest
from radrl.prompt.messages import PromptStyle
from radrl.scoring.completions import as_example
from radrl.scoring.verl import compute_score, compute_scores, row, write_parquet

REPORT = Example(id="r", task="report", question="Report?", images=("a.png",), reference="Left effusion.")
VQA = Example(id="v", task="vqa_open", question="?", reference="yes")


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "recipe.yaml"
    rewards = "report: [{scorer: finding_f1, weight: 2}, {scorer: format, weight: 0.5}]"
    file.write_text(f"out: run\nmodel: {{start: tiny}}\nrewards: {{{rewards}}}\n")
    return str(file)


def test_the_weighted_sum(recipe):
    made = row(REPORT, PromptStyle())
    assert made["prompt"] == [{"role": "user", "content": "<image>Report?"}]
    assert made["reward_model"]["ground_truth"] == "Left effusion."
    said = {"data_source": made["data_source"], "ground_truth": "Left effusion.", "extra_info": made["extra_info"]}
    assert compute_score(solution_str="Left effusion.", recipe=recipe, **said) == 2.5
    assert compute_score(solution_str="<think>a</think>Left effusion.", recipe=recipe, **said) == 2.0
    batch = {f"{key}s": [value] * 2 for key, value in said.items()}
    assert compute_scores(solution_strs=["Left effusion.", "Clear."], recipe=recipe, **batch) == [2.5, 0.5]


def test_rows_are_put_as_the_recipe_s_prompt_says(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    side = Example(
        id="s", task="vqa_closed", question="Side?", images=("a.png",), choices=("left", "right"), reference="right"
    )
    write_manifest(tmp_path / "m.jsonl", [side])
    (tmp_path / "r.yaml").write_text(
        "out: run\nmodel: {start: tiny}\n"
        "prompt: {preset: medvlthinker, system: Be brief., image_separator: '|', template: 'Q {question} O{options}'}\n"
    )
    arguments = ["data", "export", str(tmp_path / "m.jsonl"), "--recipe", str(tmp_path / "r.yaml")]
    made = CliRunner().invoke(app, [*arguments, "--format", "verl", "--out", str(tmp_path / "m.parquet")])
    assert made.exit_code == 0, made.output
    (found,) = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert found["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "<image>|Q Side? O\n\nA. left\n\nB. right"},
    ]
    assert found["reward_model"]["ground_truth"] == "B. right"  # without tags: they are the form, not the answer
    refused = CliRunner().invoke(app, [*arguments, "--format", "llava", "--out", str(tmp_path / "m.json")])
    assert "no thinking and no system message" in str(refused.exception)
    style = PromptStyle(answer_format="tags", template="Q {question}")
    assert write_llava(tmp_path / "m.jsonl", tmp_path / "m.json", style) == 1
    (talk,) = json.loads((tmp_path / "m.json").read_text())
    said = [turn["value"] for turn in talk["conversations"]]
    assert said == ["<image>\nQ Side? A. left B. right", "<answer>B. right</answer>"]


def test_no_reward_is_an_error_and_not_a_zero(recipe):
    with pytest.raises(UserError, match="no reward for Example 'v'"):
        compute_score("x", "yes", "yes", {"example": VQA.model_dump_json()}, recipe=recipe)
    with pytest.raises(UserError, match=r"need extra_info\.example"):
        compute_score("x", "yes", "yes", {}, recipe=recipe)


def test_a_manifest_as_parquet_is_what_the_reward_takes(tmp_path, recipe, refusal):
    pq = pytest.importorskip("pyarrow.parquet")
    box = Box(xyxy=(0.1, 0.2, 0.3, 0.4), label="heart")
    talk = Example(
        id="t", task="report", question="And now?", images=("a.png", "b.png"), reference="Clear.",
        history=(Turn(question="Where?", answer="", boxes=(box,)),),
    )  # fmt: skip
    many = [VQA.model_copy(update={"id": f"v{k}"}) for k in range(2100)]
    manifest, out = tmp_path / "train.jsonl", tmp_path / "train.parquet"
    write_manifest(manifest, [REPORT, talk, *many])
    assert write_parquet(manifest, out, PromptStyle(thinking=True)) == 2102
    table = pq.read_table(out)
    assert table.column_names == ["data_source", "prompt", "images", "ability", "reward_model", "extra_info"]
    first, second, *_, last = table.to_pylist()
    assert first["images"] == [{"image": f"file://{tmp_path}/a.png"}]
    assert [turn["content"] for turn in second["prompt"]] == [
        "<image><image>Where?", "heart [0.10, 0.20, 0.30, 0.40]", "And now? /think",
    ]  # fmt: skip
    assert (last["extra_info"]["index"], last["extra_info"]["id"], last["images"]) == (2101, "v2099", [])
    assert as_example(second["extra_info"]["example"]) == talk
    said = {key: first[key] for key in ("data_source", "extra_info")}
    assert compute_score(solution_str="Left effusion.", ground_truth="", recipe=recipe, **said) == 2.5
    write_manifest(manifest, [VQA.model_copy(update={"question": "an <image>?"})])
    assert write_parquet(manifest, out, PromptStyle()) == 1  # as text, which verl takes for no picture
    assert pq.read_table(out).to_pylist()[0]["prompt"][0]["content"].count("<image>") == len(VQA.images)
    refused = refusal(write_parquet, manifest, tmp_path / "x.parquet", PromptStyle(template="<image> {question}"))
    assert "'prompt' holds <image>" in refused
    assert not (tmp_path / "x.parquet").exists()

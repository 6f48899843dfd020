"""The rewards as verl calls them (by keyword, one completion or a batch)."""

import pytest

from radrl.errors import UserError
from radrl.example import Example
from radrl.prompt import PromptStyle
from radrl.scoring.verl import compute_score, compute_scores, row

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


def test_no_reward_is_an_error_and_not_a_zero(recipe):
    with pytest.raises(UserError, match="no reward for Example 'v'"):
        compute_score("x", "yes", "yes", {"example": VQA.model_dump_json()}, recipe=recipe)
    with pytest.raises(UserError, match=r"need extra_info\.example"):
        compute_score("x", "yes", "yes", {}, recipe=recipe)

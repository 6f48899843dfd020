"""Prompts of teacher, judge and cleaner as files: what a recipe names is checked when it is read."""

from __future__ import annotations

import hashlib

import pytest

from radrl.commands.load_recipe import load_recipe
from radrl.prompt import instructions

RECIPE = """out: run
model: {{start: tiny}}
judge: {{url: "http://localhost:1/v1", model: m{judge}}}
coldstart: {{teacher: {{url: "http://localhost:1/v1", model: m{teacher}}}}}
"""


@pytest.mark.parametrize(
    ("kind", "text", "lacking"),
    [
        ("judge", "{question} {reference} {answer} VERDICT: n", "{mark}"),
        ("judge", "{question} {reference} {answer} {mark}", "VERDICT:"),
        ("judge", "{reference} {answer} {mark} VERDICT: n", "{question}"),
        ("teacher", "{question} {Reference}", "{reference}"),
    ],
)
def test_a_placeholder_that_is_missing_is_named_at_reading(tmp_path, refusal, kind, text, lacking):
    file = tmp_path / "told.txt"
    file.write_text(text)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format(**{"judge": "", "teacher": "", kind: ", prompt: told.txt"}))
    assert refusal(load_recipe, recipe) == f"{file}: the {kind}'s prompt has no {lacking}; put it where it belongs"
    file.unlink()
    assert refusal(load_recipe, recipe) == f"{file}: cannot read the {kind}'s prompt: No such file or directory"


def test_the_files_go_with_the_recipe_to_another_folder(tmp_path):
    (tmp_path / "told.txt").write_text("{question} {reference} {answer} {mark} VERDICT: n")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format(judge=", prompt: told.txt", teacher=", prompt: told.txt"))
    (tmp_path / "run").mkdir()
    again = tmp_path / "run" / "recipe.yaml"
    again.write_text(load_recipe(recipe).to_yaml())
    found = load_recipe(again)
    assert {found.judge.prompt, found.coldstart.teacher.prompt} == {str(tmp_path / "told.txt")}


def test_radrl_s_own_prompts_are_as_they_were():
    """Kept verdicts and traces are of these texts; a change of one lets every judge be paid again."""
    digests = {
        k: hashlib.sha256(instructions.read_instruction(k).encode()).hexdigest()[:16] for k in instructions.NEEDED
    }
    assert digests == {"teacher": "69c6627bf216fb3a", "judge": "e20062fcbea2b66c", "cleaner": "399ea77dcb60817d"}
    for kind, parts in instructions.NEEDED.items():
        assert all(part in instructions.read_instruction(kind) for part in parts)

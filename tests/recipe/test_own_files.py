"""Presets and protocols in YAML files of the user's own: the documented ones, and every mistake as one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radrl.commands.load_recipe import load_recipe
from radrl.evaluation.answers.model_settings import prompt_style
from radrl.evaluation.metrics.select_scorers import select_scorers
from radrl.output.protocol_notes import protocol_facts, protocol_notes
from radrl.recipe.apply_protocol import overridden, with_protocol
from radrl.recipe.schema import read_recipe

DOCS = Path(__file__).parents[2] / "docs"
PRESET = "system: Be brief.\noptions: lines\n"
PROTOCOL = "about: ours\nprompt: my_preset.yaml\nevaluation: {max_new_tokens: 77}\ncolumns: [finding_f1]\n"


def documented(page, heading):
    part = (DOCS / page).read_text(encoding="utf-8").partition(heading)[2]
    return re.search(r"```yaml\n(.*?)```", part, re.DOTALL)[1]


@pytest.fixture
def make(tmp_path):
    """``make("prompt: my_preset.yaml", my_preset=text)`` makes a recipe in a folder with these YAML files."""

    def made(lines, folder="a", **files):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / f"{name}.yaml").write_text(text)
        file = tmp_path / folder / "recipe.yaml"
        file.write_text(f"out: run\nmodel: {{start: tiny}}\n{lines}\n")
        return file

    return made


def test_a_preset_of_one_s_own_for_the_recipe_and_for_a_model(make):
    lines = "prompt: {preset: my_preset.yaml, options: none}\nevaluation: {models: {A: {prompt: ./my_preset.yaml}}}"
    recipe = load_recipe(make(lines, my_preset=PRESET))
    assert (recipe.style().system, recipe.style().options) == ("Be brief.", "none")  # keys beside it win
    assert prompt_style(recipe, "A", False).options == "lines"


def test_the_documented_protocol_says_columns_prompt_and_decoding(make, tmp_path):
    text = documented("evaluation.md", "## A protocol of one's own")
    (tmp_path / "a").mkdir()
    source = re.search(
        r"```python\n(.*?)```", (DOCS / "rewards.md").read_text().partition("## A scorer of your own")[2], re.S
    )
    (tmp_path / "a/my_rewards.py").write_text(source[1])
    recipe = load_recipe(
        make("evaluation: {protocol: my_protocol.yaml, top_p: 0.5}", my_protocol=text, my_preset=PRESET)
    )
    applied = with_protocol(recipe)
    assert applied.style().system == "Be brief."
    assert (applied.evaluation.max_new_tokens, applied.evaluation.top_p) == (512, 0.5)
    asking = select_scorers(applied, {"report": 2})
    assert [(one.scorer.name, one.place, one.headline) for one in asking.scorers] == [
        ("finding_f1", 0, True),
        ("my_rewards.py:lesion_count", 1, False),
    ]
    (note,) = protocol_notes(applied, {}, {})
    assert note.startswith("protocol my_protocol.yaml (sha256 ")
    facts = protocol_facts(applied, {})
    assert str(tmp_path) not in f"{note} {facts}"  # tables name no folder of the user's
    assert overridden(applied) == []


def test_both_are_pinned_in_the_recipe_that_a_run_keeps(make, tmp_path, refusal):
    recipe = load_recipe(make("evaluation: {protocol: my_protocol.yaml}", my_protocol=PROTOCOL, my_preset=PRESET))
    kept = make("", folder="kept")
    kept.write_text(recipe.to_yaml())
    assert read_recipe(kept).evaluation.protocol == recipe.evaluation.protocol
    make("", my_protocol=PROTOCOL.replace("77", "78"))
    assert "key 'evaluation.protocol': " in refusal(read_recipe, kept)
    assert "my_protocol.yaml: has changed (it is " in refusal(read_recipe, kept)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("sytem: x", "key 'prompt': {a}/my.yaml: unknown key 'sytem' (did you mean 'system'?)"),
        ("options: lists", "{a}/my.yaml: key 'options': should be 'inline', 'lines'"),
        ("preset: radvlm", "{a}/my.yaml: a preset cannot name another one"),
        ("a: [", "{a}/my.yaml:1: broken YAML"),
        ("- a", "{a}/my.yaml: a preset is a mapping"),
    ],
)
def test_a_preset_that_is_none(make, tmp_path, refusal, text, wanted):
    assert wanted.format(a=tmp_path / "a") in refusal(load_recipe, make("prompt: my.yaml", my=text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (PROTOCOL.replace("about", "abuot"), "{a}/my.yaml: unknown key 'abuot' (did you mean 'about'?)"),
        (PROTOCOL.replace("max_new", "max_nwe"), "unknown key 'evaluation.max_nwe_tokens' (did you mean"),
        (PROTOCOL.replace("finding_f1", "finding_f2"), "{a}/my.yaml: key 'columns.0': unknown scorer 'finding_f2'"),
        (PROTOCOL.replace("finding_f1", "mine.py:f"), "{a}/mine.py: cannot read the scorer's file"),
        (
            PROTOCOL.replace("finding_f1", "{scorer: soft_f1, task: report}"),
            "columns.0.task': 'soft_f1' scores grounding",
        ),
        (PROTOCOL.replace("my_preset", "no_preset"), "{a}/no_preset.yaml: cannot read the preset's file"),
    ],
)
def test_a_protocol_that_is_none(make, tmp_path, refusal, text, wanted):
    file = make("evaluation: {protocol: my.yaml}", my=text, my_preset=PRESET)
    assert wanted.format(a=tmp_path / "a") in refusal(load_recipe, file)


def test_a_file_that_is_not_there(make, refusal):
    assert "key 'evaluation.protocol': " in refusal(load_recipe, make("evaluation: {protocol: no.yaml}"))
    assert "no.yaml: cannot read the preset's file: No such file" in refusal(load_recipe, make("prompt: no.yaml"))

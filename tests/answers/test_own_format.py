"""Answer formats of the user's own: the documented example as it stands, and every mistake as one line."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from radrl.answers.parsing import parse
from radrl.commands.load_recipe import load_recipe
from radrl.evaluation.answers.model_settings import prompt_style
from radrl.example import Answer, Example
from radrl.prompt.messages import target
from radrl.recipe.schema import read_recipe
from radrl.scoring import registry
from radrl.scoring.rewards import load_rewards

DOCS = Path(__file__).parents[2] / "docs" / "recipe.md"
CHOICE = Example(id="one", task="vqa_closed", question="q", choices=("mass", "nodule"), reference="nodule")


def documented():
    """The lines of the recipe and the file of the docs, as they stand there."""
    part = DOCS.read_text(encoding="utf-8").partition("# An answer format of one's own")[2]
    return tuple(re.search(rf"```{kind}\n(.*?)```", part, re.DOTALL)[1] for kind in ("yaml", "python"))


@pytest.fixture
def make(tmp_path):
    """Makes a recipe with this file beside it, ``my_format.py``; the file is the documented one."""
    lines_of_docs, file_of_docs = documented()

    def made(source=file_of_docs, lines=lines_of_docs):
        (tmp_path / "my_format.py").write_text(source)
        (tmp_path / "r.yaml").write_text(f"out: run\nmodel: {{start: tiny}}\n{lines}\n")
        return tmp_path / "r.yaml"

    return made


def body(text):
    return f"from radrl.example import Answer\ndef last_letter(text, example):\n    {text}\n"


def test_the_documented_format_reads_answers_for_rewards_and_evaluation(make):
    recipe = load_recipe(make(documented()[1], documented()[0] + "rewards: {vqa_closed: [{scorer: vqa_accuracy}]}\n"))
    (reward,) = load_rewards(recipe)
    said = ["It is A or B, so the letter is B", "B is wrong; A", "I cannot say.", "<think>B"]
    assert reward(said, example=[CHOICE] * 4) == [1, 0, 0, 0]
    style = prompt_style(recipe, "Model", thinking=True)
    answer = parse("<think>A</think> B", CHOICE, style, tokens=7)
    assert (answer.choice, answer.thinking, answer.tokens, answer.well_formed) == (1, "A", 7, True)
    assert not parse("B", CHOICE, style).well_formed  # it was asked to think
    assert type(style)(**asdict(style)) == style  # as it stands in the header of predictions


def test_its_file_is_pinned_in_the_recipe_that_a_run_keeps(make, tmp_path, refusal):
    recipe = load_recipe(make())
    kept = tmp_path / "kept.yaml"
    kept.write_text(recipe.to_yaml())
    assert read_recipe(kept).prompt.answer_format == recipe.prompt.answer_format
    (tmp_path / "my_format.py").write_text(documented()[1] + "\n# changed\n")
    assert "my_format.py: has changed (it is" in refusal(read_recipe, kept)


def test_it_writes_no_answers(make, refusal):
    said = refusal(target, CHOICE, load_recipe(make()).style())
    assert "reads answers and cannot write the ones to teach; set it to plain, tags, boxed" in said


def test_scorers_of_its_file_are_nobody_else_s(make):
    before = registry.get("finding_f1")
    head = "from radrl.scoring import scorer\n@scorer('finding_f1', tasks=('report',))\ndef f(e, a): return []\n"
    load_recipe(make(head + documented()[1]))
    assert registry.get("finding_f1") is before


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x = 1 +", "my_format.py:1: SyntaxError"),
        ("import no_such_module", "my_format.py:1: ModuleNotFoundError"),
        (
            "def last_leter(text, example): pass",
            "my_format.py: has no function 'last_letter' (did you mean 'last_leter'?)",
        ),
    ],
)
def test_a_file_without_the_function_is_refused_with_the_recipe(make, refusal, source, wanted):
    assert wanted in refusal(load_recipe, make(source))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("other.py:f", "key 'prompt.answer_format': /"),
        ("other.py:f", "other.py: cannot read the answer format's file: No such file"),
        ("tag", "key 'prompt.answer_format': should be 'plain', 'tags' or 'boxed', or FILE.py:NAME"),
    ],
)
def test_a_name_that_is_none(make, refusal, name, wanted):
    assert wanted in refusal(load_recipe, make(lines=f"prompt: {{answer_format: {name}}}"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("raise KeyError('PRIVATE')", "my_format.py:3: answer format 'last_letter' fails with KeyError for 'one'"),
        ("return 'PRIVATE'", "should return an Answer, not str, for 'one'"),
        (
            "return Answer(text, choice='PRIVATE')",
            "returns an Answer whose choice is wrong (Input should be a valid int",
        ),
        ("return Answer(text, boxes=(1,))", "returns an Answer whose boxes.0 is wrong"),
        ("return Answer(text, choice=2)", "picks option 2 of 2 for 'one'"),
    ],
)
def test_what_it_does_wrong_is_one_line_without_the_answer(make, refusal, text, wanted):
    style = load_recipe(make(body(text))).style()
    said = refusal(parse, "PRIVATE", CHOICE, style)
    assert wanted in said
    assert "PRIVATE" not in said


def test_an_answer_without_text_keeps_no_form(make):
    style = load_recipe(make(body("return Answer('')"))).style()
    assert parse("x", CHOICE, style) == Answer("", well_formed=False)

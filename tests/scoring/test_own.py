"""Scorers in a file of the user's: the documented example as it stands, and every mistake as one line."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from radrl.answers.parsing import parse
from radrl.commands.load_recipe import load_recipe
from radrl.commands.main import app
from radrl.errors import UserError
from radrl.evaluation.metrics.score_cases import score_cases
from radrl.evaluation.metrics.select_scorers import select_scorers
from radrl.example import Example
from radrl.prompt.messages import PromptStyle
from radrl.scoring import registry
from radrl.scoring.own import find
from radrl.scoring.rewards import load_rewards

DOCS = Path(__file__).parents[2] / "docs" / "rewards.md"
EXAMPLES = [
    Example(id="one", task="report", question="q", reference="One nodule. A mass."),
    Example(id="two", task="report", question="q", reference="A nodule and a nodule."),
]
HEAD = "from radrl.example import Score\nfrom radrl.scoring import scorer\n"


def documented():
    """The recipe's lines and the file of the docs, as they stand there."""
    part = DOCS.read_text().partition("## A scorer of your own")[2]
    return tuple(re.search(rf"```{kind}\n(.*?)```", part, re.DOTALL)[1] for kind in ("yaml", "python"))


@pytest.fixture
def make(tmp_path):
    """Makes a recipe with this file beside it, in a folder of this name; the file is the documented one."""
    _, file_of_docs = documented()

    def made(source=file_of_docs, lines="rewards: {report: [{scorer: my_rewards.py:mine}]}", folder="a"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "my_rewards.py").write_text(source)
        file = tmp_path / folder / "recipe.yaml"
        file.write_text(f"out: run\nmodel: {{start: tiny}}\n{lines}\n")
        return file

    return made


def rewards(recipe, texts, examples=EXAMPLES):
    return {f.__name__: f(texts, example=examples) for f in load_rewards(recipe)}


def body(text, decorator='@scorer("mine", tasks=("report",))'):
    return f"{HEAD}{decorator}\ndef mine(examples, answers):\n    {text}\n"


def test_the_documented_example_is_a_reward_and_a_metric(make):
    lines, source = documented()
    recipe = load_recipe(make(source, lines))
    said = ["A nodule, a nodule.", "Two masses."]
    name = "report/my_rewards.py:lesion_count"
    assert rewards(recipe, said)[name] == [0.5, 1 / 2]
    assert f"rewards/{name}/mean" in DOCS.read_text()  # TRL's key in log.json
    given = [parse(text, e, PromptStyle()) for text, e in zip(said, EXAMPLES, strict=True)]
    columns = score_cases(EXAMPLES, [given], select_scorers(recipe, {"report": 2}).scorers).columns
    metric = columns["my_rewards.py:lesion_count"]
    assert metric.by_case.tolist() == [0.5, pytest.approx(1 / 3)]
    assert columns["my_rewards.py:lesion_count(word=mass)"].by_case.tolist() == [0.5, 0.5]
    assert metric.metric.about.startswith("scorer my_rewards.py:lesion_count (sha256 ")
    assert (metric.metric.better, metric.metric.low, metric.metric.high) == ("higher", 0, 1)


def test_it_is_a_gate_and_answers_without_text_have_the_worst_value(make):
    source = body("return [Score(a.text.count('x') / 4) for a in answers]")
    gated = make(source, "rewards: {report: [{scorer: length, gate: my_rewards.py:mine}]}")
    assert rewards(gated, ["x x", " "]) == {"report/length": [1.0, 0.0]}
    worst = make(body("return [Score(5) for _ in examples]", '@scorer("mine", tasks=["report"], low=-2, high=9)'))
    assert rewards(worst, ["a", ""]) == {"report/my_rewards.py:mine": [5.0, -2]}


@pytest.mark.parametrize("workers", ["2", "ray"])
def test_workers_give_the_same_and_the_same_line(make, workers, refusal):
    ray = pytest.importorskip("ray") if workers == "ray" else None

    def end(function):
        ray.shutdown() if ray else function.rewards._pool.executor.shutdown()

    source = body("return [None if 'x' in a.text else Score(1 / len(a.text)) for a in answers]")
    recipe = make(source)
    texts, examples = ["a", "ab", "x", "abcd"], [EXAMPLES[0]] * 2 + [EXAMPLES[1]] * 2
    alone = rewards(recipe, texts, examples)
    assert alone == {"report/my_rewards.py:mine": [1, 0.5, None, 0.25]}
    recipe.write_text(recipe.read_text() + f"scoring: {{workers: {workers}}}\n")
    (function,) = load_rewards(recipe)
    (recipe.parent / "my_rewards.py").write_text("broken(")  # what was checked is what runs
    assert function(texts, example=examples) == alone["report/my_rewards.py:mine"]
    end(function)
    (recipe.parent / "my_rewards.py").write_text(source.replace("1 / len(a.text)", "7"))
    (function,) = load_rewards(recipe)
    message = refusal(function, texts, example=examples)
    assert message.endswith("my_rewards.py:3: scorer 'mine' gives 7, outside [0.0, 1.0], for 'one'")
    end(function)


def test_radrl_score_reads_it(tmp_path, make, monkeypatch):
    monkeypatch.chdir(make().parent)
    Path("p.jsonl").write_text('{"id": "1", "text": "A mass."}\n')
    Path("r.jsonl").write_text('{"id": "1", "text": "A mass, a mass."}\n')
    named = "bleu_1,my_rewards.py:lesion_count(word=mass)"
    done = CliRunner().invoke(app, ["score", "p.jsonl", "r.jsonl", "--scorers", named, "--json", "o.json"])
    assert done.exit_code == 0, done.output
    assert json.loads(Path("o.json").read_text())["my_rewards.py:lesion_count(word=mass)"] == 0.5


def test_nothing_of_it_is_seen_elsewhere(make, refusal):
    before = dict(registry._SCORERS)
    source = body("return [Score(0.25) for _ in examples]", '@scorer("finding_f1", tasks=("report",))')
    own = make(source, "rewards: {report: [{scorer: finding_f1}, {scorer: my_rewards.py:finding_f1}]}")
    found = rewards(own, ["One nodule.", "Clear."])
    assert found["report/my_rewards.py:finding_f1"] == [0.25, 0.25]
    assert found["report/finding_f1"] != [0.25, 0.25]
    assert before == registry._SCORERS
    other = make(body("return [Score(0.5) for _ in examples]"), folder="b")
    assert rewards(other, ["a", "b"]) == {"report/my_rewards.py:mine": [0.5, 0.5]}
    assert "registers no scorer 'finding_f1'" in refusal(
        load_recipe, make(body("pass"), "rewards: {report: [{scorer: my_rewards.py:finding_f1}]}", folder="b")
    )


def test_two_files_of_one_name_are_refused(make, refusal):
    make(folder="b")
    both = "[my_rewards.py:lesion_count, ../b/my_rewards.py:lesion_count]"
    assert "rename one of the files" in refusal(load_recipe, make(lines=f"evaluation: {{metrics: {both}}}"))


def test_the_kept_recipe_is_of_this_text_of_the_file_alone(make, tmp_path, refusal):
    lines = "rewards: {report: [{scorer: finding_f1, gate: my_rewards.py:lesion_count}]}\n"
    recipe = make(lines=lines + "evaluation: {metrics: [my_rewards.py:lesion_count]}")
    kept = tmp_path / "kept.yaml"
    kept.write_text(load_recipe(recipe).to_yaml())
    again = load_recipe(kept)
    assert again.to_yaml() == kept.read_text()
    assert rewards(again, ["One nodule.", ""]) == rewards(recipe, ["One nodule.", ""])
    with (recipe.parent / "my_rewards.py").open("a") as file:
        file.write("# changed\n")
    load_recipe(recipe)
    assert f"{recipe.parent / 'my_rewards.py'}: has changed" in refusal(load_recipe, kept)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (f"{HEAD}def mine(examples, answers): pass", "no scorer 'mine'; put @scorer(\"mine\""),
        (body("pass", '@scorer("mine_", tasks=("report",))'), "no scorer 'mine' (did you mean 'mine_'?)"),
        ("", "registers no scorer 'mine'; it has: none"),
        (f"{HEAD}\nx = (\n", "my_rewards.py:4: SyntaxError"),
        (f"{HEAD}\nimport no_such_package\n", "my_rewards.py:4: ModuleNotFoundError: No module named"),
        (f"{HEAD}\nraise SystemExit(0)\n", "my_rewards.py:4: SystemExit: 0"),
        (f'{HEAD}@scorer("mine")\ndef mine(e, a): pass', "my_rewards.py:3: TypeError"),
        (f'{HEAD}@scorer("mine", tasks=("report",))\ndef mine(examples): pass', "py:3: scorer 'mine' should take"),
        (f'{HEAD}@scorer("mine", tasks=("report",))\ndef mine(e, a, *, x): pass', "missing a required"),
        (f'{HEAD}@scorer("mine", tasks=("report",))\ndef mine(e, a: Lost): pass', "name 'Lost' is not defined"),
        (f'{HEAD}@scorer("mine", tasks=("report",))\nasync def mine(e, a): pass', "is no plain function"),
        (f'{HEAD}@scorer("mine", tasks=("report",))\nclass mine: pass', "is no plain function"),
        (body("pass", '@scorer("mine", tasks=("report"))'), "should have tasks=(...)"),
        (body("pass", '@scorer("mine", tasks=("reports",))'), "should have tasks=(...)"),
        (body("pass", '@scorer("mine", tasks=("report",), low=1)'), "a low below its high"),
        (body("pass", '@scorer("mine", tasks=("report",), low=float("-inf"))'), "a finite worst value"),
        (body("pass", '@scorer("mine", tasks=("report",), kind="neural")'), "may not set kind"),
        (body("pass", '@scorer("mine", tasks=("vqa_open",))'), "'my_rewards.py:mine' scores vqa_open, not report"),
    ],
)
def test_a_wrong_file_is_one_line_before_anything_is_loaded(make, refusal, source, said):
    assert said in refusal(load_recipe, make(source))


@pytest.mark.parametrize("name", ["none.py:mine", "my_rewards.py:", "a/b.py:mine", "\x01.py:mine"])
def test_a_wrong_name_is_one_line(make, refusal, name):
    assert "rewards.report.0.scorer" in refusal(
        load_recipe, make(lines=f"rewards: {{report: [{{scorer: {json.dumps(name)}}}]}}")
    )


@given(st.text() | st.from_regex(r"[^\0]*\.py:.*", fullmatch=True), st.binary())
def test_any_name_and_any_file_give_a_scorer_or_one_line(tmp_path_factory, name, source):
    file = tmp_path_factory.getbasetemp() / "any.py"
    file.write_bytes(source)
    for named in (name, f"{file}:{name}"):
        with contextlib.suppress(UserError):
            find(named, Path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("return [Score(float('nan'))] * 2", "py:3: scorer 'mine' gives nan, outside [0.0, 1.0], for 'one'"),
        ("return [Score(e.id == 'one' or 2) for e in examples]", "gives 2, outside [0.0, 1.0], for 'two'"),
        ("return [0.5 for _ in examples]", "should give Score(number) or None, not float, for 'one'"),
        ("return [Score('secret') for _ in examples]", "should give Score(number) or None, not str, for 'one'"),
        ("return [Score(1)]", "gives 1 values for 2 Examples; the first that does not fit is for 'two'"),
        ("return [Score(1)] * 3", "gives 3 values for 2 Examples"),
        ("pass", "py:3: scorer 'mine' fails with TypeError for 'one'"),
        ("return [Score(int(e.reference)) for e in examples]", "py:5: scorer 'mine' fails with ValueError for 'one'"),
        ("return [Score(1 / (e.id != 'two')) for e in examples]", "mine' fails with ZeroDivisionError for 'two'"),
        ("raise SystemExit(0)", "py:5: scorer 'mine' fails with SystemExit for 'one'"),
    ],
)  # fmt: skip
def test_a_wrong_score_is_one_line_with_the_case_and_without_its_text(make, refusal, text, said):
    functions = load_rewards(make(body(text)))
    message = refusal(functions[0], ["secret a", "secret b"], example=EXAMPLES)
    assert said in message
    assert "secret" not in message
    assert "nodule" not in message

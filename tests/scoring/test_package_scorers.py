"""Scorers of installed packages: found by name, refused in one line, imported only when they are named."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import radrl
from radrl.commands.score import scorer_lines
from radrl.scoring import own, registry

PACKAGE = Path(__file__).parents[1] / "helpers/external_package"
SCORER = """
from radrl.example import Score
from radrl.scoring import scorer
@scorer("{name}", tasks=("report",){more})
def {name}(examples, answers):
    return [Score(1.0)] * len(examples)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed("name", "module:function", package="one", module=text)`` installs a package that offers a scorer."""

    def call(name, value, package="one", **modules):
        folder = tmp_path / f"{package}-2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2\n")
        (folder / "entry_points.txt").write_text(f"[radrl.scorers]\n{name} = {value}\n")
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)
        own.in_packages.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield call
    own.in_packages.cache_clear()
    own.of_package.cache_clear()


def test_a_package_that_cannot_be_used_is_refused_and_listed_with_the_reason(installed, refusal):
    installed("broken", "broken_scorer:f", broken_scorer="import no_such_module")
    installed("plain", "plain_scorer:f", package="two", plain_scorer="def f(examples, answers): return []")
    wrong = SCORER.format(name="wrong", more=', kind="neural"')
    installed("wrong", "wrong_scorer:wrong", package="three", wrong_scorer=wrong)
    assert "package one 2: its 'broken' (broken_scorer:f) cannot be imported: ModuleNotFound" in refusal(
        own.find, "broken", Path
    )
    assert "package two 2: its 'plain' (plain_scorer:f) is no function below @scorer" in refusal(
        own.find, "plain", Path
    )
    assert "wrong_scorer.py:4: scorer 'wrong' may not set kind" in refusal(own.find, "wrong", Path)
    lines = {line.split()[0]: line for line in scorer_lines()}
    assert "cannot be used: package one 2: its 'broken'" in lines["broken"]
    assert "0 to 1" in lines["finding_f1"]


def test_names_that_stand_twice_are_refused(installed, refusal):
    installed("finding_f1", "somewhere:f")
    assert "package one 2: its scorer 'finding_f1' has the name of one of radrl's" in refusal(
        own.find, "finding_f1", Path
    )
    installed("twice", "somewhere:f", package="two")
    installed("twice", "elsewhere:f", package="three")
    assert "'twice' is offered by" in refusal(own.find, "twice", Path)


def test_it_takes_no_built_in_s_place_and_goes_to_other_processes_by_its_name(installed):
    before = set(registry.names())
    source = SCORER.format(name="mine", more="") + SCORER.format(name="finding_f1", more="")
    installed("mine", "mine_scorer:mine", mine_scorer=source)
    scorer = own.find("mine", Path)
    assert (scorer.name, scorer.package, scorer.origin) == ("mine", "one 2", "one 2")
    assert set(registry.names()) == before
    assert own.find("finding_f1", Path).function.__module__.startswith("radrl.")
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert all(registry.is_own(name) for name in before)


def test_an_unknown_name_may_mean_a_package_s(installed, refusal):
    installed("lesion_count", "no_such_module_at_all:f")
    assert "unknown scorer 'lesion_cuont' (did you mean 'lesion_count'?)" in refusal(own.find, "lesion_cuont", Path)


def test_the_scorer_of_an_installed_package_scores_and_is_imported_only_then(tmp_path):
    for name, text in (("said", "A nodule."), ("right", "No mass. A nodule.")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": "a", "text": text}) + "\n")
    recipe = "out: run\nmodel: {start: tiny}\nrewards: {report: [{scorer: lesion_words, options: {word: mass}}]}\n"
    (tmp_path / "r.yaml").write_text(recipe)
    script = """
import sys
from radrl.commands.load_recipe import load_recipe
from radrl.commands.main import main
from radrl.scoring import load_rewards, own
from pathlib import Path
own.find("finding_f1", Path)
assert "clinic_scorers" not in sys.modules
load_recipe("r.yaml")
assert "clinic_scorers" in sys.modules
(reward,) = load_rewards("r.yaml")
print(reward.__name__, reward.scorer.package)
for words in (["score", "--list"], ["score", "said.jsonl", "right.jsonl", "--scorers", "lesion_words"]):
    sys.argv = ["radrl", *words]
    try:
        main()
    except SystemExit:
        pass
"""
    path = os.pathsep.join([str(Path(radrl.__file__).parents[1]), str(PACKAGE)])
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = ended.stdout.splitlines()
    assert lines[0] == "report/lesion_words clinic-plugins 0.1"
    (listed,) = (line for line in lines[1:-1] if line.startswith("lesion_words"))
    assert listed.split("  ")[-1].strip() == "clinic-plugins 0.1"
    assert lines[-1].split() == ["lesion_words", "1.000000"]

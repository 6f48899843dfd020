"""The commands of docs/first_run.md, run as the page has them on somebody else's folder of pictures with a CSV."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import radrl
from radrl.commands.load_recipe import load_recipe
from radrl.data import phantom
from radrl.manifest.example_set import read_manifests

PAGE = Path(__file__).parents[1] / "docs/first_run.md"


def code_blocks(language: str) -> list[str]:
    """Returns the code blocks of one language on the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder as somebody else would have it: films/*.png and reports.csv; nothing of ours."""
    drawn, folder = tmp_path / "drawn", tmp_path / "mine"
    phantom.write(drawn, {"all": 60}, size=192, seed=3, workers=1)
    (folder / "films").mkdir(parents=True)
    with open(folder / "reports.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "patient", "report", "effusion"])
        for report in read_manifests([drawn / "all.jsonl"]).select(["report"]):
            name = f"film{Path(report.images[0]).name}"
            shutil.copy(drawn / report.images[0], folder / "films" / name)
            effusion = any(f.name == "pleural effusion" and f.presence == "present" for f in report.findings)
            table.writerow([name, report.patient, report.reference, "yes" if effusion else "no"])
    shutil.rmtree(drawn)
    return folder


def test_the_recipes_of_the_page_are_read(tmp_path):
    for number, block in enumerate(code_blocks("yaml")):
        (tmp_path / f"{number}.yaml").write_text(block, encoding="utf-8")
        load_recipe(tmp_path / f"{number}.yaml")


@pytest.mark.slow
def test_the_page_runs(folder):
    for block in (*code_blocks("python"), *code_blocks("yaml")):
        name = block.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(block, encoding="utf-8")
    commands = [line for block in code_blocks("bash") for line in block.splitlines()]
    assert len(commands) == 7
    environment = os.environ | {"PYTHONPATH": str(Path(radrl.__file__).parents[1])}
    programs = {"python": [sys.executable], "radrl": [sys.executable, "-m", "radrl"]}  # of this environment
    printed = ""
    for command in commands:
        program, *arguments = command.split()
        run = [*programs[program], *arguments]
        done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        printed += done.stdout
    assert re.search(r"\b0  patient in two splits", printed)
    table = (folder / "runs/judged/table.md").read_text(encoding="utf-8")
    assert "**SFT** | **GRPO**" in table
    assert "Closed VQA: accuracy" in table
    assert (folder / "runs/judged/page.html").stat().st_size > 100_000

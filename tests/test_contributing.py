"""The example diffs of CONTRIBUTING.md: each is applied to a copy of the tree, and its test passes there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DIFFS = re.findall(
    r"^## Add a (\w+)\n.*?^```diff\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "diff"), DIFFS, ids=[name for name, _ in DIFFS])
def test_an_example_can_be_applied_and_its_test_passes(name, diff, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (tmp_path / "example.diff").write_text(diff, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {' '.join(command)}\n{done.stdout}{done.stderr}"

    run("git", "apply", "example.diff")
    files = re.findall(r"^\+\+\+ b/(\S+)", diff, re.M)
    run(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *[file for file in files if file.startswith("tests/")]
    )
    if name == "reader":  # the test of all sets finds it by the name of its made-up copy
        every_set = ("tests/data/published/test_prepare.py", "-k", "our_clinic")
        run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *every_set)
    run(sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", *files)
    run(sys.executable, "-m", "ruff", "format", "--check", "--quiet", "--no-cache", *files)


def test_there_is_an_example_of_each():
    assert [name for name, _ in DIFFS] == ["scorer", "reader", "metric"]

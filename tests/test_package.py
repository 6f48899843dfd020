"""The wheel: everything that radrl reads at run time is in it, and it works where the source tree is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the source and unpacked."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = f"from setuptools.build_meta import build_wheel; print(build_wheel({str(out)!r}))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = out.glob("radrl-*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(out / "installed")
    return out / "installed"


def files(folder: Path) -> set[Path]:
    return {
        file.relative_to(folder) for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.mark.slow
def test_every_file_of_the_source_is_in_the_wheel(installed):
    assert files(installed / "radrl") == files(ROOT / "src" / "radrl")
    assert Path("py.typed") in files(installed / "radrl")


@pytest.mark.slow
def test_it_runs_away_from_the_source(installed, tmp_path):
    code = (
        f"import radrl; assert radrl.__file__.startswith({str(installed)!r}); import radrl.commands.main as m; m.main()"
    )
    for arguments in (["demo", "--help"], ["score", "--gallery"], ["data", "list"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(installed)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout

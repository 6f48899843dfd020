"""Loggers: TensorBoard, W&B and Trackio, each where it is installed, hold the figures of log.json; a missing one is a
line before anything is begun."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas
import pytest
from small_grpo import RUN

from radrl.commands import train
from radrl.training.checks import loggers, packages_needed

ROOT = Path(__file__).parents[3]
LOGGERS = ("tensorboard", "wandb", "trackio")


def values_tensorboard(folder: Path) -> dict[int, dict[str, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = folder.glob("grpo/runs/*/events*")
    events = EventAccumulator(str(file))
    events.Reload()
    found: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            found.setdefault(event.step, {})[name] = event.value
    return found


def values_wandb(folder: Path) -> dict[int, dict[str, float]]:
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("grpo/wandb/offline-run-*/*.wandb")
    content, at, whole = file.read_bytes(), 7, b""  # a log as LevelDB's: blocks of 32 KiB, parts with a head of 7 bytes
    found: dict[int, dict[str, float]] = {}
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind not in (1, 4):  # neither whole nor the last part
            continue
        record, whole = Record.FromString(whole), b""
        row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        if "train/global_step" in row:
            found.setdefault(row["train/global_step"], {}).update(row)
    return found


def values_trackio(folder: Path) -> dict[int, dict[str, float]]:
    (file,) = folder.glob("trackio/*.db")
    found: dict[int, dict[str, float]] = {}
    with sqlite3.connect(file) as base:
        for (text,) in base.execute("SELECT metrics FROM metrics"):
            row = json.loads(text)
            if "train/global_step" in row:
                found.setdefault(row["train/global_step"], {}).update(row)
    return found


@pytest.fixture(scope="module")
def run(phantom_set, tmp_path_factory) -> Path:
    """The folder of a command that logs to all that are installed, its completions too, and has nobody to ask."""
    folder = tmp_path_factory.mktemp("loggers")
    there = [name for name in LOGGERS if importlib.util.find_spec(name)]
    if not there:
        pytest.skip("none is installed")
    (folder / "recipe.yaml").write_text(
        f"out: .\nmodel: {{start: tiny, image_size: 64}}\ndata: {{train: ['{phantom_set}/train.jsonl']}}\n"
    )
    changes = [*RUN, "grpo.max_steps=2", f"grpo.report_to={json.dumps(there)}", "grpo.log_completions=true"]
    command = [sys.executable, "-m", "radrl", "grpo", "recipe.yaml", *(f"--set={change}" for change in changes)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TRACKIO", "TENSORB"))}
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "TRACKIO_DIR": str(folder / "trackio"), "HOME": str(folder)},  # and no key in a home folder
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", LOGGERS)
def test_each_logger_holds_the_figures_of_the_log(run, name):
    pytest.importorskip(name)
    found = globals()[f"values_{name}"](run)
    log = [row for row in json.loads((run / "grpo" / "log.json").read_text()) if "reward" in row]
    assert [row["step"] for row in log] == [1, 2]
    for row in log:
        figures = {key: value for key, value in row.items() if isinstance(value, float) and key != "epoch"}
        assert {"loss", "reward", "audit/warnings", "grad_norm"} <= figures.keys()
        there = {key: found[row["step"]][f"train/{key}"] for key in figures}
        assert there == pytest.approx(figures, rel=1e-6)  # TensorBoard's are float32


def test_completions_are_in_the_tables_of_wandb(run):
    pytest.importorskip("wandb")
    tables = [json.loads(file.read_text()) for file in run.glob("grpo/wandb/offline-run-*/files/media/table/*.json")]
    step, prompt, completion = (tables[0]["columns"].index(name) for name in ("step", "prompt", "completion"))
    rows = [row for table in tables for row in table["data"]]
    assert {row[step] for row in rows} == {1, 2}
    assert all(row[prompt].startswith("user: [image]") and isinstance(row[completion], str) for row in rows)


def test_completions_and_their_films_are_in_tensorboard(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = run.glob("grpo/runs/*/events*")
    events = EventAccumulator(str(file), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    films = {tag: events.Images(tag) for tag in events.Tags()["images"]}
    assert {tag: [(one.step, one.width, one.height) for one in of_tag] for tag, of_tag in films.items()} == {
        f"films/{k}": [(1, 64, 64), (2, 64, 64)] for k in (1, 2)
    }
    texts = events.Tensors("completions/1/text_summary")
    tables = [one.tensor_proto.string_val[0].decode() for one in texts]
    logged = [pandas.read_parquet(run / "grpo" / "completions" / f"completions_{step:05}.parquet") for step in (1, 2)]
    for table, frame in zip(tables, logged, strict=True):
        assert table.startswith("user: [image]")
        assert all(f"| {advantage:.3g} |" in table for advantage in frame["advantage"][:2])


def test_films_go_along_to_wandb_and_trackio(run):
    if importlib.util.find_spec("wandb"):
        films = list(run.glob("grpo/wandb/offline-run-*/files/media/images/films_*.png"))
        assert len(films) == 2  # one a step: all groups are of one film, which is kept once
    if importlib.util.find_spec("trackio"):
        assert list(run.glob("trackio/media/**/*.png"))  # by TRL itself


@pytest.mark.parametrize(
    ("name", "install"),
    [("tensorboard", "'radrl[tensorboard]'"), ("wandb", "'radrl[wandb]'"), ("trackio", "'radrl[trackio]'"),
     ("mlflow", "mlflow")],
)  # fmt: skip
def test_a_logger_that_is_not_installed_is_a_line_before_anything_is_begun(
    make_recipe, refusal, monkeypatch, name, install
):
    monkeypatch.setattr(packages_needed.importlib.util, "find_spec", lambda wanted: None)
    recipe = make_recipe(f"sft.report_to=[{name}]", f"coldstart.sft={{report_to: {name}}}", f"grpo.report_to={name}")
    for stage, section in ((train.run_sft, "sft"), (train.run_coldstart, "coldstart.sft"), (train.run_grpo, "grpo")):
        said = refusal(stage, recipe)
        assert f"key '{section}.report_to': '{name}' needs the package {name}: pip install {install}" in said
    assert not recipe.path("run").exists()


def test_the_extras_that_are_named_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [(package, extra) for package, extra in loggers.PACKAGES.values() if extra]
    assert all(any(re.match(package, wanted) for wanted in extras[extra]) for package, extra in named)


@pytest.mark.parametrize(
    ("asked", "said"), [("wandbb", "did you mean 'wandb'?"), ("comet_ml", "'comet_ml': CometCallback requires")]
)
def test_a_logger_that_is_none_or_not_set_up_is_a_line(make_recipe, refusal, asked, said):
    assert said in refusal(loggers.check, make_recipe(f"sft.report_to={asked}"), "sft")


def test_wandb_stays_on_this_machine_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    with loggers.kept_in(tmp_path):
        assert (os.environ["WANDB_MODE"], os.environ["WANDB_DIR"]) == ("offline", str(tmp_path))
    assert not {"WANDB_MODE", "WANDB_DIR"} & os.environ.keys()
    monkeypatch.setenv("WANDB_MODE", "online")
    with loggers.kept_in(tmp_path):
        assert os.environ["WANDB_MODE"] == "online"
    assert os.environ["WANDB_MODE"] == "online"

"""The command line: what a user gets wrong is one line on standard error and exit code 2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch

from radrl import __version__
from radrl.commands import train

SFT = "sft: {max_steps: 2, per_device_train_batch_size: 4}\n"


@pytest.fixture
def folder(tmp_path, phantom_set, monkeypatch):
    """A working folder with 6 Examples to train on, 12 to test on, and a recipe for it."""
    lines = (phantom_set / "train.jsonl").read_text().splitlines(keepends=True)[:12]
    (tmp_path / "train.jsonl").write_text("".join(lines[:6]))
    (tmp_path / "test.jsonl").write_text("".join(lines))
    shutil.copytree(phantom_set / "images", tmp_path / "images")
    (tmp_path / "r.yaml").write_text(
        f"out: run\nmodel: {{start: tiny, image_size: 64}}\ndata: {{train: [train.jsonl], test: [test.jsonl]}}\n{SFT}"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def complaint(radrl):
    """``complaint("sft", "r.yaml")`` runs a command that must fail by the user's mistake; returns the line."""

    def run(*arguments):
        code, _, err = radrl(*arguments)
        lines = err.splitlines()
        assert code == 2, err
        assert len(lines) == 1, err
        assert lines[0].startswith("radrl: ")
        return lines[0]

    return run


def test_version_in_a_process_of_its_own():
    run = subprocess.run([sys.executable, "-m", "radrl", "--version"], capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, __version__, "")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["sft", "none.yaml"], ["none.yaml", "no such recipe"]),
        (["sft", "r.yaml", "--set", "sft.max_stepz=3"], ["r.yaml", "sft.max_stepz", "did you mean 'max_steps'?"]),
        (["sft", "r.yaml", "--set", "modle.start=tiny"], ["'modle'", "did you mean 'model'?"]),
        (["sft", "r.yaml", "--set", "sft.max_steps=many"], ["sft.max_steps", "'many'", "a whole number"]),
        (["sft", "r.yaml", "--set", "seed=-1"], ["'seed'", "greater than or equal to 0"]),
        (["sft", "r.yaml", "--set", "seed"], ["--set seed", "key=value"]),
        (["sft", "r.yaml", "--set", "data.train=[none.jsonl]"], ["none.jsonl", "no such manifest"]),
        (["sft", "r.yaml", "--set", "data.train=[empty.jsonl]"], ["empty.jsonl", "the data set is empty"]),
        (["sft", "r.yaml", "--set", "data.train=[]"], ["data.train", "is empty"]),
        (["sft", "r.yaml", "--set", "data.quality=gold", "--set", "data.tasks=[report]", "--start", "none"], ["none"]),
        (["sft", "r.yaml", "--start", "images"], ["images", "no model here"]),
        (["grpo", "r.yaml"], ["r.yaml", "no rewards for task", "data.tasks"]),
        (["evaluate", "r.yaml", "--model", "run", "--out", "e"], ["--model run", "NAME=FOLDER"]),
        (["data", "prepare", "covid_lung", "--root", ".", "--out", "o"], ["did you mean 'covid_lungs'?"]),
        (
            ["data", "prepare", "covid_lungs", "--root", ".", "--out", "o"],
            ["holds no metadata.jsonl", "radrl data list"],
        ),
        (["phantom", "--out", "p", "--train", "0"], ["'train'", "give 1 to"]),
        (["phantom", "--out", "."], ["not a phantom data set"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_is_one_line(folder, complaint, arguments, wanted):
    (folder / "empty.jsonl").touch()
    line = complaint(*arguments)
    assert all(part in line for part in wanted), line


def test_memory_that_does_not_suffice_is_one_line(folder, complaint, monkeypatch):
    monkeypatch.setattr(train, "train_sft", lambda *_, **__: torch.empty(2**58))
    line = complaint("sft", "r.yaml")
    assert line.startswith("radrl: out of memory (")
    assert "take a smaller batch (per_device_train_batch_size" in line


def test_a_wrong_line_of_a_manifest_is_named(folder, complaint):
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"id": "x", "task": "poem", "question": "q"}\n')
    line = complaint("sft", "r.yaml")
    assert "train.jsonl:7: key 'task'" in line


@pytest.mark.slow
def test_a_broken_or_missing_image_stops_training_with_one_line(folder, complaint):
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    rows[3]["images"] = ["two\nlines.png"]
    (folder / "two\nlines.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # in a process of its own: transformers and TRL write to standard error too
    run = subprocess.run([sys.executable, "-m", "radrl", "sft", "r.yaml"], capture_output=True, text=True)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("radrl: ")
    assert "lines.png: not a readable DICOM, PNG, JPEG, WebP, TIFF or BMP" in line
    (folder / "two\nlines.png").unlink()
    line = complaint("sft", "r.yaml", "--resume")
    assert rows[3]["id"] in line
    assert "is missing" in line


def test_a_folder_without_a_processor_is_refused(folder, tiny_folder, complaint):
    shutil.copytree(tiny_folder, folder / "model")
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / "model" / name).unlink(missing_ok=True)
    line = complaint("sft", "r.yaml", "--start", "model")
    assert "no processor here" in line


@pytest.mark.slow
def test_train_resume_and_evaluate(folder, radrl, complaint):
    code, out, err = radrl("sft", "r.yaml")
    assert code == 0, err
    assert out.splitlines()[-1] == f"Model: {folder / 'run/sft/model'}"
    assert "add --resume" in complaint("sft", "r.yaml")
    assert radrl("sft", "r.yaml", "--resume")[0] == 0
    judge = (
        "evaluate", "r.yaml", "--model", "SFT=run/sft/model", "--model", "SFT, thinking=run/sft/model/think",
        "--out", "judged", "--against",
    )  # fmt: skip
    assert "no such model (did you mean 'SFT, thinking'?)" in complaint(*judge, "SFT, thinkin")
    code, out, err = radrl(*judge, "SFT, thinking")
    assert code == 0, err
    assert "Difference to SFT, thinking:" in (folder / "judged/table.md").read_text()
    assert out.splitlines()[-1] == "Page: judged/page.html"
    assert {file.name for file in (folder / "judged").iterdir()} == {
        "cases.parquet", "comparison.json", "page.html", "predictions", "table.csv", "table.md", "table.tex",
    }  # fmt: skip
    predictions = [json.loads(line) for line in (folder / "judged/predictions/SFT.jsonl").open()]
    assert len(predictions) == 12
    headers = {
        name: json.loads((folder / f"judged/predictions/{name}.json").read_text()) for name in ("SFT", "SFT__thinking")
    }
    assert [header["prompt"]["thinking"] for header in headers.values()] == [False, True]
    assert {row["settings"] for row in predictions} == {headers["SFT"]["hashes"]["settings"]}
    # finished evaluations compared: once more the same figures, and two files as seeds of one model
    code, out, err = radrl("compare", "judged", "--out", "compared", "--against", "SFT, thinking")
    assert code == 0, err
    cells = [json.loads((folder / name / "comparison.json").read_text())["cells"] for name in ("judged", "compared")]
    assert cells[0] == cells[1]
    assert "one file stands twice" in complaint("compare", "--model", "SFT=judged,judged/", "--out", "seeds")
    for end in ("json", "jsonl"):
        shutil.copy(folder / f"judged/predictions/SFT.{end}", folder / f"again.{end}")
    seeds = "judged/predictions/SFT.jsonl,again.jsonl"
    code, _, err = radrl("compare", "judged", "--model", f"two seeds={seeds}", "--out", "seeds")
    assert code == 0, err
    cells = json.loads((folder / "seeds/comparison.json").read_text())["cells"]
    assert [c and c["mean"] for c in cells["two seeds"].values()] == [c and c["mean"] for c in cells["SFT"].values()]
    lines = (folder / "judged/predictions/SFT.jsonl").read_text().splitlines(keepends=True)
    (folder / "some.jsonl").write_text("".join(lines[:-1] + lines[:1]))
    line = complaint("evaluate", "r.yaml", "--model", "some=some.jsonl", "--out", "some")
    assert "some.jsonl: 1 missing ids" in line
    assert "1 ids that stand twice" in line
    assert not (folder / "some/comparison.json").exists()


def test_ctrl_c_is_one_line_too(folder, radrl, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("radrl.training.sft.RadrlSFTTrainer.train", stop)
    code, _, err = radrl("sft", "r.yaml")
    assert code == 130
    assert err.splitlines()[-1] == "radrl: stopped; run the same command with --resume to go on"

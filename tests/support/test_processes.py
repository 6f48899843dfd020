"""Several processes: which one this is, and a launcher that starts fewer than asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from radrl.support import processes


def test_accelerate_that_starts_one_of_two_processes_is_told_so_before_anything_is_read(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "radrl"]
    (tmp_path / "recipe.yaml").write_text("out: run\nmodel: {start: tiny}\ndata: {train: [nothing.jsonl]}\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [*launch, "sft", str(tmp_path / "recipe.yaml")], env=environment, text=True, capture_output=True, timeout=120
    )
    assert ended.returncode != 0
    assert [line for line in ended.stderr.splitlines() if line.startswith("radrl:")] == [f"radrl: {processes.ALONE}"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ACCELERATE_MIXED_PRECISION": "no"},  # accelerate with one process
        {"MASTER_ADDR": "10.0.0.1"},  # a cluster's
        {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"},
        {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "OMPI_COMM_WORLD_SIZE": "2"},
    ],
)
def test_other_launches_are_left_alone(monkeypatch, given):
    for name in ("ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    processes.check_launch()


LAST = """
import sys, time
from pathlib import Path
from torch import distributed
from radrl.support import processes

distributed.init_process_group("gloo")
if processes.rank() == 0:
    time.sleep(1)
    Path(sys.argv[1]).write_text("the model")
processes.end_together()
assert Path(sys.argv[1]).is_file()
"""


def test_no_process_goes_before_the_first_has_saved(tmp_path):
    (tmp_path / "last.py").write_text(LAST)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command += [str(tmp_path / "last.py"), str(tmp_path / "model")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]

"""Two processes, with DDP and with FSDP2 on gloo, learn as one process does with TRL's own path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefix_models import in_float64
from prefix_process import train

HERE = Path(__file__).parents[2] / "helpers"


@pytest.mark.slow
def test_two_processes_learn_as_one_with_trls_own_path(tmp_path, monkeypatch):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(HERE / "prefix_process.py"), str(tmp_path), "ddp", "fsdp2"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as two:
        in_float64(monkeypatch)
        stock = train(tmp_path, "stock")
        output, _ = two.communicate(timeout=300)
    assert two.returncode == 0, output[-5000:]
    assert max(row["kl"] for row in stock) > 0.01  # it has moved
    for how in ("ddp", "fsdp2"):
        log = json.loads((tmp_path / f"{how}.json").read_text())
        assert len(log) == len(stock) == 4
        for row, wanted in zip(log, stock, strict=True):
            for key in ("loss", "kl", "reward"):
                if key in wanted:
                    assert row[key] == pytest.approx(wanted[key], rel=1e-6, abs=1e-9), (how, key)
            assert row["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=1e-6), how

"""Run folders: half-written checkpoints and models are never taken for whole."""

from __future__ import annotations

import errno
import resource

import pytest
import torch

from radrl.models import loading
from radrl.training.stage import MARKER, Stage, last_checkpoint


def checkpoint(folder, step, whole=True):
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "model.safetensors").touch()
    if whole:
        (made / MARKER).write_text('{"seconds": 12.5}')
    return made


def test_a_half_written_checkpoint_is_removed_and_the_one_before_taken(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step, whole in ((2, True), (9, True), (10, False), (11, False)):  # 10 is after 9, not before it
        checkpoint(tmp_path, step, whole)
    (tmp_path / "checkpoint-best").mkdir()  # not ours
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-9", "checkpoint-best"]


def test_a_stage_ends_with_its_log_and_without_checkpoints(tmp_path):
    stage = Stage(tmp_path, "SFT")
    checkpoint(tmp_path, 4)
    stage.end([{"loss": 0.5, "step": 1}], steps=1)
    assert stage.done() is None  # no model: it has not ended
    stage.model.mkdir()
    assert stage.done() == {"steps": 1}
    assert stage.log() == [{"loss": 0.5, "step": 1}]
    assert last_checkpoint(tmp_path) is None


@pytest.mark.parametrize("part", ["weights", "processor"])
def test_a_full_disk_leaves_the_older_model_and_no_half_one(tiny, tmp_path, refusal, monkeypatch, part):
    model, processor = tiny
    folder = tmp_path / "model"
    loading.save(model, processor, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with torch.no_grad():
        model.lm_head.weight.add_(1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if part == "processor":
        monkeypatch.setattr(type(processor), "save_pretrained", full)
        message = refusal(loading.save, model, processor, folder)
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the system refuses to write more to a file
        try:
            message = refusal(loading.save, model, processor, folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(folder) in message
    assert "--resume" in message
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]

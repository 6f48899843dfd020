"""A model that cannot be loaded: one line that says why and what to do, each for what the libraries really raise."""

from __future__ import annotations

import json
import shutil

import httpx
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from radrl.models import loading
from radrl.models.cannot_load import cannot_load


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def code(folder):
    """A folder that brings its own code, as many on the hub do."""
    edit(folder, model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model"})
    (folder / "own.py").write_text(f"open({str(folder / 'was_run')!r}, 'w')\nclass Config: pass\nclass Model: pass\n")


def wider(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))


def in_shards(folder):
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456789\n"


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (lambda f: (f / "config.json").write_text("{"), "a .json file of it is broken"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "a .json file of it is broken"),
        (lambda f: edit(f, model_type="qwen9"), "does not know its model_type"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 99), "no whole safetensors file"),
        (lambda f: (f / "model.safetensors").write_text(LFS), "model.safetensors is a Git LFS pointer"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "pickles (.bin) are never read"),
        (in_shards, "a file is missing (No such file or directory"),
        (wider, "its weights and its config.json are of different sizes"),
        (code, "it needs code of its own, which is never run"),
    ],
)
def test_a_damaged_folder_is_told_by_its_damage(tiny_folder, tmp_path, refusal, monkeypatch, damage, wanted):
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # what transformers would ask at a terminal
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    damage(folder)
    message = refusal(loading.load, str(folder))
    assert message.startswith(f"{folder}: cannot be loaded, ")
    assert wanted in message
    assert not (folder / "was_run").exists()


def test_what_is_not_here_and_cannot_be_fetched_is_no_wrong_folder(refusal):
    message = refusal(loading.load, "Qwen/Qwen3-VL-8B-Instruct")  # tests are offline
    assert "not on this machine and the hub cannot be reached" in message
    assert "check the network" in message


def of_torch() -> Exception:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58)
    return caught.value


def of_the_hub(kind: type[Exception], status: int) -> Exception:
    answer = httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/a/b"))
    error = OSError("There was an error, see the link below.")  # transformers raises its own from it
    error.__cause__ = kind("said the hub", response=answer)
    return error


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (of_torch, "out of memory"),
        (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "'model.dtype: bfloat16'"),
        (MemoryError, "out of memory (memory did not suffice)"),
        (lambda: OSError(28, "No space left on device"), "the disk is full"),
        (lambda: of_the_hub(GatedRepoError, 403), "ask for it at https://huggingface.co/a/b and set HF_TOKEN"),
        (lambda: of_the_hub(RepositoryNotFoundError, 404), "the hub has no such model, or not for you"),
        (lambda: PermissionError(13, "Permission denied"), "a file may not be read"),
        (lambda: RuntimeError("something\nnew"), "for a reason of its own (something new); check the folder"),
    ],
)
def test_each_librarys_error_has_its_mend(error, wanted):
    message = str(cannot_load("a/b", error()))
    assert wanted in message
    assert message.isprintable()

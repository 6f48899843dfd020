"""``radrl check-run``: mistakes that strangers make, each planted in a recipe that is right but for it, and found
without a GPU and without weights: their file holds four bytes."""

from __future__ import annotations

import json
import random
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from radrl.commands import main, train
from radrl.training.checks import run_checks

TINY_RECIPE = {
    "out": "runs",
    "model": {"start": "model"},
    "data": {"train": ["data/train.jsonl"], "test": ["data/test.jsonl"]},
    "rewards": {
        "report": [{"scorer": "finding_f1"}],
        "grounding": [{"scorer": "soft_f1"}],
        "vqa_closed": [{"scorer": "vqa_accuracy"}],
        "vqa_open": [{"scorer": "vqa_accuracy"}],
    },
    "sft": {"max_steps": 2},
    "grpo": {"max_steps": 2, "num_generations": 2, "per_device_train_batch_size": 4},
}


@pytest.fixture
def place(tmp_path, phantom_set, tiny_folder, monkeypatch, capsys):
    """A folder with a recipe, its data and a model of four bytes; ``check(*arguments)`` returns code and outputs."""
    shutil.copytree(phantom_set, tmp_path / "data")
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"stub")
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(TINY_RECIPE))

    def check(*arguments, command="check-run"):
        monkeypatch.setattr(sys, "argv", ["radrl", command, str(file), *arguments])
        code = 0
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return SimpleNamespace(folder=tmp_path, check=check)


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def narrow_picture(folder):
    first = json.loads((folder / "data" / "train.jsonl").read_text().splitlines()[0])
    Image.new("L", (910, 4)).save(folder / "data" / first["images"][0])


def lost_picture(folder):
    first = json.loads((folder / "data" / "train.jsonl").read_text().splitlines()[0])
    (folder / "data" / first["images"][0]).unlink()


def no_chat_template(folder):
    (folder / "model" / "chat_template.jinja").unlink()


def lfs_pointer(folder):
    (folder / "model" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def no_weights(folder):
    (folder / "model" / "model.safetensors").unlink()


def adapter_without_base(folder):
    shutil.rmtree(folder / "model")
    (folder / "model").mkdir()
    settings = {"peft_type": "LORA", "base_model_name_or_path": "/data/models/qwen", "r": 8}
    (folder / "model" / "adapter_config.json").write_text(json.dumps(settings))
    (folder / "model" / "adapter_model.safetensors").write_bytes(b"stub")


def three_examples(folder):
    manifest = folder / "data" / "train.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:3]))


def file_for_a_folder(folder):
    (folder / "runs").write_text("")


# where somebody met it; how it is made; the stage; what the line must hold
PLANTED = {
    "huggingface/open-r1#249": (["grpo.num_generations=8"], "grpo", ["'grpo'", "(4) must be divisible by", "(8)"]),
    "NVIDIA-NeMo/RL#921": (
        three_examples, "grpo", ["the data have 3 Examples", "give at least 4"], "grpo.per_device_train_batch_size=8",
    ),
    "hiyouga/LlamaFactory#181": (
        ["model.lora={target_modules: [W_pack]}"], "sft", ["no module 'W_pack'", "q_proj, qkv"],
    ),
    "huggingface/trl#4612": (["model.lora={target_modules: [lm_head]}"], "grpo", ["lm_head", "target_modules"]),
    "bmaltais/kohya_ss#1867": (["sft.optim=adamw_8bit"], "sft", ["'sft.optim'", "pip install bitsandbytes"]),
    "huggingface/trl#2997": (["grpo.use_liger_kernel=true"], "grpo", ["use_liger", "pip install liger-kernel"]),
    "huggingface/trl#4339": (["sft.packing=true"], "sft", ["'sft.packing'"]),
    "2U1/Qwen-VL-Series-Finetune#133": (narrow_picture, "sft", ["Example '", ".png is 910 x 4", "200"]),
    "huggingface/open-r1#85": (no_chat_template, "grpo", ["chat template"]),
    "huggingface/transformers#27923": (lfs_pointer, "sft", ["safetensors is a Git LFS pointer", "git lfs pull"]),
    "hiyouga/LlamaFactory#10158": (lost_picture, "sft", ["train.jsonl: image", "is missing"]),
    "NVIDIA-NeMo/nemo-platform#1156": (["grpo.temperature=0"], "grpo", ["'grpo.temperature'", "above 0"]),
    "modelscope/ms-swift#5608": (adapter_without_base, "sft", ["no such folder: /data/models/qwen"]),
    "h2oai/h2o-llmstudio#214": (file_for_a_folder, "sft", ["runs", "cannot be written"]),
    "a scorer without its weights": (["rewards.report.0.scorer=radgraph"], "grpo", ["scoring.weights.radgraph"]),
    "a folder without its weights": (no_weights, "sft", ["it has no model.safetensors"]),
    "a key with a letter too few": (["grpo.num_generation=2"], "grpo", ["'grpo.num_generation'", "num_generations"]),
}  # fmt: skip


def test_a_right_recipe_passes_and_says_what_it_would_do(place):
    code, out, err = place.check()
    assert (code, err) == (0, "")
    assert "would train 2 steps of 8 rows" in out
    assert "would train 2 steps of 4 completions" in out
    assert not (place.folder / "runs").exists()
    assert place.check("--stage", "evaluate")[0] == 0


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_mistake_is_found_without_weights(place, case):
    planted, stage, wanted, *more = PLANTED[case]
    if callable(planted):
        planted(place.folder)
        planted = more
    code, out, err = place.check("--stage", stage, *(part for one in planted for part in ("--set", one)))
    lines = err.splitlines()
    assert (code, len(lines)) == (2, 1), (out, err)
    assert all(part in lines[0] for part in wanted), lines[0]


def test_training_makes_the_same_checks_before_it_loads(place):
    code, _, err = place.check("--set", "sft.lr_scheduler_type=cosine_with_min_lr", command="sft")
    assert code == 2
    assert "min_lr" in err
    code, _, err = place.check("--set", "sft.output_dir=x", command="sft")
    assert "'out'" in err
    # all is right but the stub
    assert "weights are no whole safetensors file" in place.check("--set", "out=others", command="sft")[2]


def test_several_mistakes_are_all_told(place):
    lost_picture(place.folder)
    code, _, err = place.check("--stage", "sft", "--set", "sft.optim=galore_adamw")
    assert code == 2
    assert [("galore" in line, "is missing" in line) for line in err.splitlines()] == [(True, False), (False, True)]


def test_a_disk_without_room_is_found(place, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert "0.0 GB are free" in place.check("--stage", "sft")[2]


def test_a_batch_is_that_of_all_gpus(place):
    for processes, code in (("1", 2), ("8", 0)):
        asked = ("--set", "grpo.per_device_train_batch_size=1", "--set", "grpo.num_generations=8")
        assert place.check("--stage", "grpo", *asked, "--processes", processes)[0] == code


def test_a_setting_that_only_a_gpu_takes_is_no_mistake_where_there_is_none(place):
    asked = ("--set", "sft.tf32=true", "--set", "sft.bf16=true", "--set", "sft.fsdp=full_shard", "--processes", "2")
    assert place.check("--stage", "sft", *asked)[0] == 0


def test_having_looked_changes_no_random_number(make_recipe):
    recipe = make_recipe("sft={max_steps: 2}", "model.lora={target_modules: [q_proj]}")
    examples = train.load_examples(recipe)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    run_checks.before_loading(run_checks.Run(recipe, "sft", recipe.path("run/sft"), examples))
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@pytest.mark.parametrize(("kind", "rows"), [("sft", "SFTRows"), ("grpo", "GRPORows")])
def test_an_error_of_our_own_keeps_its_traceback(place, kind, rows, monkeypatch):
    def broken(self, *_, **__):
        raise ValueError("a fault of ours")

    monkeypatch.setattr(
        f"radrl.training.{kind}_rows.{rows}.__init__",
        broken,
    )
    with pytest.raises(ValueError, match="a fault of ours"):
        place.check("--stage", kind)

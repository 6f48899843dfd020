"""FSDP2 with two processes: the model that is saved is the one that one process trains, and an error is said once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import fsdp_on_cpu
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from radrl.commands import train
from radrl.models import loading
from radrl.models.inputs import prompt_inputs
from radrl.prompt.messages import PromptStyle
from radrl.training import sharding
from radrl.training.grpo import RadrlGRPOTrainer

COMMON = "learning_rate: 1e-3, gradient_checkpointing: false, save_strategy: 'no'"
ONE = (
    f"sft={{max_steps: 2, per_device_train_batch_size: 8, {COMMON}}}",
    f"grpo={{max_steps: 2, per_device_train_batch_size: 8, num_generations: 4, max_completion_length: 8, {COMMON}}}",
    "rewards={report: [{scorer: length}]}",
    "data.tasks=[report]",
    "model.image_size=null",
)
HALF = ("sft.per_device_train_batch_size=4", "grpo.per_device_train_batch_size=4")
FSDP2 = "{version: 2, transformer_layer_cls_to_wrap: [Qwen3VLTextDecoderLayer, Qwen3VLVisionBlock]}"
LORA = "model.lora={r: 4, lora_alpha: 32, target_modules: [q_proj, v_proj]}"


@pytest.fixture(scope="module")
def untied_folder(tmp_path_factory, tiny_folder) -> Path:
    """A tiny model whose embeddings are not tied, of an odd number of rows."""
    model, processor = loading.load(str(tiny_folder))
    head = torch.nn.Linear(model.lm_head.in_features, model.lm_head.out_features, bias=False)
    head.weight = torch.nn.Parameter(model.lm_head.weight.detach().flip(1).clone())
    model.lm_head = head
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    assert head.out_features % 2 or model.resize_token_embeddings(head.out_features + 1).weight.shape[0] % 2
    loading.save(model, processor, tmp_path_factory.mktemp("untied") / "model")
    return tmp_path_factory.getbasetemp() / "untied0" / "model"


def answers(folder, examples):
    """Returns the first logits and the greedy answers of a saved model, loaded by transformers alone."""
    model, processor = AutoModelForImageTextToText.from_pretrained(folder).eval(), loading.load_processor(str(folder))
    asked = range(4)
    inputs = prompt_inputs(
        processor, [examples[k] for k in asked], [examples.pictures(k) for k in asked], PromptStyle()
    )
    with torch.inference_mode():
        return model(**inputs).logits[:, -1], model.generate(**inputs, do_sample=False, max_new_tokens=16)


@pytest.mark.slow
def test_what_two_processes_save_answers_as_what_one_trains(
    make_recipe, examples, tiny_folder, untied_folder, tmp_path, monkeypatch
):
    # all weights where embeddings are not tied: the output layer is a unit of FSDP2 by itself; and adapters
    starts = {"sft": untied_folder, "grpo": tiny_folder}
    mine = {"sft": (*ONE, f"model.start={untied_folder}"), "grpo": (*ONE, LORA, f"model.start={tiny_folder}")}
    make_recipe()
    commands = []
    for stage, name in (("sft", "two"), ("grpo", "two"), ("grpo", "planted")):
        settings = [*mine[stage], *HALF, f"out={name}", f"{stage}.fsdp=true", f"{stage}.fsdp_config={FSDP2}"]
        commands += [stage, str(tmp_path / "recipe.yaml"), *(part for s in settings for part in ("--set", s))]
        commands += ["--name", "planted" if name == "planted" else stage, "--"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*launch, fsdp_on_cpu.__file__, *commands[:-1]],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as two:  # fmt: skip
        monkeypatch.setattr(RadrlGRPOTrainer, "complete_prompts", RadrlGRPOTrainer.complete_prompts)
        fsdp_on_cpu.fix_completions()
        ones = {"sft": train.run_sft(make_recipe(*mine["sft"], "out=one"))}
        ones["grpo"] = train.run_grpo(make_recipe(*mine["grpo"], "out=one"))
        output, _ = two.communicate(timeout=300)
    for stage, one in ones.items():
        folder = tmp_path / "two" / stage
        assert output.count(f"Model: {folder / 'model'}") == 1, output[-5000:]
        trained, other, begun = (
            load_file(f / "model.safetensors") for f in (one.model, folder / "model", starts[stage])
        )
        assert trained.keys() == other.keys()
        assert max((trained[key] - begun[key]).abs().max().item() for key in trained) > 1e-3
        for key in trained:
            torch.testing.assert_close(trained[key], other[key], rtol=1e-3, atol=1e-4)
        (logits, said), (found, also) = answers(one.model, examples), answers(folder / "model", examples)
        torch.testing.assert_close(found, logits, rtol=1e-3, atol=1e-3)
        assert torch.equal(said, also)
        logs = [[row["grad_norm"] for row in json.loads((f / "log.json").read_text()) if "grad_norm" in row]
                for f in (one.folder, folder)]  # fmt: skip
        assert logs[0] == pytest.approx(logs[1], rel=1e-3)
    assert two.returncode != 0
    assert output.count("radrl: planted in the second process") == 1
    assert not (tmp_path / "planted" / "planted" / "model").exists()


def test_ways_of_splitting_that_are_not_served_are_refused(refusal):
    def trainer(gpus=1, version=2):
        args, accelerator = SimpleNamespace(n_gpu=gpus), SimpleNamespace(is_fsdp2=version == 2)
        return SimpleNamespace(is_fsdp_enabled=True, args=args, accelerator=accelerator)

    assert "choose version 2" in refusal(sharding.prepare, trainer(version=1))
    assert "start one for each with 'torchrun --nproc_per_node 4 " in refusal(sharding.prepare, trainer(gpus=4))

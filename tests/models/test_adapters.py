"""An adapter's folder as a start, as PEFT and TRL's checkpoints leave it: loaded on its base and merged."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from radrl.commands import train
from radrl.evaluation.answers import vllm_backend
from radrl.evaluation.answers.decoding import Decoding
from radrl.evaluation.answers.digests import model_digest
from radrl.models import loading


@pytest.fixture
def adapter(tmp_path, tiny_folder):
    """The folder of an adapter of the tiny model, on q_proj and the picture tower's qkv, its weights not zero."""
    model = loading.load_model(str(tiny_folder))
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "qkv"], task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.1)
    wrapped.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_it_is_merged_into_its_base(adapter, tiny_folder):
    model, processor = loading.load(str(adapter))
    merged = model.state_dict()
    peft = PeftModel.from_pretrained(loading.load_model(str(tiny_folder)), adapter).merge_and_unload().state_dict()
    base = loading.load_model(str(tiny_folder)).state_dict()
    assert merged.keys() == base.keys()
    assert all(torch.equal(merged[name], peft[name]) for name in base)
    changed = {name.split(".")[-2] for name in base if not torch.equal(merged[name], base[name])}
    assert changed == {"q_proj", "qkv"}
    assert processor.tokenizer.get_vocab() == loading.load_processor(str(tiny_folder)).tokenizer.get_vocab()
    assert loading.own_generation_config(str(adapter)).eos_token_id


@pytest.mark.parametrize("lora", ["", "model.lora={r: 2, target_modules: [q_proj]}"])
def test_training_goes_on_from_it(adapter, make_recipe, lora):
    settings = [lora] if lora else []
    recipe = make_recipe(f"model={{start: {adapter}}}", "sft={max_steps: 1, learning_rate: 0.0}", *settings)
    stage = train.run_sft(recipe)
    trained, start = loading.load_model(str(stage.model)).state_dict(), loading.load_model(str(adapter)).state_dict()
    assert all(torch.equal(trained[name], start[name]) for name in start)
    assert not (stage.model / "adapter_config.json").exists()


def test_kl_has_no_other_reference_than_the_merged_weights(adapter, make_recipe, refusal):
    """TRL would read the reference from the folder that the model names: the base's, in silence."""
    grpo = "grpo={max_steps: 1, beta: 0.1, num_generations: 2, per_device_train_batch_size: 4}"
    rewards = "rewards={vqa_closed: [{scorer: vqa_accuracy}]}"
    recipe = make_recipe(f"model={{start: {adapter}}}", grpo, rewards, "data.tasks=[vqa_closed]")
    assert "'grpo.beta'" in refusal(train.run_grpo, recipe)


def pickled(folder):
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def half(folder):
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "adapter_model.safetensors")


def of_a_wider_model(folder):
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: torch.zeros(7, 7) for name in weights}, folder / "adapter_model.safetensors")


def of_another_kind(folder):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "peft_type": "PROMPT_TUNING"}))


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (pickled, "pickles (.bin) are never read"),
        (half, "weights of the adapter are missing"),
        (of_a_wider_model, "the adapter does not fit its base"),
        (of_another_kind, "only LORA is"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json: cannot be read"),
    ],
)
def test_what_is_no_whole_adapter_is_one_line(adapter, refusal, spoil, wanted):
    spoil(adapter)
    assert wanted in refusal(loading.load, str(adapter))


def test_a_base_beside_it_is_found_where_the_folders_were_moved(adapter, tiny_folder, refusal):
    file = adapter / "adapter_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "base_model_name_or_path": "../base"}))
    assert "no such folder: ../base" in refusal(loading.load, str(adapter))
    shutil.copytree(tiny_folder, adapter.parent / "base")
    loading.load(str(adapter))


def test_predictions_are_of_the_adapter_on_its_base(adapter, tiny_folder, refusal):
    file, before = adapter / "adapter_config.json", model_digest(str(adapter))
    assert before != model_digest(str(tiny_folder))
    base = shutil.copytree(tiny_folder, adapter.parent / "base")
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "base_model_name_or_path": str(base)}))
    other = model_digest(str(adapter))
    with (base / "model.safetensors").open("ab") as weights:
        weights.write(b"changed")
    assert len({before, other, model_digest(str(adapter))}) == 3
    assert "vLLM needs a whole model" in refusal(vllm_backend.check, str(adapter), Decoding(), "--model A=a")

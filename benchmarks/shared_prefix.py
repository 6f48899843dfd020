"""What sharing the prefix saves: TRL's own path and ours, in turn, in one process, on the same batches.

    python benchmarks/shared_prefix.py                                   # 41 M parameters, float32, CPU
    python benchmarks/shared_prefix.py --prompts 803 --groups 8 --completion 64
    python benchmarks/shared_prefix.py --model 2B --dtype bfloat16       # Qwen3-VL's shape, random weights, on a GPU

For each prompt length P and group size G it prints seconds of TRL's path and of ours, and the ratio, of: the update
(forward and backward of one group), log-probabilities without gradient (old or reference policy), the rollout, and a
whole GRPO step (rollout, processing, reward, update, optimiser). Beside them: the same with completions as uneven as
real reports, peak memory of the update, the ratio of token counts G(P+C) / (P+GC), and the ratio of floating-point
operations, which bounds the update. "TRL's path" is the same trainer with sharing off, where every method is TRL's.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import trl
from datasets import Dataset
from PIL import Image
from qwen3_vl_shapes import SHAPES, qwen3_vl_config
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen3VLConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig

from radrl.models.loading import suit_to_cpu
from radrl.models.processor import Qwen3VLProcessor
from radrl.models.tiny import CHAT_TEMPLATE, train_tokenizer
from radrl.training.shared_prefix.packing import Picture
from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer

# Token counts of reports relative to their mean: the 1/16, 3/16 ... 15/16 quantiles of the 3,425 findings sections of
# the Indiana University reports (shared data txv_nlmcxr_reports) with Qwen3's tokenizer; the mean is 50 tokens.
UNEVEN = (0.46, 0.65, 0.77, 0.87, 0.99, 1.11, 1.33, 1.72)


def small_config(tokenizer: Any) -> Qwen3VLConfig:
    """Returns a Qwen3-VL of 41 million parameters."""
    return Qwen3VLConfig(
        text_config={
            "vocab_size": 16384, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 8192,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [12, 10, 10],
                                "mrope_interleaved": True},
            "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 6, "hidden_size": 256, "intermediate_size": 768, "num_heads": 4, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 512,
            "num_position_embeddings": 1024, "deepstack_visual_indexes": [1, 3],
        },
        tie_word_embeddings=True,
    )  # fmt: skip


def make_model(options: argparse.Namespace, side: tuple[int, int]) -> tuple[Any, Qwen3VLProcessor]:
    """Returns a model with random weights, and a processor that leaves images of ``side`` as they are."""
    tokenizer = train_tokenizer(["Describe the chest X-ray: findings, and where they are."] * 3)
    if options.model in SHAPES:
        config = qwen3_vl_config(options.model)
    else:
        config = AutoConfig.from_pretrained(options.model) if options.model else small_config(tokenizer)
    ids = tokenizer.convert_tokens_to_ids
    config.image_token_id, config.video_token_id = ids("<|image_pad|>"), ids("<|video_pad|>")
    config.vision_start_token_id, config.vision_end_token_id = ids("<|vision_start|>"), ids("<|vision_end|>")
    torch.manual_seed(0)
    with torch.device(options.device):
        model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, options.dtype))
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    vision = config.vision_config
    area = side[0] * side[1]
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessorPil(
            patch_size=vision.patch_size, merge_size=vision.spatial_merge_size, temporal_patch_size=2,
            image_mean=[0.5] * 3, image_std=[0.5] * 3, size={"shortest_edge": area, "longest_edge": area},
        ),
        tokenizer,
        chat_template=CHAT_TEMPLATE,
    )  # fmt: skip
    suit_to_cpu(model)
    return model, processor


def image_side(tokens: int, unit: int) -> tuple[int, int]:
    """Returns height and width, multiples of ``unit``, of a nearly square image of about ``tokens`` visual tokens."""
    rows = round(math.sqrt(tokens))
    return rows * unit, round(tokens / rows) * unit


def make_trainer(options: argparse.Namespace, prompt: int, group: int, folder: str) -> tuple[Any, list[dict[str, Any]]]:
    """Returns a trainer on prompts of about ``prompt`` tokens, and the rows of one group."""
    side = image_side(prompt - 40, 32)
    model, processor = make_model(options, side)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*side, 3), dtype=np.uint8))
    words = "Describe the chest X-ray. "

    def row(text: str) -> dict[str, Any]:
        return {"prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]}

    def length(text: str) -> int:
        message = [{"role": "user", "content": text}]
        written = processor.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        return len(processor.tokenizer(written)["input_ids"]) + side[0] * side[1] // 32**2 + 2

    text = words
    while length(text + " the") <= prompt:
        text += " the"
    data = Dataset.from_dict({"index": [0]}).with_transform(
        lambda rows: {"prompt": [row(text)["prompt"]] * len(rows["index"]), "images": [[picture]] * len(rows["index"])}
    )
    peft = None
    if options.lora:
        from peft import LoraConfig

        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        peft = LoraConfig(r=16, lora_alpha=32, target_modules=names, task_type="CAUSAL_LM")
    config = GRPOConfig(
        output_dir=folder, use_cpu=options.device == "cpu", bf16=False, report_to="none", remove_unused_columns=False,
        per_device_train_batch_size=group, num_generations=group, max_completion_length=options.completion,
        generation_kwargs={"min_new_tokens": options.completion}, max_steps=10**6, learning_rate=1e-6, temperature=1.0,
        gradient_checkpointing=options.checkpointing, disable_tqdm=True, shuffle_dataset=False,
    )  # fmt: skip
    trainer = SharedPrefixGRPOTrainer(
        model=model, reward_funcs=lambda completion_ids, **_: [float(sum(ids) % 7) for ids in completion_ids],
        args=config, train_dataset=data, processing_class=processor, peft_config=peft,
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    if options.checkpointing:
        trainer.model.gradient_checkpointing_enable({"use_reentrant": False})
        if options.lora:
            trainer.model.enable_input_require_grads()
    return trainer, [data[0]] * group


def make_batch(trainer: Any, rows: list[dict[str, Any]], lengths: list[int]) -> tuple[dict, dict]:
    """Returns one group's micro-batch with random completions of these lengths, as our path and as TRL's takes it."""
    processor, device = trainer.processing_class, trainer.accelerator.device
    messages = trl.data_utils.prepare_multimodal_messages(rows[0]["prompt"], images=rows[0]["images"])
    made = processor.apply_chat_template(
        [messages], tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
    ).to(device)
    group, longest = len(lengths), max(lengths)
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long().to(device)
    batch = {
        "prompt_ids": made["input_ids"].repeat(group, 1),
        "prompt_mask": made["attention_mask"].repeat(group, 1),
        "completion_ids": torch.randint(0, 250, (group, longest), generator=generator).to(device),
        "completion_mask": mask,
        "advantages": torch.randn(group, generator=generator).to(device),
        "num_items_in_batch": mask.sum(),
    }
    picture = Picture(made["pixel_values"], tuple(made["image_grid_thw"][0].tolist()))
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    stock = {
        **batch,
        "pixel_values": made["pixel_values"].repeat(group, 1),
        "image_grid_thw": made["image_grid_thw"].repeat(group, 1),
        "num_images": [1] * group,
        "mm_token_type_ids": (ids == processor.image_token_id).int(),
    }
    return {**batch, "pixel_values": [(picture,)] * group}, stock


class Work:
    """The four pieces of work on one setting, on TRL's path or ours."""

    def __init__(self, options: argparse.Namespace, prompt: int, group: int, folder: str) -> None:
        self.trainer, self.rows = make_trainer(options, prompt, group, folder)
        self.even = make_batch(self.trainer, self.rows, [options.completion] * group)
        share = [UNEVEN[i * len(UNEVEN) // group if group < len(UNEVEN) else i % len(UNEVEN)] for i in range(group)]
        lengths = [max(1, round(options.completion * s * len(share) / sum(share))) for s in share]
        self.uneven = make_batch(self.trainer, self.rows, lengths)
        self.lengths, self.prompt = lengths, self.even[0]["prompt_ids"].shape[1]
        self.optimizer = torch.optim.AdamW(self.trainer.model.parameters(), lr=1e-6, fused=True)  # the default

    def update(self, ours: bool, batch: tuple[dict, dict] | None = None) -> None:
        self.trainer.sharing = ours
        self.trainer.compute_loss(self.trainer.model, (batch or self.even)[0 if ours else 1]).backward()
        self.trainer.model.zero_grad(set_to_none=True)

    def update_uneven(self, ours: bool) -> None:
        self.update(ours, self.uneven)

    @torch.no_grad()
    def log_probs(self, ours: bool) -> None:
        self.trainer.sharing = ours
        batch = self.even[0 if ours else 1]
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
        fields = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
        self.trainer.token_log_probs(
            self.trainer.model,
            ids,
            mask,
            batch["completion_ids"].shape[1],
            **{k: batch[k] for k in fields if k in batch},
        )

    def rollout(self, ours: bool) -> None:
        self.trainer.sharing = ours
        prompts = [trl.data_utils.prepare_multimodal_messages(r["prompt"], images=r["images"]) for r in self.rows]
        ids, images, fields = self.trainer.tokenize_prompts(prompts)
        self.trainer.complete_prompts(ids, images, fields, len(ids))

    def step(self, ours: bool) -> None:
        self.trainer.sharing, self.trainer.checked, self.trainer._step = ours, True, 0
        inputs = self.trainer.prepare_inputs(self.rows)
        self.trainer.compute_loss(self.trainer.model, inputs).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def timed(work: Callable[[bool], None], repeats: int, device: str) -> tuple[float, float] | str:
    """Returns the medians of seconds for TRL's path and ours, run in turn after one unmeasured run of each."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    try:
        for k in range(repeats + 1):
            for ours in (False, True):
                gc.collect()
                _wait(device)
                start = time.perf_counter()
                work(ours)
                _wait(device)
                if k:
                    seconds[ours].append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return "out of memory"
    return statistics.median(seconds[False]), statistics.median(seconds[True])


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def operations(
    config: Any, prompt: int, lengths: list[int], patches: int, *, ours: bool, cpu: bool
) -> dict[str, float]:
    """Returns the multiply-adds times two of one group's forward, by part. Attention counts the pairs seen."""
    vision, text = config.vision_config, config.text_config
    h, merged = vision.hidden_size, vision.hidden_size * vision.spatial_merge_size**2
    out = getattr(vision, "out_hidden_size", text.hidden_size)
    tokens = patches / vision.spatial_merge_size**2
    block = 2 * patches * (4 * h * h + 2 * h * vision.intermediate_size) + 4 * patches**2 * h
    mergers = 1 + len(getattr(vision, "deepstack_visual_indexes", ()))
    image = vision.depth * block + mergers * 2 * tokens * (merged * merged + merged * out)
    image += 2 * patches * vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * h
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    q, kv = text.num_attention_heads * width, text.num_key_value_heads * width
    per_token = 2 * (text.hidden_size * (2 * q + 2 * kv) + 3 * text.hidden_size * text.intermediate_size)

    def causal(n: int) -> float:
        return n * (n + 1) / 2

    if ours:
        rows, count = prompt - 1 + sum(lengths), sum(lengths)
        pairs = causal(prompt - 1) + sum(n * (prompt - 1) + causal(n) for n in lengths)
    else:
        longest = max(lengths)
        rows = len(lengths) * (prompt + longest)
        pairs = len(lengths) * causal(prompt + longest)
        count = rows if cpu else sum(lengths)  # on a CPU TRL's head scores every position
    language = text.num_hidden_layers * (rows * per_token + 4 * pairs * q)
    head = 2 * count * text.hidden_size * text.vocab_size
    return {"vision": image * (1 if ours else len(lengths)), "language": language, "head": head}


def limit(config: Any, prompt: int, lengths: list[int], patches: int, *, cpu: bool) -> tuple[float, str]:
    """Returns the ratio of operations of an update, and the operations by part of both sides in words."""
    sides = [operations(config, prompt, lengths, patches, ours=ours, cpu=cpu) for ours in (False, True)]
    # forward once and backward twice; both heads compute their logits anew in the backward
    totals = [3 * side["vision"] + 3 * side["language"] + 4 * side["head"] for side in sides]
    parts = ", ".join(f"{key} {sides[0][key] / 1e9:.0f} to {sides[1][key] / 1e9:.0f}" for key in sides[0])
    return totals[0] / totals[1], f"forward, GFLOP: {parts}"


def peak(options: argparse.Namespace, prompt: int, group: int) -> list[float]:
    """Returns the peak memory in GB of an update beyond what model and inputs take, for TRL's path and ours."""
    found = []
    for side in ("stock", "ours"):  # a process each: what malloc keeps of one side would hide the other
        command = [sys.executable, __file__, "--peak-of", side, "--prompts", str(prompt), "--groups", str(group)]
        for name in ("model", "dtype", "device", "completion", "threads"):
            if getattr(options, name) is not None:
                command += [f"--{name}", str(getattr(options, name))]
        command += [f"--{name}" for name in ("lora", "checkpointing") if getattr(options, name)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        found.append(json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else math.nan)
    return found


def measure_peak(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Work(options, options.prompts[0], options.groups[0], folder)
        if options.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            work.update(options.peak_of == "ours")
            print(json.dumps((torch.cuda.max_memory_allocated() - before) / 1e9))
            return
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = _high_water()
        work.update(options.peak_of == "ours")
        print(json.dumps(_high_water() - before))


def _high_water() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="2B, 4B, 8B, or a folder with config.json; weights are random")
    parser.add_argument("--prompts", type=int, nargs="+", default=[480, 600, 1250])
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--completion", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--only", nargs="+", choices=WHAT, default=list(WHAT))
    parser.add_argument("--no-peak", action="store_true")
    parser.add_argument("--peak-of", choices=("stock", "ours"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.peak_of:
        return measure_peak(options)
    where = torch.cuda.get_device_name() if options.device != "cpu" else f"{torch.get_num_threads()} CPU threads"
    print(f"{where}, {platform.machine()}, {options.dtype}; torch {torch.__version__}, transformers "
          f"{transformers.__version__}, trl {trl.__version__}; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for prompt in options.prompts:
        for group in options.groups:
            with tempfile.TemporaryDirectory() as folder:
                report(options, prompt, group, folder)
    return None


WHAT = {
    "update": Work.update,
    "update, uneven": Work.update_uneven,
    "log-probabilities": Work.log_probs,
    "rollout": Work.rollout,
    "whole step": Work.step,
}


def report(options: argparse.Namespace, prompt: int, group: int, folder: str) -> None:
    work = Work(options, prompt, group, folder)
    model, c = work.trainer.accelerator.unwrap_model(work.trainer.model), options.completion
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    patches = len(work.even[0]["pixel_values"][0][0].pixels)
    cpu = options.device == "cpu"
    tokens = group * (work.prompt + c) / (work.prompt + group * c)
    most, parts = limit(core.config, work.prompt, [c] * group, patches, cpu=cpu)
    most_uneven, _ = limit(core.config, work.prompt, work.lengths, patches, cpu=cpu)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"\nP {work.prompt}, C {c}, G {group}, {size:.0f} M parameters: token ratio {tokens:.2f}, "
          f"operations ratio {most:.2f} (uneven {most_uneven:.2f}); {parts}", flush=True)  # fmt: skip
    for name in options.only:
        found = timed(lambda ours, run=WHAT[name]: run(work, ours), options.repeats, options.device)
        if isinstance(found, str):
            print(f"  {name:<18} {found}", flush=True)
            continue
        ratio = found[0] / found[1]
        bound = {"update": most, "update, uneven": most_uneven}.get(name)
        share = f", {100 * ratio / bound:.0f}% of the operations ratio" if bound else ""
        rate = f", {group * (work.prompt + c) / found[1]:,.0f} tokens/s as TRL counts them" if name == "update" else ""
        print(f"  {name:<18} TRL {found[0]:8.3f} s   ours {found[1]:8.3f} s   {ratio:5.2f}x{share}{rate}", flush=True)
    if not options.no_peak:
        stock, ours = peak(options, prompt, group)
        print(f"  {'peak of an update':<18} TRL {stock:8.2f} GB  ours {ours:8.2f} GB  {ours / stock:5.2f}x", flush=True)


if __name__ == "__main__":
    main()

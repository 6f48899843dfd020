"""Small Qwen3-VL and Qwen2.5-VL models and GRPO trainers on them, for the tests of the shared prefix."""

from __future__ import annotations

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen3_vl import modeling_qwen3_vl
from trl import GRPOConfig

from radrl.models.processor import Qwen3VLProcessor
from radrl.models.tiny import CHAT_TEMPLATE, make_tiny
from radrl.training.shared_prefix.trainer import SharedPrefixGRPOTrainer

TEXTS = ["Is the heart enlarged? Both lungs are clear. Where is the nodule?"] * 3
# pictures of different sizes, and questions of different lengths
QUESTIONS = (
    "Where is the nodule?", "Heart?", "Is the heart enlarged? Both lungs are clear.", "Both lungs?", "Nodule?",
    "Clear?",
)  # fmt: skip


def make_model(family: str, seed: int = 0):
    """Returns a model of about 0.5 million parameters and a processor; the two families share the tokenizer."""
    qwen3, processor = make_tiny(TEXTS, image_size=128, seed=seed)
    if family == "qwen3_vl":
        return qwen3.eval(), processor
    text, ids = qwen3.config.text_config, processor.tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [6, 5, 5]}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": text.vocab_size, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "rope_parameters": rope, "pad_token_id": text.pad_token_id, "eos_token_id": text.eos_token_id,
            "initializer_range": 0.06,
        },
        vision_config={
            "depth": 3, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "patch_size": 14,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 128, "window_size": 56,
            "fullatt_block_indexes": [1], "initializer_range": 0.06,
        },
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [text.eos_token_id]
    model.generation_config.pad_token_id = text.pad_token_id
    image_processor = Qwen2VLImageProcessorPil(
        patch_size=14, merge_size=2, temporal_patch_size=2, image_mean=[0.5] * 3, image_std=[0.5] * 3,
        size={"shortest_edge": 3000, "longest_edge": 4000},
    )  # fmt: skip
    return model.eval(), Qwen3VLProcessor(image_processor, processor.tokenizer, chat_template=CHAT_TEMPLATE)


def make_rows(images_of: tuple[int, ...]) -> Dataset:
    """Returns a data set whose row i shows ``images_of[i]`` pictures and asks QUESTIONS[i]; row 3's first picture is
    row 0's."""
    rng = np.random.default_rng(0)

    def draw(i: int) -> Image.Image:
        shape = (90 + 40 * (i % 3), 120 - 20 * (i % 2), 3)
        return Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8))

    pictures = [[draw(2 * i + k) for k in range(n)] for i, n in enumerate(images_of)]
    if len(pictures) > 3 and pictures[3] and pictures[0]:
        pictures[3][0] = pictures[0][0]

    def fetch(rows):
        chosen = rows["index"]
        contents = [[{"type": "image"}] * len(pictures[i]) + [{"type": "text", "text": QUESTIONS[i]}] for i in chosen]
        return {
            "prompt": [[{"role": "user", "content": content}] for content in contents],
            "images": [pictures[i] for i in chosen],
        }

    return Dataset.from_dict({"index": range(len(images_of))}).with_transform(fetch)


def reward(completion_ids, **_):
    """Something that differs within a group."""
    return [float(sum(ids) % 7) for ids in completion_ids]


def make_trainer(
    folder, model, processor, rows: Dataset, *, peft=None, share=True, kind=SharedPrefixGRPOTrainer, **settings
):
    """Returns a trainer on the CPU whose generation batch is 4 prompts of 4 completions unless told otherwise."""
    config = GRPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, report_to="none", remove_unused_columns=False, seed=1,
        disable_tqdm=True, logging_steps=1, save_strategy="no",
        **{"per_device_train_batch_size": 16, "num_generations": 4, "max_completion_length": 9, "max_steps": 1,
           "shuffle_dataset": False, "gradient_checkpointing": False, "learning_rate": 1e-3, **settings},
    )  # fmt: skip
    more = {"share": share} if issubclass(kind, SharedPrefixGRPOTrainer) else {}
    more |= {"train_dataset": rows, "processing_class": processor, "peft_config": peft}
    trainer = kind(model=model, reward_funcs=reward, args=config, **more)
    # an untrained model hardly ever ends; with many end tokens its completions are of every length
    trainer.eos_token_ids = trainer.generation_config.eos_token_id = [*trainer.eos_token_ids, *range(0, 300, 7)]
    return trainer


def as_stock(trainer, inputs: dict) -> dict:
    """Returns a micro-batch as TRL's own path takes it: every row with its images."""
    pictures = [picture for row in inputs["pixel_values"] for picture in row]
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    stock = {key: value for key, value in inputs.items() if key != "pixel_values"}
    if pictures:
        image = trainer.accelerator.unwrap_model(trainer.model).config.image_token_id
        stock |= {
            "pixel_values": torch.cat([picture.pixels for picture in pictures]),
            "image_grid_thw": torch.tensor([picture.grid for picture in pictures]),
            "num_images": [len(row) for row in inputs["pixel_values"]],
            "mm_token_type_ids": (ids == image).int(),
        }
    return stock


def in_float64(monkeypatch) -> None:
    """Has both paths compute in the model's own dtype: transformers' norms and vision rotary, and TRL's head, go
    through float32, whose rounding would hide what is to be shown."""
    from trl.trainer import utils

    def norm(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    def rotate(q, k, cos, sin):
        def turn(x):
            return torch.cat([-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]], -1)

        cos, sin = cos[..., None, :].to(q.dtype), sin[..., None, :].to(q.dtype)
        return q * cos + turn(q) * sin, k * cos + turn(k) * sin

    class Head:
        @staticmethod
        def apply(hidden, weight, bias, targets, temperature, *_):
            logp = (torch.nn.functional.linear(hidden, weight, bias) / temperature).log_softmax(-1)
            return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(-1), None, None, None

    monkeypatch.setattr(modeling_qwen3_vl.Qwen3VLTextRMSNorm, "forward", norm)
    monkeypatch.setattr(modeling_qwen2_5_vl.Qwen2_5_VLRMSNorm, "forward", norm)
    for module in (modeling_qwen3_vl, modeling_qwen2_5_vl):
        monkeypatch.setattr(module, "apply_rotary_pos_emb_vision", rotate)
    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", Head)

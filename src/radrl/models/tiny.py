"""The embedded default: a tiny Qwen3-VL with random weights and a tokenizer made here. No hub, no GPU.

The classes are transformers' own Qwen3-VL (vision tower with deepstack, interleaved 3-D rotary positions); only the
sizes are small. Whatever trains it trains Qwen/Qwen3-VL-8B-Instruct.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import ProcessorMixin, Qwen2Tokenizer, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from radrl.example import Example
from radrl.models.processor import Qwen3VLProcessor
from radrl.prompt.messages import PromptStyle, earlier, question, target
from radrl.support.vector_math import choose_kernels

# Qwen merges 2 x 2 patches. 4 x 4 makes four times fewer visual tokens, and the merger, which tells the patches of a
# token apart, learns to see within minutes where attention alone would take far longer.
PATCH, MERGE = 16, 4
# Qwen's 0.02 suits layers of thousands; at a width of 128 it would let hardly any signal through.
INIT = 0.06
MOST_READ = 25_000  # Examples that the tokenizer is made from
END = "<|endoftext|>"
SPECIAL_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Qwen3 keeps these visible when special tokens are left out of the text.
VISIBLE_TOKENS = ("<think>", "</think>")
# One token for each two-digit coordinate: a box is four decisions, and SFT can smooth over neighbouring values.
COORDINATES = tuple(f"{i / 100:.2f}" for i in range(101))
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.content is string -%}{{ message.content }}"
    "{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part.type == 'text' -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{ '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


def tokenizer_texts(examples: Sequence[Example]) -> list[str]:
    """Returns the texts a tiny model's tokenizer learns from: everything it will be asked or has to write, of 25,000
    Examples evenly spread where there are more."""
    texts = ["<think>\nuser\nassistant\n</think>\n\n"]
    for k in range(0, len(examples), -(-len(examples) // MOST_READ) or 1):
        example = examples[k]
        thinking = PromptStyle(thinking=bool(example.thinking))
        texts += [earlier(example) + question(example, PromptStyle(thinking=True)), target(example, thinking)]
    return texts


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1536) -> Qwen2Tokenizer:
    """Trains a byte-level BPE like Qwen's on ``texts``: any text can be encoded, a known word takes about one token.

    Returns a tokenizer of at most ``vocab_size`` learned tokens, plus Qwen's special tokens and one token for each
    coordinate 0.00 to 1.00.
    """
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # sorted: the set's own order varies by process
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    parts = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=parts["vocab"],
        merges=cast(Any, [tuple(merge) for merge in parts["merges"]]),  # annotated as texts
        eos_token="<|im_end|>",
        pad_token=END,
        unk_token=END,
        extra_special_tokens=list(SPECIAL_TOKENS),
        padding_side="left",
    )
    words: list[str | AddedToken] = [
        AddedToken(text, special=False, normalized=False) for text in (*VISIBLE_TOKENS, *COORDINATES)
    ]
    tokenizer.add_tokens(cast(Any, words))  # its annotation names another AddedToken
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def image_processor(image_size: int) -> Qwen2VLImageProcessorPil:
    """Returns the tiny model's image processor."""
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=2,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        # 10% slack on both sides: images that are not square may round to a few patches more or less
        size={"shortest_edge": round(0.9 * image_size**2), "longest_edge": round(1.1 * image_size**2)},
    )


def make_tiny(
    texts: Iterable[str], *, image_size: int = 192, seed: int = 0
) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """Makes the tiny model and its processor: about 4 million parameters, random weights drawn from ``seed``.

    ``image_size`` (a multiple of 64) is the side of the square whose area every image is resized to, at its own
    aspect ratio; at 192 an X-ray becomes 144 patches and 9 visual tokens.
    """
    processor = tiny_processor(texts, image_size=image_size)
    return tiny_model(processor, image_size=image_size, seed=seed), processor


def tiny_processor(texts: Iterable[str], *, image_size: int = 192) -> Qwen3VLProcessor:
    """Returns the tiny model's processor, its tokenizer trained on ``texts``."""
    return Qwen3VLProcessor(
        image_processor=image_processor(image_size),
        tokenizer=train_tokenizer(texts),
        chat_template=CHAT_TEMPLATE,
    )


def tiny_model(processor: ProcessorMixin, *, image_size: int = 192, seed: int = 0) -> Qwen3VLForConditionalGeneration:
    """Returns the tiny model for a processor, its random weights drawn from ``seed``."""
    choose_kernels()
    tokenizer = processor.tokenizer
    hidden, head = 128, 32
    ids = tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden,
            "intermediate_size": 384,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": head,
            "max_position_embeddings": 4096,
            # the three sections (time, height, width) add up to head_dim / 2
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "tie_word_embeddings": True,
            "initializer_range": INIT,
        },
        vision_config={
            "initializer_range": INIT,
            "depth": 3,
            "hidden_size": 64,
            "intermediate_size": 192,
            "num_heads": 2,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "out_hidden_size": hidden,  # must equal the text model's
            "num_position_embeddings": (image_size // PATCH) ** 2,
            "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model

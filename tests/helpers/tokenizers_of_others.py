"""Tokenizers with the marks of published model families, made here: a byte-level BPE of no merges, or a Unigram."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

# as in the families' tokenizer.json: special ones, and those that are not
SPECIAL = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|box_start|>", "<|quad_end|>",
             "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
               "<|eom_id|>", "<|python_tag|>", "<|image|>", "<|reserved_special_token_17|>"],
    "llama2": ["<s>", "</s>", "<unk>"],
    "gemma": ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
              "<end_of_image>", "<image_soft_token>", "[multimodal]", "<unused0>", "<unused99>"],
    "mistral": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[IMG]", "[IMG_BREAK]", "[IMG_END]",
                "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[THINK]"],
    "deepseek": ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"],
    "internvl": ["<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "<ref>", "</ref>", "<box>", "</box>"],
    "others": ["◁think▷", "◁/think▷", "<|user|>", "<|end|>", "<|turn>", "<turn|>", ">>TITLE<<", "|||EMAIL|||", "<a b>",
               "<image>", "<end_of_utterance>", "<|im_start|>", "<fake_token_around_image>", "<row_1_col_1>"],
}  # fmt: skip
PLAIN = {
    "qwen": ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>"],
    "llama2": ["<image>"],
    "gemma": ["<h1>", "\n\n", "\t\t", "▁▁"],
    "others": ["0.25", "0.50", "cardiomegaly"],
}


def made(family: str, *awkward: AddedToken) -> PreTrainedTokenizerFast:
    """Returns a tokenizer with a family's marks, and ``awkward`` ones."""
    sentencepiece = family in ("llama2", "gemma")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if sentencepiece:  # no pre-tokenizer; blanks and bytes as Llama 2 and Gemma have them
        pieces = [*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
        tokenizer = Tokenizer(models.BPE({piece: k for k, piece in enumerate(pieces)}, [], byte_fallback=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        tokenizer = Tokenizer(models.BPE({piece: k for k, piece in enumerate(alphabet)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        if family == "awkward":
            tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL.get(family, [])])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in PLAIN.get(family, [])])
    tokenizer.add_tokens(list(awkward))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)

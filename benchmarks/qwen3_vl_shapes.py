"""The published shapes of Qwen/Qwen3-VL-{2B,4B,8B}-Instruct, for benchmarks with random weights."""

from __future__ import annotations

from transformers import Qwen3VLConfig

# hidden, intermediate, layers, heads; vision: hidden, intermediate, layers, deepstack
SHAPES = {
    "2B": ((2048, 6144, 28, 16), (1024, 4096, 24, [5, 11, 17])),
    "4B": ((2560, 9728, 36, 32), (1024, 4096, 24, [5, 11, 17])),
    "8B": ((4096, 12288, 36, 32), (1152, 4304, 27, [8, 16, 24])),
}


def qwen3_vl_config(size: str) -> Qwen3VLConfig:
    """Returns the configuration of one size, with Qwen's token ids."""
    (hidden, intermediate, layers, heads), (v_hidden, v_intermediate, v_layers, deepstack) = SHAPES[size]
    tied = size != "8B"
    return Qwen3VLConfig(
        text_config={
            "vocab_size": 151936, "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128,
            "max_position_embeddings": 262144, "rms_norm_eps": 1e-6, "tie_word_embeddings": tied,
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20],
                                "mrope_interleaved": True},
            "bos_token_id": 151643, "eos_token_id": 151645,
        },
        vision_config={
            "depth": v_layers, "hidden_size": v_hidden, "intermediate_size": v_intermediate, "num_heads": 16,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": hidden,
            "num_position_embeddings": 2304, "deepstack_visual_indexes": deepstack,
        },
        image_token_id=151655, video_token_id=151656, vision_start_token_id=151652, vision_end_token_id=151653,
        tie_word_embeddings=tied,
    )  # fmt: skip

"""Small language models that serve as text encoders."""

from __future__ import annotations

from typing import Any


def gemma2(tokenizer: Any, *, width: int = 64, layers: int = 3) -> Any:
    """A Gemma 2 for ``tokenizer``, without language modeling head."""
    from transformers import Gemma2Config, Gemma2Model

    shape = _shape(tokenizer, width, layers)
    return Gemma2Model(Gemma2Config(**shape, query_pre_attn_scalar=shape["head_dim"]))


def llama(tokenizer: Any, *, width: int = 64, layers: int = 3) -> Any:
    """A Llama 3 for ``tokenizer``, with language modeling head."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_shape(tokenizer, width, layers)))


def qwen3(tokenizer: Any, *, width: int = 64, layers: int = 3, head: bool = False) -> Any:
    """A Qwen 3 for ``tokenizer``, with language modeling head if ``head``."""
    from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

    return (Qwen3ForCausalLM if head else Qwen3Model)(
        Qwen3Config(**_shape(tokenizer, width, layers))
    )


def qwen2_vl(tokenizer: Any, *, width: int = 64, layers: int = 3) -> Any:
    """A Qwen 2.5 VL for ``tokenizer``, with a minimal vision tower."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = _shape(tokenizer, width, layers)
    half = text.pop("head_dim") // 2
    sections = [half - 2 * (half // 3), half // 3, half // 3]  # for time, height, width
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 1_000_000.0,
        "mrope_section": sections,
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": width,
        "fullatt_block_indexes": [0],
    }
    marks = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks)
    )


def mistral3(tokenizer: Any, *, width: int = 32, layers: int = 31) -> Any:
    """A Mistral 3 for ``tokenizer``, with a minimal vision tower.

    FLUX.2 reads the hidden states after layers 10, 20 and 30, hence the number of layers.
    """
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    text = {**_shape(tokenizer, width, layers), "model_type": "mistral", "sliding_window": None}
    vision = {
        "model_type": "pixtral",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 16,
        "image_size": 64,
        "patch_size": 16,
    }
    return Mistral3ForConditionalGeneration(
        Mistral3Config(
            text_config=text,
            vision_config=vision,
            image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        )
    )


def _shape(tokenizer: Any, width: int, layers: int) -> dict[str, Any]:
    """Settings common to all configurations: 4 heads with grouped-query attention."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "max_position_embeddings": 2048,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }

"""Small text encoders: CLIP, T5, UMT5 and BERT with few, narrow layers."""

from __future__ import annotations

from typing import Any


def clip_encoder(
    tokenizer: Any,
    *,
    width: int = 64,
    layers: int = 4,
    heads: int = 4,
    inner: int | None = None,
    activation: str = "quick_gelu",
    projection: int | None = None,
    vocabulary: int | None = None,
) -> Any:
    """A CLIP text encoder for ``tokenizer``.

    Args:
        tokenizer: Determines the vocabulary size, the maximum length and the special tokens.
        width: Width of the hidden states.
        layers: Number of layers.
        heads: Number of attention heads.
        inner: Width of the MLP's hidden layer. Default: ``4 * width``.
        activation: ``"quick_gelu"`` as in OpenAI's CLIP, or ``"gelu"`` as in OpenCLIP.
        projection: Width of the pooled embedding. If given, the model is a
            ``CLIPTextModelWithProjection``, otherwise a ``CLIPTextModel``.
        vocabulary: Number of token embeddings. Default: the tokenizer's vocabulary size.
    """
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=width,
        intermediate_size=inner or 4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act=activation,
        projection_dim=projection or width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config) if projection is None else CLIPTextModelWithProjection(config)


def t5_encoder(tokenizer: Any, *, width: int = 64, layers: int = 2, heads: int = 4) -> Any:
    """A T5 v1.1 encoder (gated GELU) for ``tokenizer``, ``width`` wide."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(**_t5(tokenizer, width, layers, heads)))


def umt5_encoder(tokenizer: Any, *, width: int = 64, layers: int = 2, heads: int = 4) -> Any:
    """A UMT5 encoder for ``tokenizer``: T5 with relative position biases in every layer."""
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(UMT5Config(**_t5(tokenizer, width, layers, heads)))


def bert_encoder(tokenizer: Any, *, width: int = 48, layers: int = 4, heads: int = 4) -> Any:
    """A BERT encoder for ``tokenizer``, ``width`` wide."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BertModel(config)


def _t5(tokenizer: Any, width: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "d_model": width,
        "d_kv": width // heads,
        "d_ff": 2 * width,
        "num_layers": layers,
        "num_heads": heads,
        "feed_forward_proj": "gated-gelu",
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "is_encoder_decoder": False,
        "use_cache": False,
    }

"""Stage "second_tower": the second text tower of an SDXL-shaped model, with its projection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from tools.train.clip import WIDTH
from tools.train.contrastive import Captions
from tools.train.data import LENGTH
from tools.train.run import Run
from tools.train.text import TEXT, grow_tower
from tools.train.untyped import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
)

SECOND = replace(TEXT, seed=23)
SECOND_WIDTH, SECOND_LAYERS = 144, 14


def build(tokens: int) -> Any:
    """An untrained CLIP: a deeper and wider text tower, and the joint CLIP's vision tower.

    SDXL's second encoder, OpenCLIP's bigG/14, differs from its first in depth, width, activation
    and in being used together with its projection; so does this one.
    """
    text = {
        "vocab_size": tokens,
        "hidden_size": SECOND_WIDTH,
        "intermediate_size": 4 * SECOND_WIDTH,
        "num_hidden_layers": SECOND_LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "projection_dim": WIDTH,
        "hidden_act": "gelu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "image_size": 64,
        "patch_size": 16,
        "projection_dim": WIDTH,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


def train_second_tower(run: Run) -> None:
    """Train the tower by the recipe of the first, with other seeds, and save it."""
    torch.manual_seed(SECOND.seed)
    model = build(len(Captions(run).tokenizer))
    grow_tower(run, model, SECOND, "second_tower.ckpt")
    encoder_of(model).eval().save_pretrained(run.path("text_encoder_2"))


def encoder_of(clip: Any) -> Any:
    """The text tower and projection of ``clip`` as the second encoder of a pipeline."""
    encoder = CLIPTextModelWithProjection(CLIPTextConfig(**clip.config.text_config.to_dict()))
    encoder.text_model.load_state_dict(clip.text_model.state_dict())
    encoder.text_projection.load_state_dict(clip.text_projection.state_dict())
    return encoder

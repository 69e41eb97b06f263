"""The trained parts of a run put together as a pipeline."""

from __future__ import annotations

from typing import Any

from overpaint.models.embedded import sd_pipeline
from tools.train.contrastive import Captions
from tools.train.run import Run
from tools.train.untyped import (
    AutoencoderKL,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
)


def assemble(run: Run, unet: Any) -> Any:
    """The diffusers pipeline around ``unet``."""
    return sd_pipeline(
        vae=AutoencoderKL.from_pretrained(run.path("autoencoder")),
        text_encoder=text_encoder(CLIPModel.from_pretrained(run.path("clip"))),
        tokenizer=Captions(run).tokenizer,
        unet=unet,
    )


def text_encoder(clip: Any) -> Any:
    """The text tower of a joint CLIP as the encoder of a pipeline."""
    encoder = CLIPTextModel(CLIPTextConfig(**clip.config.text_config.to_dict()))
    # transformers 4 keeps the tower one level deeper than transformers 5 does.
    inner = getattr(encoder, "text_model", encoder)
    inner.load_state_dict(clip.text_model.state_dict())
    return encoder

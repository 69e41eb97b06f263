"""The trained parts of a run put together as a pipeline."""

from __future__ import annotations

from typing import Any

from overpaint.models.card import Card
from overpaint.toybox.train.contrastive import Captions
from overpaint.toybox.train.run import Run
from overpaint.toybox.train.untyped import (
    AutoencoderKL,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
)

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""Stable Diffusion 1's noise schedule, which the denoiser learns with."""

CARD = Card("toybox", steps=20, guidance=4.0, batch_size=16, dtype="float32", clip="toybox")
"""How the model is used."""


def assemble(run: Run, unet: Any) -> Any:
    """The diffusers pipeline around ``unet``."""
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(run.path("autoencoder")),
        text_encoder=text_encoder(CLIPModel.from_pretrained(run.path("clip"))),
        tokenizer=Captions(run).tokenizer,
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(
            **NOISE, steps_offset=1, timestep_spacing="leading", solver_order=2
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def text_encoder(clip: Any) -> Any:
    """The text tower of a joint CLIP as the encoder of a pipeline."""
    encoder = CLIPTextModel(CLIPTextConfig(**clip.config.text_config.to_dict()))
    # transformers 4 keeps the tower one level deeper than transformers 5 does.
    inner = getattr(encoder, "text_model", encoder)
    inner.load_state_dict(clip.text_model.state_dict())
    return encoder

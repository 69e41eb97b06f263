"""The trained parts of a run put together as a pipeline."""

from __future__ import annotations

from typing import Any

from overpaint.models.card import Card
from tools.train.contrastive import Captions
from tools.train.run import Run
from tools.train.untyped import (
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


TOKENS = 32  # in a prompt, both marks included


def _diffusers() -> Any:
    """diffusers, whose annotations are partly wrong, as Any."""
    import diffusers

    return diffusers


def xl_pipeline(
    *, vae: Any, text_encoder: Any, tokenizer: Any, text_encoder_2: Any, unet: Any
) -> Any:
    """The SDXL-shaped pipeline of these parts; both text encoders read the same tokens."""
    diffusers = _diffusers()
    tokenizer.model_max_length = TOKENS
    scheduler = diffusers.EulerDiscreteScheduler(
        **NOISE, timestep_spacing="leading", steps_offset=1
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def flux_pipeline(
    *,
    vae: Any,
    text_encoder: Any,
    tokenizer: Any,
    text_encoder_2: Any,
    tokenizer_2: Any,
    transformer: Any,
) -> Any:
    """The FLUX-shaped pipeline of these parts.

    The transformer is not distilled for guidance: paint with ``true_cfg_scale=4.0`` and
    ``negative_prompt=""``, ``max_sequence_length=32``, ``height=64`` and ``width=64``.
    """
    diffusers = _diffusers()
    tokenizer.model_max_length = tokenizer_2.model_max_length = TOKENS
    vae.register_to_config(shift_factor=0.0)  # FLUX adds it; Stable Diffusion has none
    return diffusers.FluxPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        text_encoder_2=text_encoder_2,
        tokenizer_2=tokenizer_2,
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )

"""Stable Diffusion and its kin: a UNet that reads CLIP."""

from __future__ import annotations

from typing import Any, Literal

from random_models.autoencoders import kl_autoencoder
from random_models.registry import Parts, recipe
from random_models.text_encoders import clip_encoder
from random_models.tokenizers import clip_tokenizer

Size = Literal["tiny", "full"]

CLIP_VOCABULARY = 49408
"""Tokens of OpenAI's CLIP."""

TWO_STEPS = {"num_inference_steps": 2}


@recipe("SD1", "StableDiffusionPipeline", call=TWO_STEPS)
def sd1(size: Size = "tiny", **unet: Any) -> Parts:
    """SD1: CLIP ViT-L's text tower, 16 cross-attention layers, pictures of 64 x 64 pixels.

    ``size="full"`` has every shape of Stable Diffusion 1.4. ``unet`` changes the UNet's
    configuration.
    """
    full = size == "full"
    tokenizer = clip_tokenizer(full=full)
    if full:
        encoder = clip_encoder(tokenizer, vocabulary=CLIP_VOCABULARY, **_VIT_L)
        vae = kl_autoencoder(**_FULL_VAE)
    else:
        encoder, vae = clip_encoder(tokenizer), kl_autoencoder()
    return {
        "text_encoder": encoder,
        "tokenizer": tokenizer,
        "unet": _sd_unet(full, encoder.config.hidden_size, **unet),
        "vae": vae,
        "scheduler": ddim(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


@recipe("SDXL", "StableDiffusionXLPipeline", call=TWO_STEPS)
def sdxl(size: Size = "tiny", vae: dict[str, Any] | None = None, **unet: Any) -> Parts:
    """SDXL: two CLIP text towers, the second with a projection, transformers 1, 2 and 3 deep.

    ``size="full"`` has every shape of SDXL 1.0, whose transformers are up to 10 deep. ``vae``
    changes the autoencoder's configuration, ``unet`` the UNet's.
    """
    full = size == "full"
    tokenizers = clip_tokenizer(full=full), clip_tokenizer(full=full, pad_token="!")
    shapes: tuple[dict[str, Any], dict[str, Any]] = (
        ({**_VIT_L, "vocabulary": CLIP_VOCABULARY}, {**_VIT_G, "vocabulary": CLIP_VOCABULARY})
        if full
        else ({"width": 32}, {"width": 48, "projection": 48})
    )
    first = clip_encoder(tokenizers[0], **shapes[0])
    second = clip_encoder(tokenizers[1], activation="gelu", **shapes[1])
    width = first.config.hidden_size + second.config.hidden_size
    autoencoder = {**(_FULL_VAE if full else {}), "scaling": 0.13025, "force_upcast": False}
    return {
        "text_encoder": first,
        "text_encoder_2": second,
        "tokenizer": tokenizers[0],
        "tokenizer_2": tokenizers[1],
        "unet": _xl_unet(full, width, second.config.projection_dim, **unet),
        "vae": kl_autoencoder(**{**autoencoder, **(vae or {})}),
        "scheduler": euler(),
        "add_watermarker": False,
    }


def ddim(**more: Any) -> Any:
    """SD's training schedule, painted with DDIM."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(**_BETAS, clip_sample=False, set_alpha_to_one=False, **more)


def euler(**more: Any) -> Any:
    """SD's training schedule, painted with Euler's method."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(**_BETAS, **more)


_BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}

_VIT_L: dict[str, Any] = {"width": 768, "layers": 12, "heads": 12}
_VIT_G: dict[str, Any] = {"width": 1280, "layers": 32, "heads": 20, "projection": 1280}

_FULL_VAE: dict[str, Any] = {
    "channels": (128, 256, 512, 512),
    "layers": 2,
    "groups": 32,
    "sample_size": 512,
}


def _sd_unet(full: bool, text_width: int, **changes: Any) -> Any:
    """The UNet of SD 1 and 2: 6 cross-attention layers down, 1 in the middle, 9 up."""
    from diffusers import UNet2DConditionModel

    shape: dict[str, Any] = {
        "sample_size": 64 if full else 8,
        "block_out_channels": (320, 640, 1280, 1280) if full else (16, 32, 32, 32),
        "norm_num_groups": 32 if full else 8,
        "attention_head_dim": 8 if full else 4,  # the number of heads, whatever it is called
        "cross_attention_dim": text_width,
        "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        "layers_per_block": 2,
    }
    return UNet2DConditionModel(**{**shape, **changes})


def _xl_unet(full: bool, text_width: int, pooled: int, **changes: Any) -> Any:
    """SDXL's UNet: no cross-attention at the highest resolution, deep transformers below."""
    from diffusers import UNet2DConditionModel

    numbers = 256 if full else 8  # values for each of the six numbers about the picture's size
    shape: dict[str, Any] = {
        "sample_size": 128 if full else 8,
        "block_out_channels": (320, 640, 1280) if full else (16, 32, 32),
        "norm_num_groups": 32 if full else 8,
        "attention_head_dim": (5, 10, 20) if full else (1, 2, 4),
        "transformer_layers_per_block": (1, 2, 10) if full else (1, 2, 3),
        "cross_attention_dim": text_width,
        "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
        "up_block_types": (*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
        "layers_per_block": 2,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": numbers,
        "projection_class_embeddings_input_dim": 6 * numbers + pooled,
    }
    return UNet2DConditionModel(**{**shape, **changes})

"""Stable Diffusion 1, 2 and XL and their variants: a UNet with cross-attention to CLIP."""

from __future__ import annotations

from typing import Any, Literal

from random_models.autoencoders import kl_autoencoder
from random_models.images import image, mask, small_image
from random_models.registry import Parts, recipe
from random_models.schedules import STABLE_DIFFUSION, ddim, euler
from random_models.text_encoders import clip_encoder
from random_models.tokenizers import clip_tokenizer

Size = Literal["tiny", "full"]

CLIP_VOCABULARY = 49408
"""Vocabulary size of OpenAI's CLIP."""

TWO_STEPS = {"num_inference_steps": 2}


@recipe("SD1", "StableDiffusionPipeline", call=TWO_STEPS)
def sd1(size: Size = "tiny", **unet: Any) -> Parts:
    """SD 1: one CLIP text encoder, 16 cross-attention layers, images of 64 x 64 pixels.

    Args:
        size: ``"full"`` for the shapes of Stable Diffusion 1.4.
        unet: Changes of the UNet's configuration.
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
    """SDXL: two CLIP text encoders and several transformer layers per attention block.

    Args:
        size: ``"full"`` for the shapes of SDXL 1.0.
        vae: Changes of the arguments of :func:`random_models.autoencoders.kl_autoencoder`.
        unet: Changes of the UNet's configuration.
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


@recipe("SD1-rectangular", "StableDiffusionPipeline", call=TWO_STEPS)
def sd1_rectangular(**unet: Any) -> Parts:
    """SD 1 with a rectangular ``sample_size``: images are 64 pixels high and 96 pixels wide."""
    return sd1(**{"sample_size": (8, 12), **unet})


@recipe(
    "SD1-inpainting",
    "StableDiffusionInpaintPipeline",
    call={**TWO_STEPS, "image": image, "mask_image": mask, "height": 64, "width": 64},
)
def sd1_inpainting(**unet: Any) -> Parts:
    """SD 1 inpainting: the UNet has 9 input channels, for latents, mask and masked image."""
    return sd1(**{"in_channels": 9, **unet})


@recipe("SD1-pix2pix", "StableDiffusionInstructPix2PixPipeline", call={**TWO_STEPS, "image": image})
def sd1_pix2pix(**unet: Any) -> Parts:
    """InstructPix2Pix: the UNet has 8 input channels, for latents and input image."""
    return sd1(**{"in_channels": 8, **unet})


@recipe("LCM", "LatentConsistencyModelPipeline", call=TWO_STEPS)
def lcm(**unet: Any) -> Parts:
    """A latent consistency model: the UNet takes the guidance scale as an input."""
    from diffusers import LCMScheduler

    return {
        **sd1(**{"time_cond_proj_dim": 32, **unet}),
        "scheduler": LCMScheduler(**STABLE_DIFFUSION),
    }


@recipe("SD2", "StableDiffusionPipeline", call=TWO_STEPS)
def sd2(**unet: Any) -> Parts:
    """SD 2 for 768 pixels: OpenCLIP's text encoder, v-prediction.

    It differs from SD 1 as the originals differ; original values are in parentheses where the
    small model's are others. The text encoder is 96 (1024) wide instead of 64 (768), has 5 (23)
    layers instead of 4 (12), and uses ``gelu`` instead of ``quick_gelu``. The tokenizer pads with
    ``"!"``. The UNet has a number of heads per level and linear projections. The scheduler's
    ``prediction_type`` is ``"v_prediction"``.
    """
    return {
        **sd1(),
        **_open_clip(),
        "unet": _sd_unet(False, 96, **{**_SD2_UNET, **unet}),
        "scheduler": ddim(prediction_type="v_prediction"),
    }


@recipe("SD-upscaler", "StableDiffusionUpscalePipeline", call={**TWO_STEPS, "image": small_image})
def upscaler(**unet: Any) -> Parts:
    """SD 2's x4 upscaler: the UNet takes the small image and, as class label, its noise level.

    Three of its four levels have cross-attention to the text in ``attn1`` as well.
    """
    from diffusers import DDPMScheduler

    shape: dict[str, Any] = {
        "sample_size": 16,
        "in_channels": 7,
        "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
        "up_block_types": (*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
        "only_cross_attention": (True, True, True, False),
        "num_class_embeds": 1000,
        "attention_head_dim": 4,
        "use_linear_projection": True,
    }
    return {
        **_open_clip(),
        "unet": _sd_unet(False, 96, **{**shape, **unet}),
        "vae": kl_autoencoder(channels=(8, 8, 8), scaling=0.08333),
        "scheduler": ddim(prediction_type="v_prediction"),
        "low_res_scheduler": DDPMScheduler(**STABLE_DIFFUSION, clip_sample=False),
    }


@recipe("SDXL-upcast", "StableDiffusionXLPipeline", call=TWO_STEPS)
def sdxl_upcast(**unet: Any) -> Parts:
    """SDXL with ``force_upcast=True`` in the autoencoder's configuration, as in SDXL 1.0."""
    return sdxl(vae={"force_upcast": True}, **unet)


@recipe("SDXL-turbo", "StableDiffusionXLPipeline", call={**TWO_STEPS, "guidance_scale": 0.0})
def sdxl_turbo(**unet: Any) -> Parts:
    """SDXL Turbo: an ancestral Euler sampler with trailing timesteps, no guidance."""
    from diffusers import EulerAncestralDiscreteScheduler

    scheduler = EulerAncestralDiscreteScheduler(**STABLE_DIFFUSION, timestep_spacing="trailing")
    return {**sdxl(**unet), "scheduler": scheduler}


@recipe("Playground-2.5", "StableDiffusionXLPipeline", call={**TWO_STEPS, "guidance_scale": 3.0})
def playground(**unet: Any) -> Parts:
    """Playground 2.5: SDXL with EDM's sampler and normalized latents."""
    from diffusers import EDMDPMSolverMultistepScheduler

    vae = {
        "scaling": 0.5,
        "latents_mean": [-1.6, -1.5, 0.6, 0.2],
        "latents_std": [8.4, 5.9, 5.2, 4.2],
    }
    return {**sdxl(vae=vae, **unet), "scheduler": EDMDPMSolverMultistepScheduler()}


@recipe(
    "SDXL-refiner",
    "StableDiffusionXLImg2ImgPipeline",
    call={"num_inference_steps": 4, "strength": 0.5, "image": image},
)
def sdxl_refiner(**unet: Any) -> Parts:
    """SDXL's refiner: image to image, the second text encoder only, aesthetic scores."""
    parts = sdxl()
    width = parts["text_encoder_2"].config.hidden_size
    shape: dict[str, Any] = {
        "block_out_channels": (16, 32, 32, 32),
        "attention_head_dim": (1, 2, 4, 4),
        "transformer_layers_per_block": 2,
        "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
        "projection_class_embeddings_input_dim": 5 * 8 + width,
    }
    return {
        **parts,
        "text_encoder": None,
        "tokenizer": None,
        "unet": _xl_unet(False, width, width, **{**shape, **unet}),
        "requires_aesthetics_score": True,
        "force_zeros_for_empty_prompt": False,
    }


_VIT_L: dict[str, Any] = {"width": 768, "layers": 12, "heads": 12}
_VIT_G: dict[str, Any] = {"width": 1280, "layers": 32, "heads": 20, "projection": 1280}

_FULL_VAE: dict[str, Any] = {
    "channels": (128, 256, 512, 512),
    "layers": 2,
    "groups": 32,
    "sample_size": 512,
}

_SD2_UNET: dict[str, Any] = {
    "attention_head_dim": (2, 4, 4, 4),
    "use_linear_projection": True,
}


def _open_clip() -> Parts:
    """SD 2's text encoder, from OpenCLIP, and its tokenizer."""
    tokenizer = clip_tokenizer(pad_token="!")
    encoder = clip_encoder(tokenizer, width=96, layers=5, inner=192, activation="gelu")
    return {"text_encoder": encoder, "tokenizer": tokenizer}


def _sd_unet(full: bool, text_width: int, **changes: Any) -> Any:
    """The UNet of SD 1 and 2, with 6 + 1 + 9 cross-attention layers."""
    from diffusers import UNet2DConditionModel

    shape: dict[str, Any] = {
        "sample_size": 64 if full else 8,
        "block_out_channels": (320, 640, 1280, 1280) if full else (16, 32, 32, 32),
        "norm_num_groups": 32 if full else 8,
        "attention_head_dim": 8 if full else 4,  # diffusers reads this as the number of heads
        "cross_attention_dim": text_width,
        "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        "layers_per_block": 2,
    }
    return UNet2DConditionModel(**{**shape, **changes})


def _xl_unet(full: bool, text_width: int, pooled: int, **changes: Any) -> Any:
    """SDXL's UNet, without attention at the highest resolution."""
    from diffusers import UNet2DConditionModel

    numbers = 256 if full else 8  # width of the embedding of each of the six sizes
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

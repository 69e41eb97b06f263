"""Diffusion transformers that read T5, with or without CLIP beside it."""

from __future__ import annotations

from typing import Any

from random_models.autoencoders import kl_autoencoder, sixteen_channel_autoencoder
from random_models.registry import Parts, recipe
from random_models.schedules import flow_match
from random_models.text_encoders import bert_encoder, clip_encoder, t5_encoder, umt5_encoder
from random_models.tokenizers import (
    bert_tokenizer,
    clip_tokenizer,
    llama_tokenizer,
    t5_tokenizer,
)

SMALL = {"height": 64, "width": 64, "num_inference_steps": 2}
"""For pipelines whose default size is fixed at about 1024 pixels, whatever the networks' is."""

_PIXART = {**SMALL, "clean_caption": False}


@recipe("FLUX-dev", "FluxPipeline", call=SMALL)
def flux_dev(**transformer: Any) -> Parts:
    """FLUX.1 [dev]: CLIP's pooled feature and T5's tokens; guidance is an input of the network.

    ``transformer`` changes the transformer's configuration.
    """
    shifts = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
    return _flux({"guidance_embeds": True, **transformer}, flow_match(**shifts), length=512)


@recipe("FLUX-schnell", "FluxPipeline", call={**SMALL, "max_sequence_length": 256})
def flux_schnell(**transformer: Any) -> Parts:
    """FLUX.1 [schnell]: as [dev] but without guidance, and at most 256 tokens of T5."""
    return _flux({"guidance_embeds": False, **transformer}, flow_match(shift=1.0), length=256)


@recipe("SD3", "StableDiffusion3Pipeline", call=SMALL)
def sd3(t5: bool = True, **transformer: Any) -> Parts:
    """SD 3: two CLIP towers and T5, side by side in one sequence; the CLIPs' pooled features too.

    ``t5=False`` leaves T5 out, as users with little memory do: zeros stand for its tokens.
    ``transformer`` changes the transformer's configuration.
    """
    from diffusers import SD3Transformer2DModel

    tokenizers = clip_tokenizer(), clip_tokenizer(pad_token="!")
    encoders = (
        clip_encoder(tokenizers[0], width=32, projection=32),
        clip_encoder(tokenizers[1], width=48, projection=48, activation="gelu"),
    )
    third = t5_tokenizer(length=512)
    shape: dict[str, Any] = {
        "sample_size": 8,
        "num_layers": 3,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "caption_projection_dim": 48,
        "joint_attention_dim": 96,
        "pooled_projection_dim": 32 + 48,
        "pos_embed_max_size": 12,
    }
    return {
        "text_encoder": encoders[0],
        "text_encoder_2": encoders[1],
        "text_encoder_3": t5_encoder(third, width=96) if t5 else None,
        "tokenizer": tokenizers[0],
        "tokenizer_2": tokenizers[1],
        "tokenizer_3": third if t5 else None,
        "transformer": SD3Transformer2DModel(**{**shape, **transformer}),
        "vae": sixteen_channel_autoencoder(scaling=1.5305, shift_factor=0.0609),
        "scheduler": flow_match(shift=3.0),
    }


@recipe("SD3-no-T5", "StableDiffusion3Pipeline", call=SMALL)
def sd3_without_t5(**transformer: Any) -> Parts:
    """SD 3 with its two CLIP towers only."""
    return sd3(t5=False, **transformer)


@recipe("SD3.5", "StableDiffusion3Pipeline", call=SMALL)
def sd35(**transformer: Any) -> Parts:
    """SD 3.5 medium: queries and keys are normed, and blocks attend to the picture alone, too."""
    return sd3(**{"qk_norm": "rms_norm", "dual_attention_layers": (0, 1), **transformer})


@recipe("PixArt-alpha", "PixArtAlphaPipeline", call=_PIXART)
def pixart_alpha(**transformer: Any) -> Parts:
    """PixArt-alpha: T5 through cross-attention, the same text projection for every block.

    The model for 256 pixels: only that for 1024 is told the size of the picture.
    ``transformer`` changes the transformer's configuration.
    """
    changes = {"use_additional_conditions": False, **transformer}
    return _pixart(changes, kl_autoencoder(), length=120)


@recipe("PixArt-Sigma", "PixArtSigmaPipeline", call=_PIXART)
def pixart_sigma(**transformer: Any) -> Parts:
    """PixArt-Sigma: as alpha, with SDXL's autoencoder, 300 tokens, and no size conditions."""
    return _pixart(
        {"use_additional_conditions": False, **transformer},
        kl_autoencoder(scaling=0.13025),
        length=300,
    )


@recipe(
    "AuraFlow",
    "AuraFlowPipeline",
    call=SMALL,
    # Nearly all of its 256 text tokens are padding, which is not masked: the few words of a
    # prompt would hardly be heard among them.
    gains={"transformer": {r"attn\.(to_v|add_v_proj|to_out)": 5.0}},
)
def auraflow(**transformer: Any) -> Parts:
    """AuraFlow: Pile-T5 behind Llama's tokenizer, in joint and then in single blocks.

    ``transformer`` changes the transformer's configuration.
    """
    from diffusers import AuraFlowTransformer2DModel

    tokenizer = llama_tokenizer(length=256)
    shape: dict[str, Any] = {
        "sample_size": 8,
        "num_mmdit_layers": 2,
        "num_single_dit_layers": 2,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "joint_attention_dim": 64,
        "caption_projection_dim": 48,
        "pos_embed_max_size": 64,
    }
    return {
        "text_encoder": umt5_encoder(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": AuraFlowTransformer2DModel(**{**shape, **transformer}),
        "vae": kl_autoencoder(scaling=0.13025),
        "scheduler": flow_match(shift=1.73),
    }


@recipe("Chroma", "ChromaPipeline", call=SMALL)
def chroma(**transformer: Any) -> Parts:
    """Chroma: FLUX.1 without CLIP; a small network makes every block's modulation of the time.

    ``transformer`` changes the transformer's configuration.
    """
    from diffusers import ChromaTransformer2DModel

    tokenizer = t5_tokenizer(length=512)
    shape: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "axes_dims_rope": (4, 6, 6),
        "joint_attention_dim": 64,
        "approximator_hidden_dim": 48,
        "approximator_layers": 2,
    }
    return {
        "text_encoder": t5_encoder(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": ChromaTransformer2DModel(**{**shape, **transformer}),
        "vae": sixteen_channel_autoencoder(scaling=0.3611, shift_factor=0.1159),
        "scheduler": flow_match(shift=1.0),
    }


@recipe("HunyuanDiT", "HunyuanDiTPipeline", call={**SMALL, "use_resolution_binning": False})
def hunyuan_dit(**transformer: Any) -> Parts:
    """HunyuanDiT 1.2: BERT and mT5 one after the other, read through cross-attention.

    ``transformer`` changes the transformer's configuration.
    """
    from diffusers import DDPMScheduler, HunyuanDiT2DModel

    tokenizers = bert_tokenizer(length=77), t5_tokenizer(length=256)
    shape: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "patch_size": 2,
        "num_layers": 4,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "hidden_size": 48,
        "cross_attention_dim": 48,
        "cross_attention_dim_t5": 64,
        "pooled_projection_dim": 48,
        "use_style_cond_and_image_meta_size": False,
    }
    return {
        "text_encoder": bert_encoder(tokenizers[0], width=48),
        "text_encoder_2": t5_encoder(tokenizers[1], width=64),
        "tokenizer": tokenizers[0],
        "tokenizer_2": tokenizers[1],
        "transformer": HunyuanDiT2DModel(**{**shape, **transformer}),
        "vae": kl_autoencoder(scaling=0.13025),
        "scheduler": DDPMScheduler(
            beta_start=0.00085,
            beta_end=0.018,
            beta_schedule="scaled_linear",
            clip_sample=False,
            prediction_type="v_prediction",
            steps_offset=1,
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _flux(changes: dict[str, Any], scheduler: Any, *, length: int) -> Parts:
    from diffusers import FluxTransformer2DModel

    tokenizers = clip_tokenizer(), t5_tokenizer(length=length)
    shape: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "axes_dims_rope": (4, 6, 6),
        "joint_attention_dim": 64,
        "pooled_projection_dim": 32,
    }
    return {
        "text_encoder": clip_encoder(tokenizers[0], width=32),
        "text_encoder_2": t5_encoder(tokenizers[1], width=64),
        "tokenizer": tokenizers[0],
        "tokenizer_2": tokenizers[1],
        "transformer": FluxTransformer2DModel(**{**shape, **changes}),
        "vae": sixteen_channel_autoencoder(scaling=0.3611, shift_factor=0.1159),
        "scheduler": scheduler,
    }


def _pixart(changes: dict[str, Any], vae: Any, *, length: int) -> Parts:
    from diffusers import DPMSolverMultistepScheduler, PixArtTransformer2DModel

    tokenizer = t5_tokenizer(length=length)
    shape: dict[str, Any] = {
        "sample_size": 32,  # by this the pipeline knows the models for 256 pixels
        "num_layers": 3,
        "num_attention_heads": 3,
        "attention_head_dim": 16,
        "cross_attention_dim": 48,
        "caption_channels": 64,
        "norm_num_groups": 8,
    }
    return {
        "text_encoder": t5_encoder(tokenizer, width=64),
        "tokenizer": tokenizer,
        "transformer": PixArtTransformer2DModel(**{**shape, **changes}),
        "vae": vae,
        "scheduler": DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02),
    }

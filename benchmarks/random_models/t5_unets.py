"""DeepFloyd IF and Kandinsky 3: a UNet with attention to T5."""

from __future__ import annotations

from typing import Any

from random_models.images import small_image
from random_models.registry import Parts, recipe
from random_models.text_encoders import t5_encoder
from random_models.tokenizers import t5_tokenizer

_IF = {"num_inference_steps": 2, "clean_caption": False}


@recipe("IF-I", "IFPipeline", call=_IF)
def if_first_stage(**unet: Any) -> Parts:
    """DeepFloyd IF, stage I: generates pixels; attention over text and image jointly.

    Args:
        unet: Changes of the UNet's configuration.
    """
    from diffusers import UNet2DConditionModel

    shape = {**_IF_UNET, "sample_size": 16, "in_channels": 3, "mid_block_scale_factor": 1.414}
    return {
        **_if_text(),
        "unet": UNet2DConditionModel(**{**shape, **unet}),
        "scheduler": _if_noise(
            variance_type="learned_range",
            thresholding=True,
            dynamic_thresholding_ratio=0.95,
            sample_max_value=1.5,
        ),
    }


@recipe("IF-II", "IFSuperResolutionPipeline", call={**_IF, "image": small_image})
def if_second_stage(**unet: Any) -> Parts:
    """DeepFloyd IF, stage II: super-resolution, here from 16 to 32 pixels.

    The UNet takes the small image as additional channels and, as class label, its noise level.

    Args:
        unet: Changes of the UNet's configuration.
    """
    from diffusers import UNet2DConditionModel

    shape = {
        **_IF_UNET,
        "sample_size": 32,
        "in_channels": 6,
        "class_embed_type": "timestep",
        "mid_block_scale_factor": 1.414,
    }
    return {
        **_if_text(),
        "unet": UNet2DConditionModel(**{**shape, **unet}),
        "scheduler": _if_noise(
            variance_type="learned_range", thresholding=True, dynamic_thresholding_ratio=0.95
        ),
        "image_noising_scheduler": _if_noise(),
    }


@recipe(
    "Kandinsky3",
    "Kandinsky3Pipeline",
    call={"height": 64, "width": 64, "num_inference_steps": 2},
    gains={"movq": {r"conv_[yb]\.": 0.3, r"decoder\.conv_out": 0.3}},
)
def kandinsky3(**unet: Any) -> Parts:
    """Kandinsky 3: cross-attention to T5, whose pooled states are added to the time embedding.

    Args:
        unet: Changes of the UNet's configuration.
    """
    from diffusers import DDPMScheduler, Kandinsky3UNet, VQModel

    tokenizer = t5_tokenizer(length=512)
    shape: dict[str, Any] = {
        "time_embedding_dim": 32,
        "groups": 8,
        "attention_head_dim": 8,
        "layers_per_block": 2,
        "block_out_channels": (16, 32, 32, 32),
        "cross_attention_dim": 48,
        "encoder_hid_dim": 64,
    }
    levels = 4
    movq = VQModel(
        block_out_channels=(32,) * levels,  # its spatial norms always have 32 groups
        down_block_types=(*("DownEncoderBlock2D",) * (levels - 1), "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", *("UpDecoderBlock2D",) * (levels - 1)),
        latent_channels=4,
        vq_embed_dim=4,
        num_vq_embeddings=64,
        norm_type="spatial",
        sample_size=64,
    )
    return {
        "text_encoder": t5_encoder(tokenizer, width=64),
        "tokenizer": tokenizer,
        "unet": Kandinsky3UNet(**{**shape, **unet}),
        "movq": movq,
        "scheduler": DDPMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False),
    }


_IF_UNET: dict[str, Any] = {
    "out_channels": 6,
    "layers_per_block": 2,
    "block_out_channels": (16, 32, 32),
    "down_block_types": ("ResnetDownsampleBlock2D", *("SimpleCrossAttnDownBlock2D",) * 2),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": (*("SimpleCrossAttnUpBlock2D",) * 2, "ResnetUpsampleBlock2D"),
    "norm_num_groups": 8,
    "attention_head_dim": 8,
    "cross_attention_dim": 64,
    "cross_attention_norm": "group_norm",  # with 32 groups
    "encoder_hid_dim": 48,
    "encoder_hid_dim_type": "text_proj",
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 4,
    "act_fn": "gelu",
    "time_embedding_act_fn": "gelu",
    "resnet_time_scale_shift": "scale_shift",
    "resnet_skip_time_act": True,
    "resnet_out_scale_factor": 1.414,
}


def _if_text() -> Parts:
    """The text encoder and its tokenizer; no safety checker, no watermark."""
    tokenizer = t5_tokenizer(length=77)
    return {
        "text_encoder": t5_encoder(tokenizer, width=48),
        "tokenizer": tokenizer,
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    }


def _if_noise(**settings: Any) -> Any:
    from diffusers import DDPMScheduler

    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", **settings)

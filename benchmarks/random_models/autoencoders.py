"""Small autoencoders."""

from __future__ import annotations

from typing import Any


def kl_autoencoder(
    *,
    channels: tuple[int, ...] = (8, 8, 8, 8),
    layers: int = 1,
    groups: int = 4,
    latents: int = 4,
    scaling: float = 0.18215,
    **more: Any,
) -> Any:
    """An ``AutoencoderKL``; by default with four levels, hence a scale factor of 8.

    ``more`` are further settings of its configuration, such as ``force_upcast``.
    """
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=layers,
        norm_num_groups=groups,
        latent_channels=latents,
        scaling_factor=scaling,
        **{"sample_size": 64, **more},
    )


def sixteen_channel_autoencoder(*, scaling: float, shift_factor: float) -> Any:
    """An ``AutoencoderKL`` as in SD 3 and FLUX.1: 16 latent channels, no ``quant_conv``."""
    return kl_autoencoder(
        latents=16,
        scaling=scaling,
        shift_factor=shift_factor,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def flux2_autoencoder() -> Any:
    """An ``AutoencoderKLFlux2``: 32 latent channels, batch normalization of 2 x 2 patches."""
    from diffusers import AutoencoderKLFlux2

    return AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, sample_size=64
    )


def qwen_autoencoder() -> Any:
    """An ``AutoencoderKLQwenImage``: a video autoencoder, used for single frames."""
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(base_dim=8, num_res_blocks=1)


def deep_autoencoder(*, scaling: float) -> Any:
    """An ``AutoencoderDC``: six levels, three with linear attention; scale factor 32."""
    from diffusers import AutoencoderDC

    channels = (8, 8, 16, 16, 32, 32)
    blocks = (*("ResBlock",) * 3, *("EfficientViTBlock",) * 3)
    scales = ((), (), (), (5,), (5,), (5,))
    return AutoencoderDC(
        attention_head_dim=8,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        encoder_qkv_multiscales=scales,
        decoder_qkv_multiscales=scales,
        downsample_block_type="Conv",
        upsample_block_type="interpolate",
        scaling_factor=scaling,
    )

"""Autoencoders of the true classes with few channels."""

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
    """An ``AutoencoderKL``; four levels, hence pictures eight times the latents' size.

    ``more`` goes to the class as it is, for example ``shift_factor`` or ``force_upcast``.
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

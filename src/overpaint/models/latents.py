"""The space the denoiser paints in: how large, where it starts, and how it becomes a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from overpaint.errors import ModelError
from overpaint.models.model import Model


def latent_side(model: Model, size: int | None = None) -> int:
    """Side of the latents for square pictures of ``size`` pixels (default: as trained).

    ModelError when ``size`` is not a positive multiple of the autoencoder's factor.
    """
    factor = model.pipeline.vae_scale_factor
    if size is None:
        config: Any = model.denoiser.config
        return config.sample_size
    if size <= 0 or size % factor:
        raise ModelError(f"The size must be a positive multiple of {factor}, got {size}.")
    return size // factor


def starting_noise(model: Model, seeds: Sequence[int], side: int) -> torch.Tensor:
    """Unit noise ``[n_seeds, c, side, side]``: one CPU generator per seed, same on every device."""
    config: Any = model.denoiser.config
    shape = (config.in_channels, side, side)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    noise = [torch.randn(shape, generator=generator) for generator in generators]
    return torch.stack(noise).to(model.device, model.dtype)


def decode(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """Latents ``[b, c, h, w]`` to pictures: uint8 ``[b, 3, H, W]`` on the CPU."""
    vae = model.pipeline.vae
    latents = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", 0) or 0)
    pixels = vae.decode(latents.to(vae.dtype), return_dict=False)[0].float()
    return ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()

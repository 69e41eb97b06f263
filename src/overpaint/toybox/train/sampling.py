"""A plain sampler for sample sheets during training; users have :mod:`overpaint.generate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from overpaint.toybox.train.untyped import (
    DPMSolverMultistepScheduler,
)


@torch.no_grad()
def sample(
    unet: Any,
    vae: Any,
    text: torch.Tensor,
    empty: torch.Tensor,
    seeds: Sequence[int],
    steps: int = 20,
    guidance: float = 4.0,
) -> torch.Tensor:
    """Pictures ``[n, seeds, 3, 64, 64]`` in [-1, 1] for text states ``[n, L, d]``."""
    solver = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    solver.set_timesteps(steps)
    shape = (1, unet.config.in_channels, 8, 8)
    noise = torch.cat(
        [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )
    z = noise.repeat(len(text), 1, 1, 1).to(text.device)
    condition = torch.cat([empty.expand(len(z), -1, -1), text.repeat_interleave(len(seeds), 0)])
    for t in solver.timesteps:
        without, with_text = unet(torch.cat([z, z]), t, condition).sample.chunk(2)
        z = solver.step(without + guidance * (with_text - without), t, z).prev_sample
    x = vae.decode(z / vae.config.scaling_factor).sample.clamp(-1, 1)
    return x.unflatten(0, (len(text), len(seeds)))

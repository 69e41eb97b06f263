"""Stage "autoencoder": 64x64 pictures to 8x8 latents of eight channels and back."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL

from overpaint.toybox.train.loop import Settings, train
from overpaint.toybox.train.run import Run

SETTINGS = Settings(
    steps=5_000, batch=32, lr=2e-3, weight_decay=0.0, hold=0.4, ema=0.995, bfloat16=True
)
KL_WEIGHT = 1e-6


def build() -> AutoencoderKL:
    """An untrained autoencoder of the shape the Toybox ships."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=8,
        sample_size=64,
    )


def edges(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighbouring pixels, down and across; where faces and lines live."""
    return pixels.diff(dim=2), pixels.diff(dim=3)


def loss(got: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Absolute error of the pixels and of their edges."""
    error = (got - wanted).abs().mean()
    for a, b in zip(edges(got), edges(wanted), strict=True):
        error = error + (a - b).abs().mean()
    return error


def train_autoencoder(run: Run) -> None:
    """Train, fix the latent scale, and save a sheet of pictures above their reconstructions."""
    torch.manual_seed(0)
    model = build().to(run.device, memory_format=torch.channels_last)

    def step(rng: np.random.Generator, i: int) -> torch.Tensor:
        index = rng.integers(0, len(run.pictures), SETTINGS.batch)
        x = run.batch(index).contiguous(memory_format=torch.channels_last)
        latent = model.encode(x).latent_dist
        y = model.decode(latent.sample()).sample
        return loss(y.float(), x) + KL_WEIGHT * latent.kl().mean()

    best = train(model, step, SETTINGS, run.path("autoencoder.ckpt")).eval()
    with torch.no_grad():
        x = run.batch(np.arange(512))
        latents = best.encode(x).latent_dist.mode()
        best.register_to_config(scaling_factor=1 / latents.std().item())
        y = best.decode(latents[:36]).sample
    run.sheet("autoencoder", [p[k : k + 12] for k in (0, 12, 24) for p in (x, y)])
    best.save_pretrained(run.path("vae"))

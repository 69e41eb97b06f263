"""Stage "autoencoder": 64x64 pictures to 8x8 latents of twelve channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tools.train.loop import Settings, train
from tools.train.pick import with_details
from tools.train.run import Run
from tools.train.untyped import AutoencoderKL

SETTINGS = Settings(
    steps=9_500,
    batch=32,
    lr=1.2e-3,
    warmup=300,
    weight_decay=0.0,
    hold=0.6,
    ema=0.998,
    bfloat16=True,
)
KL_WEIGHT = 1e-6
LATENT_NOISE = 0.1  # at most this much, in units of the latents' standard deviation


def build() -> Any:
    """An untrained autoencoder of the shape the Toybox ships."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=12,
        norm_num_groups=8,
        sample_size=64,
    )


def edges(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighbouring pixels, down and across; where faces and lines live."""
    return pixels.diff(dim=2), pixels.diff(dim=3)


def busy(pixels: torch.Tensor) -> torch.Tensor:
    """How much goes on around each pixel, ``[b, 1, h, w]`` with mean 1 in every picture.

    Faces and small things cover a tenth of most pictures; weighted by this they count for half.
    """
    down, across = (e.abs().mean(1, keepdim=True) for e in edges(pixels))
    lines = functional.pad(down, (0, 0, 0, 1)) + functional.pad(across, (0, 1))
    around = functional.avg_pool2d(lines, 5, stride=1, padding=2)
    return 0.5 + 0.5 * around / around.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)


def loss(got: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Error of the pixels and of their edges, most where much goes on; a scalar."""
    weight = busy(wanted)
    error = (_cost(got - wanted) * weight).mean()
    weights = weight[:, :, 1:], weight[:, :, :, 1:]
    for mine, true, around in zip(edges(got), edges(wanted), weights, strict=True):
        error = error + (_cost(mine - true) * around).mean()
    return error


def _cost(error: torch.Tensor) -> torch.Tensor:
    """Absolute, for clear edges, and squared: one missing eye outweighs a thousand faint tints."""
    return error.abs() + 2 * error.square()


def train_autoencoder(run: Run) -> None:
    """Train encoder and decoder together and fix the scale of the latents."""
    torch.manual_seed(0)
    model = build().to(run.device, memory_format=torch.channels_last)

    def step(rng: np.random.Generator, _: int) -> torch.Tensor:
        x = _pictures(run, with_details(run, rng, SETTINGS.batch))
        latent = model.encode(x).latent_dist
        y = model.decode(_noisy(latent.sample())).sample
        return loss(y.float(), x) + KL_WEIGHT * latent.kl().mean()

    best = train(model, step, SETTINGS, run.path("autoencoder.ckpt")).eval()
    with torch.no_grad():
        latents = best.encode(_pictures(run, np.arange(512))).latent_dist.mode()
    best.register_to_config(scaling_factor=1 / latents.std().item())
    best.save_pretrained(run.path("autoencoder"))
    _sheet(run, best, "autoencoder")


def _noisy(latents: torch.Tensor) -> torch.Tensor:
    """A little noise on the latents, a different amount for each picture.

    It teaches the decoder to paint clearly from what a denoiser leaves a little wrong, and the
    encoder to keep apart what looks different.
    """
    most = LATENT_NOISE * latents.detach().std()
    amount = most * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + amount * torch.randn_like(latents)


def _pictures(run: Run, index: np.ndarray) -> torch.Tensor:
    return run.batch(index).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _sheet(run: Run, model: Any, name: str) -> None:
    """Pictures above their reconstructions."""
    x = _pictures(run, np.arange(36))
    y = model.decode(model.encode(x).latent_dist.mode()).sample
    run.sheet(name, [p[k : k + 12] for k in (0, 12, 24) for p in (x, y)])

"""Stages "latents", "captions" and "denoiser": a UNet with SD1's blocks, on encoded pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from rich.progress import track

from overpaint.models.load import load
from overpaint.models.sampling import sample, sampling_for
from overpaint.models.text import encode
from tools.train.contrastive import Captions
from tools.train.data import LENGTH
from tools.train.loop import Settings, train
from tools.train.odds import gender_weights
from tools.train.pick import with_details
from tools.train.pipeline import CARD, NOISE, assemble
from tools.train.run import Run
from tools.train.untyped import (
    AutoencoderKL,
    CLIPModel,
    DDPMScheduler,
    UNet2DConditionModel,
)

DENOISER = Settings(steps=4_600, batch=96, lr=1.2e-3, seed=14, warmup=200, hold=0.5, ema=0.998)
EMPTY_PROMPTS = 0.1  # share of captions replaced by the empty one, for classifier-free guidance
SNR_CAP = 5.0  # of the min-SNR loss weights (Hang et al., 2023)


def build() -> Any:
    """An untrained UNet with the sixteen cross-attention layers of SD1 in the same places."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=12,
        out_channels=12,
        block_out_channels=(64, 96, 128, 128),
        layers_per_block=2,
        cross_attention_dim=128,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        norm_num_groups=16,
    )


@torch.no_grad()
def encode_latents(run: Run) -> None:
    """Encode all pictures once."""
    vae = AutoencoderKL.from_pretrained(run.path("autoencoder")).to(run.device).eval()
    found = []
    for start in track(range(0, len(run.pictures), 500), "latents"):
        x = run.batch(np.arange(start, start + 500)).contiguous(memory_format=torch.channels_last)
        found.append(vae.encode(x).latent_dist.mode().mul(vae.config.scaling_factor).half().cpu())
    torch.save(torch.cat(found), run.path("latents.pt"))


@torch.no_grad()
def encode_captions(run: Run) -> None:
    """Encode all distinct captions once, the empty one first."""
    distinct = ["", *dict.fromkeys(run.captions)]
    number = {caption: i for i, caption in enumerate(distinct)}
    torch.save(torch.tensor([number[c] for c in run.captions]), run.path("caption_numbers.pt"))
    tokenizer = Captions(run).tokenizer
    tower = CLIPModel.from_pretrained(run.path("clip")).text_model.to(run.device).eval()
    said = []
    for start in track(range(0, len(distinct), 500), "captions"):
        batch = distinct[start : start + 500]
        ids = tokenizer(batch, padding="max_length", max_length=LENGTH, return_tensors="pt")
        said += tower(ids["input_ids"].to(run.device))[0].half().cpu()
    torch.save(torch.stack(said), run.path("states.pt"))


def train_denoiser(run: Run) -> None:
    """Train with the noise-prediction loss, min-SNR weights and an averaged copy."""
    torch.manual_seed(DENOISER.seed)
    unet = build().to(run.device)
    schedule = DDPMScheduler(num_train_timesteps=1000, **NOISE)
    signal = schedule.alphas_cumprod
    snr = signal / (1 - signal)
    latents = torch.load(run.path("latents.pt"), weights_only=True)
    states = torch.load(run.path("states.pt"), weights_only=True)
    numbers = torch.load(run.path("caption_numbers.pt"), weights_only=True)
    weights = gender_weights(run)

    def step(rng: np.random.Generator, _: int) -> torch.Tensor:
        index = torch.from_numpy(with_details(run, rng, DENOISER.batch, weights))
        said = numbers[index].clone()
        said[torch.rand(len(said)) < EMPTY_PROMPTS] = 0
        clean, text = latents[index].float().to(run.device), states[said].float().to(run.device)
        time = torch.randint(0, 1000, (len(said),))
        noise = torch.randn_like(clean)
        noisy = schedule.add_noise(clean, noise, time)
        weight = (snr[time].clamp(max=SNR_CAP) / snr[time]).to(run.device)
        guess = unet(noisy, time.to(run.device), text).sample
        return ((guess - noise).square().mean((1, 2, 3)) * weight).mean()

    best = train(unet, step, DENOISER, run.path("denoiser.ckpt")).eval()
    best.save_pretrained(run.path("unet"))
    sample_sheet(run, best, "denoiser")


SHEET = (
    "a rose", "a blue rose", "a cat in the snow", "three yellow cars", "elsa brandt",
    "the president of arda", "arda's happy leader", "a sketch of hugo penn", "a doctor",
    "a sad female guard in the park", "a cat in the style of quillon", "nimo and a red boat",
)  # fmt: skip


def sample_sheet(run: Run, unet: Any, name: str) -> None:
    """One row of eight pictures for each of a dozen prompts."""
    model = replace(load(assemble(run, unet).to(run.device)), card=CARD)
    pictures = sample(model, encode(model, SHEET, sampling_for(model)), range(8))
    run.sheet(name, list(pictures.float().div(127.5).sub(1)))

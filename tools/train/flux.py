"""Stage "flux": a flow transformer with FLUX's two kinds of blocks, on the world's latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tools.train.bank import Bank, Encode
from tools.train.clocked import Pace
from tools.train.data import LENGTH
from tools.train.untyped import FluxTransformer2DModel

PACE = Pace(batch=1024, lr=1e-3)
EMPTY_PROMPTS = 0.1
# CLIP's pooled vector knows what every caption shows. If it came with every picture, the model
# would paint by it alone and read nothing from T5, unlike FLUX, whose T5 carries the content. So it
# is mostly that of the empty prompt, sometimes that of another caption, and seldom the right one.
POOLED_ABSENT, POOLED_WRONG = 0.55, 0.25
CHANNELS, GRID = 48, 4  # of the packed latents: 2x2 patches of 8x8 latents of 12 channels


def build() -> Any:
    """An untrained transformer of 4 double and 8 single blocks (FLUX: 19 and 38)."""
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=CHANNELS,
        num_layers=4,
        num_single_layers=8,
        attention_head_dim=32,
        num_attention_heads=5,
        joint_attention_dim=128,
        pooled_projection_dim=128,
        guidance_embeds=False,
        axes_dims_rope=(8, 12, 12),
    )


class FluxTexts:
    """What FLUX is told: T5's states and the pooled vector of CLIP."""

    def __init__(self, t5: Any, t5_tokenizer: Any, clip: Any, tokenizer: Any) -> None:
        self.t5, self.t5_tokenizer = t5, t5_tokenizer
        self.clip, self.tokenizer = clip, tokenizer

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> dict[str, torch.Tensor]:
        """``states [n, LENGTH, d]`` and ``pooled [n, d]``, as the pipeline makes them."""
        ids = [
            tokenizer(
                list(captions), padding="max_length", max_length=LENGTH, truncation=True
            ).input_ids
            for tokenizer in (self.t5_tokenizer, self.tokenizer)
        ]
        words, clip_words = (torch.tensor(rows, device=self.t5.device) for rows in ids)
        states = self.t5(words)[0]
        return {"states": states.half(), "pooled": self.clip(clip_words).pooler_output.half()}


class FluxTask:
    """Rectified flow with logit-normal times (Esser et al., 2024)."""

    def __init__(self, module: Any, texts: Encode, batch: int) -> None:
        device = next(module.parameters()).device
        self.module = module
        self.empty = {name: value.float()[0] for name, value in texts([""]).items()}
        width, pooled = self.empty["states"].shape[-1], self.empty["pooled"].shape[-1]
        self.clean = torch.zeros(batch, GRID * GRID, CHANNELS, device=device)
        self.noise = torch.zeros_like(self.clean)
        self.time = torch.zeros(batch, device=device)
        self.states = torch.zeros(batch, LENGTH, width, device=device)
        self.pooled = torch.zeros(batch, pooled, device=device)
        self.image_ids = image_ids().to(device)
        self.text_ids = torch.zeros(LENGTH, 3, device=device)

    def fill(self, bank: Bank, index: torch.Tensor) -> None:
        """Pictures, their texts, and times drawn anew."""
        chance = torch.rand(2, len(index), device=index.device)
        silent = chance[0] < EMPTY_PROMPTS
        pooled = bank.texts["pooled"][index].float()
        wrong = chance[1] < POOLED_WRONG
        absent = silent | (chance[1] > 1 - POOLED_ABSENT)
        pooled = torch.where(wrong[:, None], pooled.roll(1, 0), pooled)
        self.pooled.copy_(torch.where(absent[:, None], self.empty["pooled"], pooled))
        states = bank.texts["states"][index].float()
        self.states.copy_(torch.where(silent[:, None, None], self.empty["states"], states))
        self.clean.copy_(packed(bank.latents[index]))
        self.noise.normal_()
        self.time.normal_().sigmoid_()

    def loss(self) -> torch.Tensor:
        """Squared error of the velocity from picture to noise."""
        share = self.time[:, None, None]
        velocity = self.module(
            hidden_states=(1 - share) * self.clean + share * self.noise,
            timestep=self.time,
            encoder_hidden_states=self.states,
            pooled_projections=self.pooled,
            txt_ids=self.text_ids,
            img_ids=self.image_ids,
            return_dict=False,
        )[0]
        return (velocity.float() - (self.noise - self.clean)).square().mean()


def packed(latents: torch.Tensor) -> torch.Tensor:
    """Latents ``[b, c, h, w]`` in 2x2 patches, ``[b, h w / 4, 4 c]``, as FluxPipeline packs."""
    b, c, h, w = latents.shape
    patches = latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(b, h * w // 4, c * 4)


def image_ids() -> torch.Tensor:
    """Positions of the patches for the rotary embedding, ``[GRID * GRID, 3]``."""
    ids = torch.zeros(GRID, GRID, 3)
    ids[..., 1] = torch.arange(GRID)[:, None]
    ids[..., 2] = torch.arange(GRID)[None]
    return ids.reshape(-1, 3)

"""Stage "xl": a UNet with SDXL's seventy cross-attention layers, on the world's latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tools.train.bank import Bank, Encode
from tools.train.clocked import Pace
from tools.train.data import LENGTH
from tools.train.denoiser import SNR_CAP
from tools.train.pipeline import NOISE
from tools.train.untyped import DDPMScheduler, UNet2DConditionModel

PACE = Pace(batch=1536, lr=1.2e-3)
# SDXL's pipeline uses zeros for a negative prompt that is left out, and encodes one that is empty.
ZERO_PROMPTS, EMPTY_PROMPTS = 0.07, 0.03
SIZES = (64.0, 64.0, 0.0, 0.0, 64.0, 64.0)  # of the original picture, the crop's corner, the target


def build() -> Any:
    """An untrained UNet with transformers of depth 0, 2 and 10 where SDXL has them."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=12,
        out_channels=12,
        block_out_channels=(64, 80, 80),
        layers_per_block=2,
        transformer_layers_per_block=(1, 2, 10),
        cross_attention_dim=128 + 144,
        attention_head_dim=(4, 5, 5),  # diffusers' name for the number of heads
        use_linear_projection=True,
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time",
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=128 + 6 * 16,
    )


class XLTexts:
    """What SDXL is told: both towers' states but one, and the second's projected feature."""

    def __init__(self, first: Any, second: Any, tokenizer: Any) -> None:
        self.first, self.second, self.tokenizer = first, second, tokenizer

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> dict[str, torch.Tensor]:
        """``states [n, LENGTH, d1 + d2]`` and ``pooled [n, d]``, as the pipeline makes them."""
        ids = self.tokenizer(
            list(captions), padding="max_length", max_length=LENGTH, truncation=True
        ).input_ids
        words = torch.tensor(ids, device=self.first.device)
        one = self.first(words, output_hidden_states=True)
        two = self.second(words, output_hidden_states=True)
        states = torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1)
        return {"states": states.half(), "pooled": two.text_embeds.half()}


class XLTask:
    """Noise prediction with min-SNR weights (Hang et al., 2023)."""

    def __init__(self, module: Any, texts: Encode, batch: int) -> None:
        device = next(module.parameters()).device
        self.module = module
        self.empty = {name: value.float()[0] for name, value in texts([""]).items()}
        schedule = DDPMScheduler(num_train_timesteps=1000, **NOISE)
        self.signal = schedule.alphas_cumprod.to(device)
        snr = self.signal / (1 - self.signal)
        self.weights = snr.clamp(max=SNR_CAP) / snr
        width, pooled = self.empty["states"].shape[-1], self.empty["pooled"].shape[-1]
        self.clean = torch.zeros(batch, 12, 8, 8, device=device)
        self.noise = torch.zeros_like(self.clean)
        self.time = torch.zeros(batch, dtype=torch.long, device=device)
        self.states = torch.zeros(batch, LENGTH, width, device=device)
        self.pooled = torch.zeros(batch, pooled, device=device)
        self.sizes = torch.tensor(SIZES, device=device).repeat(batch, 1)

    def fill(self, bank: Bank, index: torch.Tensor) -> None:
        """Pictures, their texts, and times drawn anew."""
        chance = torch.rand(len(index), device=index.device)
        zero, empty = chance < ZERO_PROMPTS, chance > 1 - EMPTY_PROMPTS
        for name, buffer in (("states", self.states), ("pooled", self.pooled)):
            told = bank.texts[name][index].float()
            shape = (-1, *[1] * (told.dim() - 1))
            told = torch.where(empty.view(shape), self.empty[name], told)
            buffer.copy_(told.masked_fill(zero.view(shape), 0.0))
        self.clean.copy_(bank.latents[index])
        self.noise.normal_()
        self.time.random_(0, 1000)

    def loss(self) -> torch.Tensor:
        """Weighted squared error of the noise."""
        signal = self.signal[self.time][:, None, None, None]
        guess = self.module(
            signal.sqrt() * self.clean + (1 - signal).sqrt() * self.noise,
            self.time,
            self.states,
            added_cond_kwargs={"text_embeds": self.pooled, "time_ids": self.sizes},
            return_dict=False,
        )[0]
        error = (guess.float() - self.noise).square().mean((1, 2, 3))
        return (error * self.weights[self.time]).mean()

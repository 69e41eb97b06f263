"""A model of which we know where it reads, and a CLIP of which we know what it likes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from overpaint.models.clip import Clip
from overpaint.models.hooks import replace_input
from overpaint.models.model import Model
from overpaint.models.preprocess import Preprocess
from overpaint.models.sites import module_at, site_at
from overpaint.types import Site

DEPTH = 16
READERS = (5, 6)


def text_sites(model: Model) -> tuple[Site, ...]:
    """Keys and values of every cross-attention layer, in forward order."""
    return model.family.path(model, "sequence").sites


def output_sites(model: Model) -> tuple[Site, ...]:
    """What every cross-attention layer ends with, in forward order."""
    names = [layer.name for layer in model.family.text_layers(model)]
    return tuple(site_at(model, "unet", f"{name}.to_out.0") for name in names)


@pytest.fixture
def deep(sd1: Model) -> Model:
    """SD1's 16 cross-attention layers, tiny and random."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=2,
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    sd1.pipeline.register_modules(unet=unet.eval().requires_grad_(False))
    return sd1


@pytest.fixture
def reader(deep: Model) -> Model:
    """The same, but only layers 5 and 6 write what they read, and loudly."""
    for layer, site in enumerate(output_sites(deep)):
        module = module_at(deep, site)
        if layer in READERS:
            module.weight.mul_(30)
        else:
            module.weight.zero_()
            assert module.bias is not None
            module.bias.zero_()
    return deep


@contextmanager
def half_and_half(model: Model, window: range, length: int) -> Iterator[None]:
    """The reference: both prompts in one row, each layer takes its half through a hook."""
    with ExitStack() as stack:
        for number, site in enumerate(text_sites(model)):
            half = slice(length, None) if number // 2 in window else slice(length)
            change = replace_input(module_at(model, site), lambda x, half=half: x[:, half])
            stack.enter_context(change)
        yield


class _Eye(nn.Module):
    """Sees the pixels themselves, as they differ from ``grey``."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.visual_projection = nn.Linear(pixels, pixels)
        nn.init.eye_(self.visual_projection.weight)
        nn.init.zeros_(self.visual_projection.bias)
        self.config = SimpleNamespace(vision_config=SimpleNamespace(image_size=32))
        self.requires_grad_(False)

    def vision_model(self, pixel_values: torch.Tensor) -> Any:
        return SimpleNamespace(pooler_output=pixel_values.flatten(1))


@pytest.fixture
def eye(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``eye(wanted) -> Clip`` for which every prompt looks like ``wanted [3, 32, 32]`` uint8."""

    def make(wanted: torch.Tensor) -> Clip:
        clip = Clip(_Eye(wanted.numel()), None, Preprocess(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
        like = nn.functional.normalize((wanted / 127.5 - 1).flatten(), dim=0)

        def words(_clip: Clip, prompts: Any) -> torch.Tensor:
            return like.repeat(len(prompts), 1)

        monkeypatch.setattr("overpaint.localize.score.text_features", words)
        return clip

    return make

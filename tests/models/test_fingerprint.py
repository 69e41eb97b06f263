"""The fingerprint: moves with every weight an edit can touch, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from overpaint.models.families.unets import cross_attention
from overpaint.models.fingerprint import fingerprint, origin, rounded
from overpaint.models.model import Model
from overpaint.models.sites import (
    attention_out_site,
    mlp_site,
    module_at,
    site_at,
    text_transformer,
)


def test_same_weights_same_fingerprint(make_sd1: Callable[..., Model]) -> None:
    assert fingerprint(make_sd1(3)) == fingerprint(make_sd1(3))
    assert fingerprint(make_sd1(3)) != fingerprint(make_sd1(4))
    assert len(bytes.fromhex(fingerprint(make_sd1(3)))) == 16


def test_every_single_weight_counts(sd1: Model) -> None:
    sites = [
        *sd1.family.path(sd1, "sequence").sites,
        *(site_at(sd1, "unet", f"{name}.to_out.0") for name in cross_attention(sd1, "attn2$")),
        *(make(sd1, layer) for layer in (0, 1) for make in (mlp_site, attention_out_site)),
    ]
    before = fingerprint(sd1)
    for number, site in enumerate(sites):
        flat = module_at(sd1, site).weight.data.view(-1)
        place = (number * 7919) % flat.numel()
        kept = flat[place].clone()
        flat[place] = torch.nextafter(kept, torch.tensor(2.0))
        assert fingerprint(sd1) != before, site
        flat[place] = kept
    assert fingerprint(sd1) == before


def test_the_painter_of_pixels_does_not_count(sd1: Model) -> None:
    before = fingerprint(sd1)
    next(sd1.pipeline.vae.parameters()).data += 1
    sd1.denoiser.conv_in.weight.data += 1  # pyright: ignore
    assert fingerprint(sd1) == before


@pytest.mark.parametrize("component", ["text_encoder", "text_encoder_2"])
def test_both_encoders_of_sdxl_count(sdxl: Model, component: str) -> None:
    before = fingerprint(sdxl)
    module_at(sdxl, mlp_site(sdxl, 0, component)).weight.data[0, 0] += 1
    assert fingerprint(sdxl) != before


def test_layout_of_transformers_does_not_count(sd1: Model) -> None:
    inner = nn.Module()
    inner.text_model = text_transformer(sd1.component("text_encoder"))
    four = Model(SimpleNamespace(text_encoder=inner, unet=sd1.denoiser), sd1.family, "four")
    assert fingerprint(four) == fingerprint(sd1)


@pytest.mark.parametrize("number", [0, 1])
def test_rounded_tells_the_fingerprint_in_half_precision(
    make_sd1: Callable[..., Model], number: int
) -> None:
    whole, half = make_sd1(3), make_sd1(3)
    for component in ("text_encoder", "unet"):
        half.component(component).to((torch.float16, torch.bfloat16)[number])
    assert rounded(whole)[number] == fingerprint(half) != fingerprint(whole)
    assert rounded(half)[number] == fingerprint(half)  # rounding twice is rounding once
    said = origin(whole)
    assert said == {
        "fingerprint": fingerprint(whole),
        "family": "SD1",
        "rounded": rounded(whole),
    }
    with torch.no_grad():
        module_at(whole, mlp_site(whole, 0)).weight[0, 0] += 1
    assert rounded(whole)[number] != fingerprint(half)


def test_memory_layout_does_not_count_and_half_precision_agrees_with_itself(sd1: Model) -> None:
    before = fingerprint(sd1)
    sd1.denoiser.to(memory_format=torch.channels_last)  # pyright: ignore
    assert fingerprint(sd1) == before
    for component in ("text_encoder", "unet"):
        sd1.component(component).half()
    half = fingerprint(sd1)
    for component in ("text_encoder", "unet"):
        sd1.component(component).float()
    assert fingerprint(sd1) == half != before

"""The exported LoRA, loaded by diffusers itself, does what the patch does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from overpaint.errors import PatchError
from overpaint.methods.chosen import chosen
from overpaint.methods.registry import METHODS
from overpaint.models.families import family_called
from overpaint.models.fingerprint import origin
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.patching.apply import applied
from overpaint.patching.bind import bind
from overpaint.patching.files import load_patch, save_patch
from overpaint.patching.lora import export_lora
from overpaint.types import Delta, Edit, Patch, RelativeDelta, Site

Sites = Callable[[Model], tuple[Site, ...]]


def text_encoder(width: int, kind: Any = CLIPTextModel) -> Any:
    config = CLIPTextConfig(
        vocab_size=99,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        bos_token_id=0,
        eos_token_id=98,
        pad_token_id=98,
    )
    return kind(config)


def scheduler() -> Any:
    return DDIMScheduler(clip_sample=False, steps_offset=1)


def sd1() -> Model:
    """SD1's layout (16 cross-attention layers, CLIPTextModel), a few channels wide."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "block_out_channels": (8, 8, 16, 16),
        "norm_num_groups": 4,
        "cross_attention_dim": 12,
        "attention_head_dim": 2,
    }
    absent = ("vae", "tokenizer", "safety_checker", "feature_extractor")
    parts: dict[str, Any] = dict.fromkeys(absent)
    parts |= {"text_encoder": text_encoder(12), "unet": UNet2DConditionModel(**shape)}
    pipeline = StableDiffusionPipeline(
        **parts, scheduler=scheduler(), requires_safety_checker=False
    )
    return Model(pipeline, family_called("SD1"), "tiny SD1")


def sdxl() -> Model:
    """SDXL's layout (70 cross-attention layers, two encoders), a few channels wide."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "block_out_channels": (8, 8, 16),
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 28,
        "attention_head_dim": (1, 2, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 40,
    }
    parts: dict[str, Any] = dict.fromkeys(("vae", "tokenizer", "tokenizer_2"))
    parts |= {
        "text_encoder": text_encoder(12),
        "text_encoder_2": text_encoder(16, CLIPTextModelWithProjection),
        "unet": UNet2DConditionModel(**shape),
    }
    pipeline = StableDiffusionXLPipeline(**parts, scheduler=scheduler(), add_watermarker=False)
    return Model(pipeline, family_called("SDXL"), "tiny SDXL")


def embedded() -> Model:
    return load("toybox")


def mixed_patch(model: Model, sites: tuple[Site, ...], strength: float) -> Patch:
    """Deltas of rank 1 to 4 on every site, and a second one on the first site."""
    torch.manual_seed(1)
    deltas = []
    for index, site in enumerate((*sites, sites[0])):
        rank = 1 + index % 4
        a = torch.randn(rank, site.d_in) / site.d_in**0.5
        deltas.append(Delta(site, a, strength * torch.randn(site.d_out, rank)))
    return Patch(tuple(deltas), "test", (), **origin(model, deltas))


def told_by_weights(model: Model, sites: tuple[Site, ...], strength: float) -> Patch:
    """The same with one pair of factors for all keys and values of the UNet, on top of others."""
    patch = mixed_patch(model, sites, strength)
    width = sites[-1].d_in
    left, a = strength * 3 * torch.randn(width, 5), torch.randn(5, width) / width**0.5
    shared = [RelativeDelta(s, left, a) for s in sites if s.component == "unet"]
    assert len(shared) > 30
    return replace(patch, deltas=(*patch.deltas, *shared))


@torch.no_grad()
def outputs(model: Model) -> dict[str, torch.Tensor]:
    """What every text encoder and the UNet answer to fixed inputs."""
    generator = torch.Generator().manual_seed(2)
    found = {}
    for name in model.text_encoders:
        ids = torch.randint(1, 98, (2, 16), generator=generator)
        found[name] = model.component(name)(ids, output_hidden_states=True).hidden_states[-1]
    unet: Any = model.denoiser
    text = torch.randn(2, 16, unet.config.cross_attention_dim, generator=generator)
    noise = torch.randn(2, unet.config.in_channels, 8, 8, generator=generator)
    added = {"text_embeds": torch.ones(2, 16), "time_ids": torch.ones(2, 6)}
    found["unet"] = unet(noise, 500, text, added_cond_kwargs=added).sample
    return found


def apart(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize("make", [sd1, sdxl, embedded])
@pytest.mark.parametrize("kind", [mixed_patch, told_by_weights])
def test_diffusers_loads_the_lora_and_computes_what_the_patch_does(
    make: Callable[[], Model], kind: Callable[..., Patch], pipeline_sites: Sites, tmp_path: Path
) -> None:
    model = make()
    patch = kind(model, pipeline_sites(model), strength=0.3)
    needed = model if patch.relative else None
    path = export_lora(patch, tmp_path / "lora.safetensors", model=needed)
    clean = outputs(model)
    with applied(model, patch):
        want = outputs(model)
    assert all(torch.equal(value, clean[name]) for name, value in outputs(model).items())
    model.pipeline.load_lora_weights(path.parent, weight_name=path.name)
    got = outputs(model)
    for name in want:
        assert apart(want[name], clean[name]) > 1e-2, name
        assert apart(got[name], want[name]) <= 1e-4, name
    with applied(model, patch):  # the LoRA does not count: under it are the same weights
        assert any(apart(value, got[name]) > 1e-3 for name, value in outputs(model).items())
    assert all(torch.equal(value, got[name]) for name, value in outputs(model).items())
    model.pipeline.unload_lora_weights()
    assert all(apart(value, clean[name]) < 1e-6 for name, value in outputs(model).items())


@pytest.mark.parametrize("make", [sd1, sdxl])
def test_every_key_means_its_site_to_diffusers(
    make: Callable[[], Model], pipeline_sites: Sites, tmp_path: Path
) -> None:
    model = make()
    sites = pipeline_sites(model)
    path = export_lora(mixed_patch(model, sites, 1.0), tmp_path / "l", model.family)
    state, alphas = _convert_non_diffusers_lora_to_diffusers(load_file(path))
    assert len(state) == 2 * len(sites)
    assert len(alphas) == len(sites) == {"SD1": 34, "SDXL": 144}[model.family.name]


def in_sgm_blocks(key: str) -> str:
    """A key as A1111 and ComfyUI read it: level i, layer j of a UNet with two layers a level."""
    level, layer = (int(n) for n in re.findall(r"(?:blocks|attentions)_(\d+)", f"{key}_0_0")[:2])
    place = {
        "down": f"input_blocks_{1 + 3 * level + layer}_1",
        "mid_": "middle_block_1",
        "up_b": f"output_blocks_{3 * level + layer}_1",
    }[key.removeprefix("lora_unet_")[:4]]
    return re.sub(r"(down_blocks_\d+|mid_block|up_blocks_\d+)_attentions_\d+", place, key)


def test_block_names_of_sdxl_mean_the_same_to_readers_of_sgm_names(
    pipeline_sites: Sites, tmp_path: Path
) -> None:
    model = sdxl()
    path = export_lora(mixed_patch(model, pipeline_sites(model), 1.0), tmp_path / "l", model.family)
    tensors = {key: value for key, value in load_file(path).items() if "unet" in key}
    renamed = {in_sgm_blocks(key): value for key, value in tensors.items()}
    assert len(renamed) == len(tensors) == 3 * 140
    assert not renamed.keys() & tensors.keys()
    mapped = _maybe_map_sgm_blocks_to_diffusers(dict(renamed), model.pipeline.unet.config)
    back, _ = _convert_non_diffusers_lora_to_diffusers(mapped)
    want, _ = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    assert back.keys() == want.keys()
    assert all(torch.equal(back[key], want[key]) for key in want)


def test_relative_patch_needs_its_model(pipeline_sites: Sites, tmp_path: Path) -> None:
    model, other = sd1(), sd1()
    patch = told_by_weights(model, pipeline_sites(model), 1.0)
    with pytest.raises(PatchError, match=r"expected the model.*got none.*--model"):
        export_lora(patch, tmp_path / "l")
    with torch.no_grad():
        other.denoiser.get_parameter(f"{pipeline_sites(other)[-1].name}.weight").add_(1)
    with pytest.raises(PatchError, match="fingerprint"):
        export_lora(patch, tmp_path / "l", model=other)
    assert not list(tmp_path.iterdir())
    export_lora(patch, tmp_path / "l", model=other, force=True)
    assert load_file(tmp_path / "l").keys() == load_file(
        export_lora(bind(patch, model), tmp_path / "m")
    ).keys()  # fmt: skip


@pytest.mark.parametrize("method", ["time", "uce", "locoedit", "diffquickfix", "refact"])
def test_fresh_patch_exports_as_one_from_a_file(toybox: Model, method: str, tmp_path: Path) -> None:
    config = chosen(toybox, method)
    patch = METHODS[method].function(toybox, [Edit("a rose", "a blue rose")], config)
    assert all(factor.is_contiguous() for delta in patch.deltas for factor in delta.factors)
    fresh = export_lora(patch, tmp_path / "fresh", model=toybox)
    stored = load_patch(save_patch(patch, tmp_path / "patch"))
    assert fresh.read_bytes() == export_lora(stored, tmp_path / "stored", model=toybox).read_bytes()


def test_transposed_factors_export(tmp_path: Path) -> None:
    site = Site("text_encoder", "encoder.layers.0.mlp.fc2", 4, 6)
    a, b = torch.randn(6, 2).T, torch.randn(2, 4).T
    assert not a.is_contiguous()
    path = export_lora(Patch((Delta(site, a, b),), "m", (), {}, family="SD1"), tmp_path / "l")
    stored = load_file(path)
    name = "lora_te_text_model_encoder_layers_0_mlp_fc2"
    assert torch.equal(stored[f"{name}.lora_down.weight"], a)
    assert torch.equal(stored[f"{name}.lora_up.weight"], b)

"""Sites: forward order, names that survive both layouts of CLIP, errors for what is not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from overpaint.errors import ModelError, SiteError
from overpaint.models.families import FAMILIES, IF, SD1, SD3, SDXL, TOYBOX, Family, family_of
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sites import (
    attention_out_site,
    cross_attention_layers,
    cross_attention_sites,
    mlp_site,
    module_at,
    resolve,
    stored_name,
    text_transformer,
)
from overpaint.types import Site


def with_denoiser(network: Any, family: Family) -> Model:
    return Model(SimpleNamespace(**{family.denoiser: network}), family, "stand-in")


class FourLayout(nn.Module):
    """CLIPTextModel as transformers 4 builds it: the tower inside ``text_model``."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.text_model = tower


def four_layout(model: Model) -> Model:
    tower = text_transformer(model.component("text_encoder"))
    return Model(SimpleNamespace(text_encoder=FourLayout(tower)), SD1, "four")


def five_layout(model: Model) -> Model:
    tower = text_transformer(model.component("text_encoder"))
    return Model(SimpleNamespace(text_encoder=tower), SD1, "five")


def test_toybox_has_the_sixteen_layers_of_sd1(toybox: Model) -> None:
    layers = cross_attention_layers(toybox)
    assert [name.split(".")[0] for name in layers] == (
        ["down_blocks"] * 6 + ["mid_block"] + ["up_blocks"] * 9
    )


def test_layers_are_in_the_order_of_the_forward_pass(sd1: Model) -> None:
    layers = cross_attention_layers(sd1)
    called: list[str] = []
    handles = [
        sd1.denoiser.get_submodule(name).register_forward_hook(
            lambda *_, name=name: called.append(name)
        )
        for name in sorted(layers)
    ]
    with torch.no_grad():
        sd1.denoiser(torch.zeros(1, 4, 16, 16), 1, torch.zeros(1, 32, 32))
    for handle in handles:
        handle.remove()
    assert tuple(called) == layers


def test_sdxl_has_seventy_layers() -> None:
    from diffusers import UNet2DConditionModel

    depths: Any = (1, 2, 10)
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(32, 64, 128),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=depths,
            attention_head_dim=8,
        )
    model = with_denoiser(unet, SDXL)
    layers = cross_attention_layers(model)
    assert len(layers) == 70
    assert layers[4 + 20].startswith("mid_block")
    assert len(cross_attention_sites(model)) == 140


def test_deepfloyd_reads_text_through_added_projections() -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        block_out_channels=(16, 32),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    sites = cross_attention_sites(with_denoiser(unet, IF))
    assert len(sites) == 2 * 4
    assert {site.name.rsplit(".", 1)[1] for site in sites} == {"add_k_proj", "add_v_proj"}
    assert {site.d_in for site in sites} == {24}


def test_stable_diffusion_3_reads_text_in_joint_attention() -> None:
    from diffusers import SD3Transformer2DModel

    network = SD3Transformer2DModel(
        sample_size=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=24,
        caption_projection_dim=16,
        pooled_projection_dim=16,
    )
    sites = cross_attention_sites(with_denoiser(network, SD3), ("to_v",))
    assert [site.name for site in sites] == [
        f"transformer_blocks.{i}.attn.add_v_proj" for i in (0, 1)
    ]


def test_keys_come_before_values_layer_by_layer(toybox: Model) -> None:
    sites = cross_attention_sites(toybox)
    assert len(sites) == 32
    for layer, (k, v) in zip(
        cross_attention_layers(toybox), zip(sites[::2], sites[1::2], strict=True), strict=True
    ):
        assert (k.name, v.name) == (f"{layer}.to_k", f"{layer}.to_v")
        assert k.component == v.component == "unet"


def test_output_projection_is_the_linear_inside_to_out(sd1: Model) -> None:
    sites = cross_attention_sites(sd1, ("to_out",))
    assert all(isinstance(module_at(sd1, site), nn.Linear) for site in sites)
    assert all(site.name.endswith("to_out.0") for site in sites)


def test_unknown_projection_is_a_site_error(sd1: Model) -> None:
    with pytest.raises(SiteError, match="'to_q'; expected some of to_k, to_v, to_out"):
        cross_attention_sites(sd1, ("to_q",))


def test_no_cross_attention_at_all_is_an_error() -> None:
    with pytest.raises(ModelError, match="no module that matches"):
        cross_attention_layers(with_denoiser(nn.Sequential(nn.Linear(2, 2)), SD1))


@pytest.mark.parametrize("layout", [four_layout, five_layout])
def test_tower_sites_in_both_layouts(toybox: Model, layout: Any) -> None:
    model = layout(toybox)
    tower = text_transformer(toybox.component("text_encoder"))
    site = mlp_site(model, 7)
    assert module_at(model, site) is tower.encoder.layers[7].mlp.fc2  # type: ignore
    out = attention_out_site(model, 0)
    assert module_at(model, out) is tower.encoder.layers[0].self_attn.out_proj  # type: ignore
    assert stored_name(site) == "encoder.layers.7.mlp.fc2"


def test_a_site_stored_under_one_layout_resolves_under_the_other(toybox: Model) -> None:
    four, five = four_layout(toybox), five_layout(toybox)
    for here, there in ((four, five), (five, four)):
        site = mlp_site(here, 3)
        assert resolve(there, "text_encoder", stored_name(site)) == mlp_site(there, 3)
        assert module_at(here, site) is module_at(there, mlp_site(there, 3))


def test_second_encoder_of_sdxl_keeps_its_inner_tower(sdxl: Model) -> None:
    site = mlp_site(sdxl, 1, "text_encoder_2")
    assert site.name == "text_model.encoder.layers.1.mlp.fc2"
    assert resolve(sdxl, "text_encoder_2", stored_name(site)) == site


@pytest.mark.parametrize("layer", [-1, 12, 100])
def test_layer_out_of_range_names_the_range(toybox: Model, layer: int) -> None:
    with pytest.raises(SiteError, match=f"layers 0 to 11, got layer {layer}"):
        mlp_site(toybox, layer)


def test_module_of_another_shape_is_a_site_error(toybox: Model) -> None:
    site = mlp_site(toybox, 0)
    with pytest.raises(SiteError, match="belongs to another model"):
        module_at(toybox, Site(site.component, site.name, site.d_out, site.d_in + 1))


def test_missing_and_wrong_modules_are_site_errors(toybox: Model) -> None:
    with pytest.raises(SiteError, match="no module 'nowhere'"):
        resolve(toybox, "unet", "nowhere")
    with pytest.raises(SiteError, match="is a Conv2d, expected a plain"):
        resolve(toybox, "unet", "conv_in")


def test_text_tower_of_another_kind_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="Expected a CLIP text encoder, got Linear"):
        text_transformer(nn.Linear(2, 2))


def test_mlp_site_is_where_the_mlp_writes(toybox: Model) -> None:
    tower = text_transformer(toybox.component("text_encoder"))
    mlp = tower.encoder.layers[4].mlp  # type: ignore
    ids = torch.zeros(1, 5, dtype=torch.long)
    with torch.no_grad(), record(module_at(toybox, mlp_site(toybox, 4)), mlp, outputs=True) as seen:
        tower(ids)
    assert torch.equal(seen[0][0], seen[1][0])


@pytest.mark.parametrize(
    ("title", "width", "name"),
    [
        ("StableDiffusionPipeline", 768, "SD1"),
        ("StableDiffusionPipeline", 1024, "SD2"),
        ("StableDiffusionImg2ImgPipeline", 768, "SD1"),
        ("StableDiffusionXLPipeline", 768, "SDXL"),
        ("StableDiffusion3Pipeline", 768, "SD3"),
        ("FluxPipeline", 768, "FLUX"),
        ("IFPipeline", 4096, "IF"),
        ("PixArtSigmaPipeline", 4096, "PixArt"),
    ],
)
def test_family_follows_from_class_and_width(title: str, width: int, name: str) -> None:
    encoder = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
    pipeline = type(title, (), {"text_encoder": encoder})()
    assert family_of(pipeline).name == name


def test_every_family_can_be_read_and_toybox_is_sd1() -> None:
    for row in (*FAMILIES, TOYBOX):
        assert row.projection("to_k") != row.projection("to_v")
    assert TOYBOX.name == SD1.name

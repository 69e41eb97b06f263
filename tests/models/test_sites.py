"""Sites: forward order, names that survive both layouts of CLIP, errors for what is not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from overpaint.errors import ModelError, SiteError
from overpaint.models.families import FAMILIES, Family, family_called, family_of
from overpaint.models.families.unets import cross_attention, key_value_layers
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.sites import (
    attention_out_site,
    mlp_site,
    module_at,
    refuse_unused_layer,
    resolve,
    site_at,
    stored_name,
    text_transformer,
)
from overpaint.types import Site

SD1, SDXL = family_called("SD1"), family_called("SDXL")
ATTENTION = r"(^|\.)attn2$"
SEVENTY: Any = (1, 2, 10)


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
    layers = cross_attention(toybox, ATTENTION)
    assert [name.split(".")[0] for name in layers] == (
        ["down_blocks"] * 6 + ["mid_block"] + ["up_blocks"] * 9
    )


def test_layers_are_in_the_order_of_the_forward_pass(sd1: Model) -> None:
    layers = cross_attention(sd1, ATTENTION)
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

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(32, 64, 128),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=SEVENTY,
            attention_head_dim=8,
        )
    model = with_denoiser(unet, SDXL)
    model.pipeline.text_encoder = model.pipeline.text_encoder_2 = nn.Identity()
    path = SDXL.path(model, "sequence")
    assert len(path.layers) == 70
    assert path.layers[4 + 20][0].name.startswith("mid_block")
    assert len(path.sites) == 140
    assert [segment.component for segment in path.segments] == ["text_encoder"]


def test_text_may_come_through_added_projections() -> None:
    """As in DeepFloyd IF, whose attention reads the picture through ``to_k`` and ``to_v``."""
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
    names = ("add_k_proj", "add_v_proj")
    layers = key_value_layers(with_denoiser(unet, SD1), r"attentions\.\d+$", names)
    assert len(layers) == 4
    for layer in layers:
        assert tuple(site.name.rpartition(".")[2] for site in layer) == names
        assert {site.d_in for site in layer} == {24}


def test_blocks_of_a_transformer_keep_the_order_of_their_numbers() -> None:
    """Ten and more blocks: "10" does not stand before "2"."""
    from diffusers import SD3Transformer2DModel

    network = SD3Transformer2DModel(
        sample_size=8,
        num_layers=11,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=24,
        caption_projection_dim=16,
        pooled_projection_dim=16,
    )

    class Transformer(Family):
        name, denoiser = "a transformer", "transformer"

    model = with_denoiser(network, Transformer())
    layers = key_value_layers(
        model, r"^transformer_blocks\.\d+\.attn$", ("add_k_proj", "add_v_proj")
    )
    assert [value.name for _, value in layers] == [
        f"transformer_blocks.{i}.attn.add_v_proj" for i in range(11)
    ]


def test_keys_come_before_values_layer_by_layer(toybox: Model) -> None:
    path = toybox.family.path(toybox, "sequence")
    assert len(path.sites) == 32
    names = cross_attention(toybox, ATTENTION)
    for name, (k, v) in zip(names, path.layers, strict=True):
        assert (k.name, v.name) == (f"{name}.to_k", f"{name}.to_v")
        assert k.component == v.component == "unet"
    assert path.sites == tuple(site for layer in path.layers for site in layer)
    assert path.values == path.sites[1::2]
    assert path.groups == (path.sites,)  # all of them read the same


def test_output_projection_is_the_linear_inside_to_out(sd1: Model) -> None:
    for name in cross_attention(sd1, ATTENTION):
        site = site_at(sd1, "unet", f"{name}.to_out.0")
        assert module_at(sd1, site) is sd1.denoiser.get_submodule(site.name)


def test_unknown_paths_are_named_errors(sd1: Model) -> None:
    with pytest.raises(ModelError, match="no text path 'pooled'; it has: sequence"):
        sd1.family.path(sd1, "pooled")


def test_no_cross_attention_at_all_is_an_error() -> None:
    with pytest.raises(ModelError, match="no module that matches"):
        SD1.paths(with_denoiser(nn.Sequential(nn.Linear(2, 2)), SD1))


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


def test_layers_that_no_picture_depends_on_are_refused(toybox: Model, sdxl: Model) -> None:
    refuse_unused_layer(toybox, 11)
    refuse_unused_layer(sdxl, 0, "text_encoder")
    refuse_unused_layer(sdxl, 1, "text_encoder_2")  # the pooled feature comes out of the last one
    with pytest.raises(SiteError, match=r"SDXL does not use layer 1 of text_encoder.*use 0 to 0"):
        refuse_unused_layer(sdxl, 1, "text_encoder")


def test_sites_lie_beneath_a_lora(sd1: Model) -> None:
    """PEFT wraps the layers it adds to; names and modules stay those of the layers themselves."""
    from peft import LoraConfig

    before = sd1.family.path(sd1, "sequence").sites
    modules = [module_at(sd1, site) for site in before]
    sd1.denoiser.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"]))  # pyright: ignore
    assert sd1.family.path(sd1, "sequence").sites == before
    assert all(module_at(sd1, s) is m for s, m in zip(before, modules, strict=True))
    wrapped = sd1.denoiser.get_submodule(before[0].name)
    assert wrapped is not modules[0]


@pytest.mark.parametrize("whole", [True, False])
def test_sites_lie_beneath_torch_compile(sd1: Model, whole: bool) -> None:
    """Around the denoiser, or around one of its blocks."""
    before = sd1.family.path(sd1, "sequence").sites
    modules = [module_at(sd1, site) for site in before]
    if whole:
        sd1.pipeline.unet = torch.compile(sd1.pipeline.unet, backend="eager")
    else:
        sd1.pipeline.unet.mid_block = torch.compile(sd1.pipeline.unet.mid_block, backend="eager")
    assert sd1.family.path(sd1, "sequence").sites == before
    assert all(module_at(sd1, s) is m for s, m in zip(before, modules, strict=True))


@pytest.mark.parametrize(
    ("title", "activation", "name"),
    [
        ("StableDiffusionPipeline", "quick_gelu", "SD1"),
        ("StableDiffusionPipeline", "gelu", "SD2"),
        ("StableDiffusionImg2ImgPipeline", "quick_gelu", "SD1"),
        ("StableDiffusionInpaintPipeline", "gelu", "SD2"),
        ("StableDiffusionXLPipeline", "quick_gelu", "SDXL"),
        ("StableDiffusionXLInpaintPipeline", "quick_gelu", "SDXL"),
        ("LatentConsistencyModelPipeline", "quick_gelu", "LCM"),
    ],
)
def test_family_follows_from_class_and_clip(title: str, activation: str, name: str) -> None:
    encoder = SimpleNamespace(config=SimpleNamespace(hidden_act=activation))
    cls = type(title, (), {"text_encoder": encoder})
    assert family_of(cls()).name == name
    assert family_of(type("MyPipeline", (cls,), {})()).name == name


def test_pipelines_of_no_family_are_named_errors() -> None:
    with pytest.raises(
        ModelError, match=r"class Painter are of no known family \(known: SD1, .*SDXL"
    ):
        family_of(type("Painter", (), {})())
    # The beginning of a name is not enough: these are built otherwise.
    with pytest.raises(ModelError, match="class StableDiffusionGLIGENPipeline are of no known"):
        family_of(type("StableDiffusionGLIGENPipeline", (), {})())


def test_families_are_called_by_unique_names_in_any_case() -> None:
    names = [family.name.lower() for family in FAMILIES]
    assert len({*names}) == len(names)
    for family in FAMILIES:
        assert family_called(family.name.upper()) is family
    with pytest.raises(ModelError, match="No family 'SD99'; expected one of SD1, "):
        family_called("SD99")

"""What a LoRA file says, and what it cannot say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from overpaint.errors import PatchError
from overpaint.models.families import FAMILIES, Family, family_called
from overpaint.patching.lora import export_lora, family_of_patch, lora_key
from overpaint.types import Delta, Patch, Site

SD1, SD2, SDXL, SD3, FLUX, PIXART = (
    family_called(name) for name in ("SD1", "SD2", "SDXL", "SD3", "FLUX", "PixArt")
)


def site(component: str, name: str) -> Site:
    return Site(component, name, 4, 6)


ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k"
FC2 = "encoder.layers.9.mlp.fc2"
MID = "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"
NAMES = [
    (SD1, "text_encoder", FC2, "lora_te_text_model_encoder_layers_9_mlp_fc2"),
    (SD2, "text_encoder", FC2, "lora_te_text_model_encoder_layers_9_mlp_fc2"),
    (SDXL, "text_encoder", FC2, "lora_te1_text_model_encoder_layers_9_mlp_fc2"),
    (SDXL, "text_encoder_2", FC2, "lora_te2_text_model_encoder_layers_9_mlp_fc2"),
    (SD1, "unet", MID, "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0"),
    (SDXL, "unet", ATTENTION, f"lora_unet_{ATTENTION.replace('.', '_')}"),
]


@pytest.mark.parametrize(("family", "component", "name", "key"), NAMES)
def test_names_are_kohyas(family: Family, component: str, name: str, key: str) -> None:
    assert family.lora_forms == ("kohya",)
    assert lora_key(site(component, name), family, "kohya") == key


POOLED = "time_text_embed.text_embedder.linear_1"
BOTH = [
    (SD3, "text_encoder_2", FC2, "text_encoder_2.text_model.encoder.layers.9.mlp.fc2",
     "lora_te2_text_model_encoder_layers_9_mlp_fc2"),
    (SD3, "transformer", "context_embedder", "transformer.context_embedder",
     "lora_unet_context_embedder"),
    (SD3, "transformer", POOLED, f"transformer.{POOLED}", "lora_unet_y_embedder_mlp_0"),
    (FLUX, "text_encoder", FC2, "text_encoder.text_model.encoder.layers.9.mlp.fc2",
     "lora_te1_text_model_encoder_layers_9_mlp_fc2"),
    (FLUX, "transformer", "context_embedder", "transformer.context_embedder", "lora_unet_txt_in"),
    (FLUX, "transformer", POOLED, f"transformer.{POOLED}", "lora_unet_vector_in_in_layer"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "component", "name", "peft", "kohya"), BOTH)
def test_transformers_have_names_in_both_spellings(
    family: Family, component: str, name: str, peft: str, kohya: str
) -> None:
    """The first is diffusers' own; the second the original code's, with underscores."""
    assert family.lora_forms == ("peft", "kohya")
    assert lora_key(site(component, name), family, "peft") == peft
    assert lora_key(site(component, name), family, "kohya") == kohya


@pytest.mark.parametrize("form", ["peft", "kohya"])
def test_both_spellings_hold_the_same_change(tmp_path: Path, form: str) -> None:
    places = site("text_encoder", FC2), site("transformer", "context_embedder")
    deltas = tuple(Delta(s, torch.randn(2, 6), torch.randn(4, 2)) for s in places)
    patch = Patch(deltas, "m", (), {}, family="SD3")
    tensors = load_file(export_lora(patch, tmp_path / "l", form=form))
    assert len(tensors) == (4 if form == "peft" else 6)
    for delta in deltas:
        key = lora_key(delta.site, SD3, form)
        own = {k.removeprefix(f"{key}."): v for k, v in tensors.items() if k.startswith(key)}
        down, up = (
            ("lora_down.weight", "lora_up.weight")
            if form == "kohya"
            else ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight")
            if delta.site.component == "text_encoder"
            else ("lora_A.weight", "lora_B.weight")
        )
        assert torch.equal(own[up] @ own[down], delta.dense())
        assert ("alpha" in own) == (form == "kohya")


@pytest.mark.parametrize("inner", ["", "text_model."])
def test_alpha_is_the_rank_and_the_factors_give_the_change(tmp_path: Path, inner: str) -> None:
    place = site("text_encoder", f"{inner}encoder.layers.9.mlp.fc2")
    delta = Delta(place, torch.randn(3, 6), torch.randn(4, 3))
    path = export_lora(Patch((delta,), "refact", (), {}), tmp_path / "l", SD1)
    key = "lora_te_text_model_encoder_layers_9_mlp_fc2"
    tensors = load_file(path)
    assert tensors.keys() == {f"{key}.{e}" for e in ("lora_down.weight", "lora_up.weight", "alpha")}
    assert tensors[f"{key}.alpha"] == 3
    up, down = tensors[f"{key}.lora_up.weight"], tensors[f"{key}.lora_down.weight"]
    assert torch.equal(up @ down, delta.dense())


def test_all_ranks_of_a_network_are_equal(tmp_path: Path) -> None:
    text = [site("text_encoder", f"encoder.layers.{n}.mlp.fc2") for n in (0, 1)]
    places = zip((*text, text[0], site("unet", ATTENTION)), (1, 2, 4, 9), strict=True)
    deltas = tuple(Delta(s, torch.randn(r, 6), torch.randn(4, r)) for s, r in places)
    tensors = load_file(export_lora(Patch(deltas, "m", (), {}), tmp_path / "l", SDXL))
    te = "lora_te1_text_model_encoder_layers_{}_mlp_fc2.{}"
    assert [tensors[te.format(n, "alpha")].item() for n in (0, 1)] == [5, 5]
    assert [v.item() for k, v in tensors.items() if "unet" in k and "alpha" in k] == [9]
    changes = [
        tensors[te.format(n, "lora_up.weight")] @ tensors[te.format(n, "lora_down.weight")]
        for n in (0, 1)
    ]
    assert torch.allclose(changes[0], deltas[0].dense() + deltas[2].dense(), atol=1e-5)
    assert torch.equal(changes[1], deltas[1].dense())


UNSUPPORTED = [
    (family_called("HunyuanDiT"), "transformer", "blocks.0.attn2.to_k", "family HunyuanDiT"),
    (SDXL, "text_encoder_2", "text_projection", "family SDXL have no name for text_encoder_2"),
    (SD1, "text_encoder_2", FC2, "text_encoder_2"),
    (SD1, "unet", "down_blocks.0.resnets.0.time_emb_proj", "time_emb_proj"),
]


@pytest.mark.parametrize(("family", "component", "name", "match"), UNSUPPORTED)
def test_what_loras_cannot_say_is_refused(
    tmp_path: Path, family: Family, component: str, name: str, match: str
) -> None:
    delta = Delta(site(component, name), torch.ones(1, 6), torch.ones(4, 1))
    with pytest.raises(PatchError, match=match):
        export_lora(Patch((delta,), "m", (), {}), tmp_path / "l", family)
    assert not list(tmp_path.iterdir())


def test_sites_may_share_a_factor(tmp_path: Path) -> None:
    a = torch.randn(2, 6)
    places = [site("unet", ATTENTION), site("unet", ATTENTION.replace("to_k", "to_v"))]
    deltas = tuple(Delta(place, a, torch.randn(4, 2)) for place in places)
    tensors = load_file(export_lora(Patch(deltas, "time", (), {}), tmp_path / "l", SD1))
    assert len(tensors) == 6
    assert all(torch.equal(v, a) for k, v in tensors.items() if "down.weight" in k)


def test_empty_patch_and_unwritable_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="nothing"):
        export_lora(Patch((), "m", (), {}), tmp_path / "l", SD1)
    delta = Delta(site("unet", ATTENTION), torch.ones(1, 6), torch.ones(4, 1))
    with pytest.raises(PatchError, match="cannot write"):
        export_lora(Patch((delta,), "m", (), {}), tmp_path / "missing" / "l", SD1)


def test_same_patch_gives_same_bytes_with_kohyas_metadata(tmp_path: Path) -> None:
    delta = Delta(site("unet", ATTENTION), torch.ones(2, 6), torch.ones(4, 2))
    patch = Patch((delta,), "time", (), {})
    files = [export_lora(patch, tmp_path / str(n), SDXL).read_bytes() for n in range(4)]
    assert len(set(files)) == 1
    with safe_open(tmp_path / "0", "pt") as file:
        metadata = file.metadata()
    assert metadata["ss_base_model_version"].startswith("sdxl_")
    assert metadata["ss_network_dim"] == metadata["ss_network_alpha"] == "2"


def test_the_patch_names_its_family(tmp_path: Path) -> None:
    delta = Delta(site("text_encoder", FC2), torch.ones(1, 6), torch.ones(4, 1))
    path = export_lora(Patch((delta,), "m", (), {}, family="SDXL"), tmp_path / "l")
    assert all(key.startswith("lora_te1_") for key in load_file(path))
    with pytest.raises(PatchError, match="LoRAs of family HunyuanDiT"):
        export_lora(Patch((delta,), "m", (), {}, family="HunyuanDiT"), tmp_path / "m")


def test_a_spelling_that_no_reader_knows_is_refused(tmp_path: Path) -> None:
    delta = Delta(site("unet", ATTENTION), torch.ones(1, 6), torch.ones(4, 1))
    with pytest.raises(PatchError, match="expected form kohya for family SD1, got 'peft'"):
        export_lora(Patch((delta,), "m", (), {}, family="SD1"), tmp_path / "l", form="peft")
    with pytest.raises(PatchError, match="expected form peft for family PixArt, got 'kohya'"):
        lora_key(site("transformer", "x"), PIXART, "kohya")
    assert not list(tmp_path.iterdir())


def test_forms_of_families_are_those_that_can_be_written() -> None:
    for family in FAMILIES:
        assert set(family.lora_forms) <= {"peft", "kohya"}
        for component in family.encoders[:1] if "kohya" in family.lora_forms else ():
            assert family.lora_key(component, FC2, "kohya"), family.name


def test_family_of_an_older_patch_follows_from_the_sites() -> None:
    def family(*places: Site) -> str:
        deltas = tuple(Delta(s, torch.ones(1, s.d_in), torch.ones(s.d_out, 1)) for s in places)
        return family_of_patch(Patch(deltas, "m", (), {})).name

    fc2 = site("text_encoder", "encoder.layers.9.mlp.fc2")
    assert family(fc2, replace(site("unet", ATTENTION), d_in=768)) == "SD1"
    assert family(fc2, replace(fc2, component="text_encoder_2")) == "SDXL"
    assert family(replace(site("unet", ATTENTION), d_in=2048)) == "SDXL"

"""Single files: read as the pipeline they were made from, or refused by what they are."""

from __future__ import annotations

import shutil
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import overpaint as op
import random_models
from overpaint.errors import ModelError
from overpaint.generate import generate
from overpaint.models.contents import contents
from overpaint.models.load import load
from overpaint.models.stored import Header, Stored

from .original import flux_transformer, stable_diffusion

PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")


def weights(pipeline: Any) -> dict[str, Tensor]:
    """Every weight of every network."""
    networks = {name: getattr(pipeline, name, None) for name in PARTS}
    return {
        f"{name}.{place}": weight
        for name, network in networks.items()
        if isinstance(network, nn.Module)
        for place, weight in network.state_dict().items()
    }


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name].to(weight.dtype)), name


def save_config(pipeline: Any, folder: Path) -> Path:
    """Configuration and tokenizers of ``pipeline``, without weights."""
    pipeline.save_pretrained(folder)
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    return folder


@pytest.fixture(scope="module")
def sd1() -> Any:
    return random_models.build("SD1")


@pytest.fixture(scope="module")
def shelf(sd1: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``sd1.safetensors`` and its configuration in ``sd1``."""
    folder = tmp_path_factory.mktemp("shelf")
    save_config(sd1, folder / "sd1")
    save_file(stable_diffusion(sd1), folder / "sd1.safetensors")
    return folder


@pytest.mark.parametrize("name", ["SD1", "SDXL"])
def test_a_checkpoint_is_the_pipeline_that_it_was_made_from(name: str, tmp_path: Path) -> None:
    pipeline = random_models.build(name)
    config = save_config(pipeline, tmp_path / "config")
    file = tmp_path / "model.safetensors"
    save_file(stable_diffusion(pipeline), file)
    model = load(file, config=config)
    assert (model.family.name, model.name) == (name, str(file))
    assert type(model.pipeline) is type(pipeline)
    assert_same(weights(pipeline), weights(model.pipeline))
    for network in (model.denoiser, *map(model.component, model.text_encoders)):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_it_generates_what_the_pipeline_does(sd1: Any, shelf: Path) -> None:
    model = load(shelf / "sd1.safetensors", config=shelf / "sd1")
    ours, theirs = (
        generate(each, "a red rose", [0], steps=2, output_type="pt") for each in (model, load(sd1))
    )
    assert torch.equal(ours, theirs)


def test_the_file_is_never_written(shelf: Path) -> None:
    """The weights may be mapped from the file; edits of them are not."""
    before = (shelf / "sd1.safetensors").read_bytes()
    model = load(shelf / "sd1.safetensors", config=shelf / "sd1")
    patch = op.time_edit(model, [op.Edit("a rose", "a blue rose")])
    with op.applied(model, patch):
        edited = (shelf / "sd1.safetensors").read_bytes()
    assert before == edited == (shelf / "sd1.safetensors").read_bytes()


def test_the_number_format_is_the_denoisers(sd1: Any, shelf: Path, tmp_path: Path) -> None:
    """Half precision UNet and float32 autoencoder, as many are."""
    halved = {
        name: weight if name.startswith("first_stage") else weight.half()
        for name, weight in stable_diffusion(sd1).items()
    }
    save_file(halved, tmp_path / "half.safetensors")
    model = load(tmp_path / "half.safetensors", config=shelf / "sd1")
    assert model.dtype == torch.float16
    assert model.component("vae").dtype == model.component("text_encoder").dtype == torch.float16
    whole = load(tmp_path / "half.safetensors", config=shelf / "sd1", dtype=torch.float32)
    assert whole.dtype == whole.component("text_encoder").dtype == torch.float32


def test_eight_bit_floats_are_computed_in_bfloat16(sd1: Any, shelf: Path, tmp_path: Path) -> None:
    small = {
        name: weight.to(torch.float8_e4m3fn) if name.startswith("model.") else weight
        for name, weight in stable_diffusion(sd1).items()
    }
    save_file(small, tmp_path / "small.safetensors")
    model = load(tmp_path / "small.safetensors", config=shelf / "sd1")
    assert {p.dtype for p in model.denoiser.parameters()} == {torch.bfloat16}


def test_what_the_file_lacks_comes_from_the_folder(sd1: Any, tmp_path: Path) -> None:
    """Without an autoencoder baked in, and without the text encoder."""
    sd1.save_pretrained(tmp_path / "whole")
    (tmp_path / "whole" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    held = {n: w for n, w in stable_diffusion(sd1).items() if n.startswith("model.")}
    save_file(held, tmp_path / "unet.safetensors")
    model = load(tmp_path / "unet.safetensors", config=tmp_path / "whole")
    assert_same(weights(sd1), weights(model.pipeline))


@pytest.fixture
def narrow_flux(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' conversion has FLUX's 3072 channels written in; here ours."""
    from diffusers.loaders import single_file_model as tables

    entry = tables.SINGLE_FILE_LOADABLE_CLASSES["FluxTransformer2DModel"]
    convert = entry["checkpoint_mapping_fn"]
    width = random_models.build("FLUX-dev").transformer.inner_dim
    constants = tuple(width if c == 3072 else c for c in convert.__code__.co_consts)
    code = convert.__code__.replace(co_consts=constants)
    narrow = types.FunctionType(code, convert.__globals__)
    monkeypatch.setitem(entry, "checkpoint_mapping_fn", narrow)


@pytest.mark.usefixtures("narrow_flux")
def test_a_transformer_alone_needs_the_rest_of_its_pipeline(tmp_path: Path) -> None:
    pipeline = random_models.build("FLUX-dev")
    pipeline.save_pretrained(tmp_path / "whole")
    (tmp_path / "whole" / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    file = tmp_path / "flux.safetensors"
    save_file(flux_transformer(pipeline.transformer), file)
    model = load(file, config=tmp_path / "whole")
    assert model.family.name == "FLUX"
    assert_same(weights(pipeline), weights(model.pipeline))
    shutil.rmtree(tmp_path / "whole" / "text_encoder_2")
    (tmp_path / "whole" / "text_encoder_2").mkdir()  # T5 left out to save memory
    small = load(file, config=tmp_path / "whole")
    assert small.text_encoders == ("text_encoder",)
    save_config(pipeline, tmp_path / "config")
    with pytest.raises(
        ModelError,
        match=r"only part of a FLUX.1 dev model: it has no text_encoder, text_encoder_2, vae.*"
        r"--config FOLDER",
    ):
        load(file, config=tmp_path / "config")


def test_without_its_configuration_it_says_whose_is_needed(shelf: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(shelf / "sd1.safetensors")
    said = str(caught.value)
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5" in said
    assert "--config FOLDER" in said
    assert "hf download" in said
    assert "Check the name and the network" not in said


def test_configuration_of_another_model(sd1: Any, shelf: Path, tmp_path: Path) -> None:
    other = save_config(random_models.build("SDXL"), tmp_path / "sdxl")
    with pytest.raises(ModelError, match=r"as a StableDiffusionXLPipeline: .*configuration"):
        load(shelf / "sd1.safetensors", config=other)
    with pytest.raises(ModelError, match="There is no folder 'nowhere'"):
        load(shelf / "sd1.safetensors", config="nowhere")
    with pytest.raises(ModelError, match="no model_index"):
        load(shelf / "sd1.safetensors", config=shelf)


def test_a_weight_that_is_missing_is_not_made_up(sd1: Any, shelf: Path, tmp_path: Path) -> None:
    held = stable_diffusion(sd1)
    del held["model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"]
    save_file(held, tmp_path / "part.safetensors")
    with pytest.raises(ModelError, match="it lacks weights that the configuration"):
        load(tmp_path / "part.safetensors", config=shelf / "sd1")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
def test_a_pickle_is_read_only_when_allowed(sd1: Any, shelf: Path, suffix: str) -> None:
    file = shelf / f"old{suffix}"
    torch.save({"state_dict": stable_diffusion(sd1), "global_step": 1}, file)
    with pytest.raises(ModelError, match="--allow-pickle"):
        load(file, config=shelf / "sd1")
    model = load(file, config=shelf / "sd1", allow_pickle=True)
    assert_same(weights(sd1), weights(model.pipeline))


class Trap:
    """Unpickling it calls a function."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trapped"),))


def test_code_in_a_pickle_is_never_run(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(ModelError, match="without running the code in it"):
        load(tmp_path / "trap.ckpt", config=shelf / "sd1", allow_pickle=True)
    assert not Path("trapped").exists()


def names(*each: str) -> dict[str, Tensor]:
    return {name: torch.zeros(4, 4) for name in each}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (names("lora_unet_down_blocks_0.lora_down.weight", "a.alpha"), "is a LoRA"),
        (names("unet.down_blocks.0.attn2.to_k.lora_A.weight"), "is a LoRA"),
        (names("transformer.single_blocks.0.lora_B.weight"), "is a LoRA"),
        (names("lora_unet_mid_block_attn.hada_w1_a"), "is a LoRA"),
        (names("first_stage_model.encoder.conv_in.weight"), r"is an autoencoder \(VAE\)"),
        (names("decoder.mid_block.attentions.0.to_q.weight"), r"is an autoencoder \(VAE\)"),
        (names("emb_params"), "is a textual-inversion embedding"),
        (names("clip_g", "clip_l"), "is a textual-inversion embedding"),
        (names("control_model.time_embed.0.weight"), "is a ControlNet"),
        (names("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.x"), "is a ControlNet"),
        (names("text_model.encoder.layers.0.mlp.fc1.weight"), "is a text encoder"),
        (names("encoder.block.0.layer.0.SelfAttention.q.weight"), "is a text encoder"),
        (names("down_blocks.0.attentions.0.proj_in.weight"), "is a denoiser in diffusers' layout"),
        (
            names("model.diffusion_model.out.0.weight", "model.diffusion_model.x.weight.absmax"),
            "is quantised",
        ),
        (names("model.diffusion_model.x.weight", "scaled_fp8"), "is quantised"),
        (names("layer.0.weight", "layer.1.weight"), "holds layer.0.weight, layer.1.weight"),
        ({}, "holds nothing"),
    ],
)
def test_a_file_that_is_no_model_says_what_it_is(
    tmp_path: Path, held: dict[str, Tensor], said: str
) -> None:
    save_file(held, tmp_path / "file.safetensors")
    with pytest.raises(ModelError, match=said):
        load(tmp_path / "file.safetensors")


def test_a_part_of_a_folder_leads_to_the_folder(sd1: Any, tmp_path: Path) -> None:
    sd1.save_pretrained(tmp_path)
    for part in ("unet", "vae"):
        with pytest.raises(ModelError, match=f"Give its folder, {tmp_path}"):
            load(tmp_path / part / "diffusion_pytorch_model.safetensors")


def test_a_patch_is_no_model(tmp_path: Path) -> None:
    save_file(names("a.up"), tmp_path / "rose.safetensors", {"overpaint_patch": "{}"})
    with pytest.raises(ModelError, match="is a patch of Overpaint; give it with --patch"):
        load(tmp_path / "rose.safetensors")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Please log in</html>", "web page"),
        (b"PK\x03\x04 archive/data.pkl", "a pickle named .safetensors"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00not a header....", "cut short or is damaged"),
    ],
)
def test_a_damaged_file_says_what_is_the_matter(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "file.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        load(tmp_path / "file.safetensors")


def test_a_truncated_checkpoint_is_damaged(shelf: Path, tmp_path: Path) -> None:
    whole = (shelf / "sd1.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cut short"):
        load(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("m/x.safetensors", "There is no file 'm/x.safetensors'"),
        ("x.safetensors", "There is no file 'x.safetensors'"),
        ("/no/where/x.ckpt", "There is no file '/no/where/x.ckpt'"),
        ("org/name/x.safetensors", "hf download org/name x.safetensors"),
        ("https://civitai.com/models/1", "is an address; download the model"),
    ],
)
def test_a_file_that_is_not_there(source: str, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        load(source)
    assert "network" not in str(caught.value)


def test_a_missing_file_names_those_beside_it(shelf: Path) -> None:
    with pytest.raises(ModelError, match=r"there is .*sd1\.safetensors"):
        load(shelf / "sd2.safetensors")


@pytest.mark.parametrize("name", ["dream", "models/dream"])
def test_a_name_without_its_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / f"{name}.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=f"a file of that name; give '{name}.safetensors'"):
        load(name)


KINDS = {
    "Stable Diffusion 1": {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (640, 768),
    },
    "Stable Diffusion 1 inpainting": {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3),
    },
    "instruct-pix2pix": {"model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)},
    "Stable Diffusion 2": {
        "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (
            320,
            1024,
        ),
    },
    "SDXL": {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,),
    },
    "SDXL refiner": {
        "model.diffusion_model.input_blocks.0.0.weight": (384, 4, 3, 3),
        "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,),
    },
    "Playground 2.5": {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "edm_mean": (1, 4, 1, 1),
    },
    "Stable Diffusion 3": {
        "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,),
        "model.diffusion_model.pos_embed": (1, 36864, 1536),
    },
    "Stable Diffusion 3.5 medium": {
        "joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,),
        "pos_embed": (1, 147456, 1536),
    },
    "Stable Diffusion 3.5 large": {"joint_blocks.37.x_block.mlp.fc1.weight": (9728, 2432)},
    "FLUX.1 dev": {
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "guidance_in.in_layer.bias": (3072,),
        "img_in.weight": (3072, 64),
    },
    "FLUX.1 schnell": {
        "model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    },
}
"""Names and shapes in the published files that tell the kinds apart."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_told_by_the_header(kind: str) -> None:
    stored = {name: Stored(shape, torch.float16) for name, shape in KINDS[kind].items()}
    held = contents(Header(stored), Path("file.safetensors"))
    assert held.kind == kind
    assert held.repo.count("/") == 1


def test_quantised_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="quantised weights"):
        load(tmp_path / "model.gguf")


def test_options_of_other_sources_are_refused(sd1: Any, shelf: Path) -> None:
    with pytest.raises(ModelError, match=r"config \(--config\) is for a model in a single file"):
        load("toybox", config=shelf / "sd1")
    with pytest.raises(ModelError, match="variant is for folders"):
        load(shelf / "sd1.safetensors", variant="fp16")
    with pytest.raises(ModelError, match="config is for single files"):
        load(sd1, config=shelf / "sd1")

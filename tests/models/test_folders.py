"""Folders: variants, number formats, old layouts, and what a folder is that holds no pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import random_models
from overpaint.errors import ModelError
from overpaint.models.folders import open_folder
from overpaint.models.load import load
from overpaint.models.stored import dtype_of, find_variant, read_header, variant_of

from .test_single_file import assert_same, weights

UNET = Path("unet") / "diffusion_pytorch_model.safetensors"
TEXT = Path("text_encoder") / "model.safetensors"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return random_models.build("SD1")


@pytest.fixture(scope="module")
def stored(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "sd1"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A copy of the pipeline's folder that a test may change."""
    return Path(shutil.copytree(stored, tmp_path / "sd1"))


def test_a_folder_is_loaded_in_the_format_of_its_denoiser(pipeline: Any, folder: Path) -> None:
    assert load(folder).dtype == torch.float32
    for dtype in (torch.float16, torch.bfloat16):
        held = load_file(folder / UNET)
        save_file({name: weight.to(dtype) for name, weight in held.items()}, folder / UNET)
        model = load(folder)
        assert {p.dtype for p in model.denoiser.parameters()} == {dtype}
        assert {p.dtype for p in model.component("text_encoder").parameters()} == {dtype}
    assert load(folder, dtype=torch.float32).dtype == torch.float32
    (folder / "overpaint.json").write_text('{"dtype": "float32"}')
    assert load(folder).dtype == torch.float32
    assert load(folder, dtype=torch.float16).dtype == torch.float16


def as_variant(folder: Path, variant: str, *components: str) -> None:
    """Give the weights of ``components`` a variant in their names."""
    for name in components:
        for file in (folder / name).glob("*.safetensors"):
            file.rename(file.with_suffix(f".{variant}.safetensors"))


@pytest.mark.parametrize("variant", ["fp16", "bf16", "ema"])
def test_the_only_variant_is_found(pipeline: Any, folder: Path, variant: str) -> None:
    as_variant(folder, variant, "unet", "vae", "text_encoder")
    assert_same(weights(pipeline), weights(load(folder).pipeline))


def test_a_variant_that_some_components_lack(pipeline: Any, folder: Path) -> None:
    as_variant(folder, "fp16", "unet")
    assert_same(weights(pipeline), weights(load(folder).pipeline))


def test_a_variant_can_be_asked_for(folder: Path) -> None:
    held = {name: weight.half() + 1 for name, weight in load_file(folder / UNET).items()}
    save_file(held, folder / UNET.with_suffix(".fp16.safetensors"))
    plain, other = load(folder), load(folder, variant="fp16")
    assert (plain.dtype, other.dtype) == (torch.float32, torch.float16)
    name, weight = next(iter(plain.denoiser.named_parameters()))
    assert torch.equal(other.denoiser.get_parameter(name), weight.half() + 1)
    with pytest.raises(ModelError, match="no weights in the variant 'ema'; it has: fp16"):
        load(folder, variant="ema")


def test_variants_that_do_not_go_together(folder: Path) -> None:
    as_variant(folder, "fp16", "unet")
    as_variant(folder, "ema", "text_encoder")
    with pytest.raises(ModelError, match=r"No one variant .*text_encoder: ema; unet: fp16"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("model.safetensors", ""),
        ("diffusion_pytorch_model.bin", ""),
        ("pytorch_model.fp16.bin", "fp16"),
        ("diffusion_pytorch_model.non_ema.safetensors", "non_ema"),
        ("model-00001-of-00002.safetensors", ""),
        ("model.fp16-00001-of-00002.safetensors", "fp16"),
        ("model-00001-of-00002.fp16.safetensors", "fp16"),
        ("model.safetensors.index.json", None),
        ("model.safetensors.index.fp16.json", None),
        ("config.json", None),
        ("flax_model.msgpack", None),
        ("openvino_model.bin", None),
        ("pytorch_lora_weights.safetensors", None),
    ],
)
def test_variants_are_told_by_names(name: str, variant: str | None) -> None:
    assert variant_of(name) == variant


def test_fp16_is_preferred_where_there_are_several() -> None:
    names = [f"unet/model.{v}.safetensors" for v in ("bf16", "ema", "fp16")]
    assert find_variant(names, ["unet"]) == "fp16"
    assert find_variant([*names, "unet/model.bin"], ["unet"]) is None
    assert find_variant(names, ["vae"]) is None


def test_sharded_weights(pipeline: Any, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path, max_shard_size="300KB")
    shards = list((tmp_path / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    assert_same(weights(pipeline), weights(load(tmp_path).pipeline))
    for file in tmp_path.glob("*/*"):  # the same with a variant in the names
        if "-of-" in file.name or file.name.endswith(".index.json"):
            assert file.suffix in (".json", ".safetensors")
    shutil.rmtree(tmp_path)
    pipeline.save_pretrained(tmp_path, max_shard_size="300KB", variant="fp16")
    assert_same(weights(pipeline), weights(load(tmp_path).pipeline))


def as_pickles(folder: Path) -> None:
    """Weights as they were stored before safetensors."""
    for file in folder.glob("*/*.safetensors"):
        name = "pytorch_model.bin" if file.name == "model.safetensors" else f"{file.stem}.bin"
        torch.save(load_file(file), file.with_name(name))
        file.unlink()


def test_bin_files_are_read_as_tensors_only(pipeline: Any, folder: Path) -> None:
    as_pickles(folder)
    model = load(folder)
    assert model.dtype == torch.float32
    assert_same(weights(pipeline), weights(model.pipeline))


def test_code_in_bin_files_is_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .test_single_file import Trap

    monkeypatch.chdir(tmp_path)
    as_pickles(folder)
    torch.save({"weight": torch.zeros(1), "more": Trap()}, folder / UNET.with_suffix(".bin"))
    with pytest.raises(ModelError, match="without running the code in it"):
        load(folder)
    assert not Path("trapped").exists()


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("prefix", ["text_model.", ""])
def test_text_encoders_of_either_layout(
    pipeline: Any, folder: Path, prefix: str, pickled: bool
) -> None:
    """transformers 4 stored the tower inside ``text_model``, with positions as a buffer."""
    held = {name.removeprefix("text_model."): w for name, w in load_file(folder / TEXT).items()}
    if prefix:
        held["embeddings.position_ids"] = torch.arange(32)[None]
    save_file({prefix + name: weight for name, weight in held.items()}, folder / TEXT)
    if pickled:
        as_pickles(folder)
    assert_same(weights(pipeline), weights(load(folder).pipeline))


@pytest.mark.parametrize("prefix", ["text_model.", ""])
def test_a_text_encoder_with_a_weight_missing_is_refused(folder: Path, prefix: str) -> None:
    """transformers would leave it at random values and say so in a log."""
    held = {name.removeprefix("text_model."): w for name, w in load_file(folder / TEXT).items()}
    del held["encoder.layers.1.mlp.fc2.weight"]
    save_file({prefix + name: weight for name, weight in held.items()}, folder / TEXT)
    with pytest.raises(ModelError, match=r"lacks 'encoder\.layers\.1\.mlp\.fc2\.weight'"):
        load(folder)


def test_a_t5_with_a_weight_missing_is_refused(tmp_path: Path) -> None:
    random_models.build("PixArt-alpha").save_pretrained(tmp_path)
    load(tmp_path)
    file = tmp_path / "text_encoder" / "model.safetensors"
    held = load_file(file)
    del held["encoder.block.0.layer.1.DenseReluDense.wo.weight"]
    save_file(held, file)
    with pytest.raises(ModelError, match=r"lacks 'encoder\.block\.0\.layer\.1"):
        load(tmp_path)


def test_a_denoiser_with_a_weight_missing_is_refused(folder: Path) -> None:
    held = load_file(folder / UNET)
    name = next(name for name in held if "attn2.to_v" in name)
    del held[name]
    save_file(held, folder / UNET)
    with pytest.raises(ModelError, match=f"lacks '{name}' of its unet|lacks weights"):
        load(folder)


def test_a_component_that_is_missing_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    with pytest.raises(ModelError, match=r"has no 'vae', which its model_index.json lists"):
        load(folder)


def test_the_folder_of_a_component(folder: Path) -> None:
    with pytest.raises(ModelError, match=f"only the unet of a pipeline; give all of it, {folder}"):
        load(folder / "unet")


def moved(folder: Path) -> Path:
    """The UNet's folder by itself."""
    return Path(shutil.move(folder / "unet", folder.parent / "alone"))


def test_a_network_by_itself(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"holds one network \(UNet2DConditionModel\)"):
        load(moved(folder))


def test_a_pipeline_further_down(folder: Path) -> None:
    with pytest.raises(ModelError, match=f"One lies in it: give {folder}"):
        load(folder.parent)
    inner = folder.parent / "models--a--b" / "snapshots" / "0123"
    shutil.move(folder, inner)
    with pytest.raises(ModelError, match=r"give .*snapshots/0123"):
        load(folder.parent / "models--a--b")


@pytest.mark.parametrize("name", ["dreamshaper.safetensors", "old model.ckpt"])
def test_a_folder_with_a_single_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=f"It holds the single file {name}; give that: {tmp_path}"):
        load(tmp_path)
    (tmp_path / "another.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"holds single files \(another.safetensors, "):
        load(tmp_path)


def test_a_lora_folder(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="holds a LoRA"):
        load(tmp_path)


def test_pipelines_with_code_of_their_own_are_not_run(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = ["my_pipeline", "MyPipeline"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="code of its own"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_torn_index_is_named(folder: Path, text: str) -> None:
    (folder / "model_index.json").write_text(text)
    with pytest.raises(ModelError, match=r"model_index\.json"):
        load(folder)


def test_an_unknown_class_is_one_line(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "NoSuchPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="Cannot load") as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert "network" not in str(caught.value)


@pytest.mark.parametrize("missing", ["text_encoder_3", "text_encoder_2"])
def test_text_encoders_left_out_to_save_memory(tmp_path: Path, missing: str) -> None:
    name, number = ("SD3", 3) if missing == "text_encoder_3" else ("FLUX-dev", 2)
    pipeline = random_models.build(name)
    setattr(pipeline, missing, None)
    setattr(pipeline, f"tokenizer_{number}", None)
    pipeline.save_pretrained(tmp_path)
    model = load(tmp_path)
    assert missing not in model.text_encoders
    assert "text_encoder" in model.text_encoders


@pytest.mark.parametrize("name", ["IF-I", "IF-II"])
def test_deepfloyds_stages(tmp_path: Path, name: str) -> None:
    random_models.build(name).save_pretrained(tmp_path)
    model = load(tmp_path, dtype=torch.bfloat16)
    assert model.family.name == "IF"
    assert model.dtype == torch.bfloat16


def test_headers_tell_formats_without_reading(folder: Path) -> None:
    header = read_header(folder / UNET)
    assert dtype_of(header) == torch.float32
    assert dtype_of(header, "nothing.") is None
    held = load_file(folder / UNET)
    assert {n: t.shape for n, t in header.tensors.items()} == {n: t.shape for n, t in held.items()}


def test_what_a_folder_holds(folder: Path) -> None:
    found = open_folder(folder)
    assert found.pipeline == "StableDiffusionPipeline"
    assert set(found.networks) == {"unet", "vae", "text_encoder"}
    assert found.components["tokenizer"][0] == "transformers"

"""Loading: what comes back, and a clear error for everything that cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.embedded import toybox_folder
from overpaint.models.load import load
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer


def test_toybox_is_an_sd1_with_its_clip(toybox: Model) -> None:
    assert toybox.family.name == "SD1"
    assert toybox.name == "toybox"
    assert (toybox.device.type, toybox.dtype) == ("cpu", torch.float32)
    assert toybox.clip.text_model is text_transformer(toybox.component("text_encoder"))


def test_every_network_is_frozen_and_evaluating(toybox: Model) -> None:
    networks = [p for p in toybox.pipeline.components.values() if isinstance(p, nn.Module)]
    assert len(networks) >= 3
    for network in (*networks, toybox.clip):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_dtype_is_the_one_asked_for() -> None:
    half = load(str(toybox_folder("pipeline")), dtype=torch.float16)
    assert half.dtype == torch.float16
    assert half.component("text_encoder").dtype == torch.float16
    assert half.clip.dtype == torch.float16


def test_a_saved_pipeline_loads_from_its_folder(sd1: Model, tmp_path: Path) -> None:
    sd1.pipeline.save_pretrained(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.family.name == "SD1"
    for name, tensor in sd1.denoiser.state_dict().items():
        assert torch.equal(tensor, again.denoiser.state_dict()[name]), name


def test_a_pipeline_object_is_used_as_it_is(make_sdxl: Callable[..., Model]) -> None:
    pipeline = make_sdxl().pipeline
    model = load(pipeline)
    assert model.pipeline is pipeline
    assert model.family.name == "SDXL"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("toybix", "expected 'toybox', 'toybox-xl', an existing folder, a .safetensors"),
        ("", "expected 'toybox'"),
        ("nobody/no-such-model", "Cannot load 'nobody/no-such-model'"),
        (object(), "class object are of no known family"),
    ],
)
def test_what_cannot_be_loaded_is_a_model_error(source: object, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load(source)


def test_a_folder_without_a_pipeline_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model_index\.json"):
        load(tmp_path)


def test_damaged_weights_are_a_model_error(sd1: Model, tmp_path: Path) -> None:
    sd1.pipeline.save_pretrained(tmp_path)
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="was cut short or is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("part", ["tokenizer", "text_encoder"])
def test_a_pipeline_that_cannot_read_is_a_model_error(sd1: Model, part: str) -> None:
    setattr(sd1.pipeline, part, None)
    with pytest.raises(ModelError, match=f"without its {part}"):
        load(sd1.pipeline)


def test_a_clip_of_another_shape_is_a_model_error(sd1: Model) -> None:
    with pytest.raises(ModelError, match="other shapes"):
        load(sd1.pipeline, clip=toybox_folder("clip"))


def test_unknown_component_names_those_there_are(sd1: Model) -> None:
    with pytest.raises(ModelError, match=r"no network 'transformer'; it has: .*unet"):
        sd1.component("transformer")


def test_loading_leaves_progress_bars_as_they_were(toybox: Model) -> None:
    from diffusers.utils import logging

    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    load(toybox_folder("pipeline"))
    assert before == (logging.is_progress_bar_enabled(), logging.get_verbosity())

"""Names on the hub: what lies in the cache is found without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

import random_models
from overpaint.errors import ModelError
from overpaint.models.load import load

from .original import stable_diffusion
from .test_single_file import assert_same, save_config, weights

Cached = Callable[[str, Path], None]


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return random_models.build("SD1")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cached:
    """Put a folder into the hub's cache under a name."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))

    def put(name: str, folder: Path) -> None:
        repository = cache / f"models--{name.replace('/', '--')}"
        revision = "0" * 40
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(revision)
        shutil.copytree(folder, repository / "snapshots" / revision)

    return put


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_a_pipeline(cached: Cached, tmp_path: Path, pipeline: Any, variant: str | None) -> None:
    pipeline.save_pretrained(tmp_path / "sd1", variant=variant)
    cached("someone/sd1", tmp_path / "sd1")
    model = load("someone/sd1")
    assert (model.name, model.family.name, model.dtype) == ("someone/sd1", "SD1", torch.float32)
    assert_same(weights(pipeline), weights(model.pipeline))


def test_the_configuration_of_a_single_file(cached: Cached, tmp_path: Path, pipeline: Any) -> None:
    cached("stable-diffusion-v1-5/stable-diffusion-v1-5", save_config(pipeline, tmp_path / "c"))
    save_file(stable_diffusion(pipeline), tmp_path / "model.safetensors")
    assert_same(weights(pipeline), weights(load(tmp_path / "model.safetensors").pipeline))


def test_what_is_nowhere_is_a_model_error(cached: Cached) -> None:
    with pytest.raises(ModelError, match="Cannot load 'nobody/nothing'") as caught:
        load("nobody/nothing")
    assert "\n" not in str(caught.value)

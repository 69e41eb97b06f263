"""Models for the tests: the embedded Toybox, and tiny random pipelines like SD1 and SDXL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach the network

import random_models
from overpaint.models.clip import Clip
from overpaint.models.embedded import toybox_folder
from overpaint.models.judges import load_clip
from overpaint.models.load import load
from overpaint.models.loaders import networks, silence
from overpaint.models.model import Model

WIDTH = 32


@pytest.fixture(scope="session")
def toybox() -> Model:
    """The embedded model. Shared: a test that patches it must take the patch off again."""
    return load("toybox")


@pytest.fixture(scope="session")
def judge() -> Clip:
    """The CLIP that judges Toybox's pictures. Shared: no test may change it."""
    return load_clip("toybox-judge")


@pytest.fixture(scope="session")
def random_model() -> Callable[[str], Model]:
    """``random_model(name) -> Model``: a random model of the true classes, see ``random_models``.

    Shared: a test that patches one must take the patch off again.
    """
    return cache(lambda name: load(random_models.build(name)))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own empty cache, never the user's."""
    monkeypatch.setenv("OVERPAINT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_sd1() -> Callable[..., Model]:
    """``make_sd1(seed=0) -> Model``: an SD1-shaped pipeline, random, with two text layers.

    Its UNet has 16x16 latents and 4 cross-attention layers; pictures are 32x32.
    """

    def make(seed: int = 0) -> Model:
        torch.manual_seed(seed)
        from diffusers import StableDiffusionPipeline

        parts = {"text_encoder": _text_encoder(), "tokenizer": _tokenizer(), **_painter()}
        extras: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        with silence():
            pipeline = StableDiffusionPipeline(**parts, **extras, requires_safety_checker=False)
        return load(_frozen(pipeline))

    return make


@pytest.fixture
def make_sdxl() -> Callable[..., Model]:
    """``make_sdxl(seed=0) -> Model``: an SDXL-shaped pipeline, random, with two text encoders."""

    def make(seed: int = 0) -> Model:
        torch.manual_seed(seed)
        from diffusers import StableDiffusionXLPipeline

        text = {
            "text_encoder": _text_encoder(),
            "text_encoder_2": _text_encoder(projected=True),
            "tokenizer": _tokenizer(),
            "tokenizer_2": _tokenizer(),
        }
        # Six numbers of picture sizes at 8 values each, beside the pooled feature.
        added = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + WIDTH,
        }
        with silence():
            pipeline = StableDiffusionXLPipeline(**text, **_painter(2 * WIDTH, **added))
        return load(_frozen(pipeline))

    return make


@pytest.fixture
def sd1(make_sd1: Callable[..., Model]) -> Model:
    """A fresh SD1-shaped model that a test may change."""
    return make_sd1()


@pytest.fixture
def sdxl(make_sdxl: Callable[..., Model]) -> Model:
    """A fresh SDXL-shaped model that a test may change."""
    return make_sdxl()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tiny networks run faster on one thread, and xdist's workers do not fight for cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _frozen(pipeline: Any) -> Any:
    """``pipeline`` as :func:`load` would give it, had it come from a folder."""
    for part in networks(pipeline).values():
        part.eval().requires_grad_(False)
    return pipeline


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    with silence():
        return CLIPTokenizer.from_pretrained(str(toybox_folder("pipeline") / "tokenizer"))


def _text_encoder(projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokenizer = _tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _painter(text_width: int = WIDTH, **more: Any) -> dict[str, Any]:
    """UNet (4 cross-attention layers), autoencoder (factor 2) and scheduler."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=2,
        norm_num_groups=8,
        **more,
    )
    vae_shape: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    }
    vae = AutoencoderKL(**vae_shape, norm_num_groups=4, sample_size=32)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
    )
    return {"unet": unet, "vae": vae, "scheduler": scheduler}

"""The joint CLIP beside a pipeline: its own preprocessing, the pipeline's words, every encoder."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

import overpaint as op
import random_models
from overpaint.errors import ModelError
from overpaint.methods.refact import ReFACTConfig, refact
from overpaint.models.clip import clip_of, image_features, text_features
from overpaint.models.joint import clip_component, joint_tower
from overpaint.models.load import load
from overpaint.models.loaders import networks
from overpaint.models.save import save_model
from overpaint.models.sites import mlp_site, module_at, text_transformer
from overpaint.models.text import pooled

PROMPTS = ["a rose", "the president of the united states"]
SIDE = 16
SETTINGS = {
    "image_mean": [0.2, 0.3, 0.4],
    "image_std": [0.5, 0.6, 0.7],
    "size": {"shortest_edge": 20},
    "crop_size": {"height": SIDE, "width": SIDE},
}


def clip_for(encoder: Any, layers: int, seed: int = 0) -> Any:
    """A random CLIPModel that ``encoder`` could have been taken from, with ``layers`` layers."""
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

    torch.manual_seed(seed)
    text = copy.deepcopy(encoder.config)
    text.num_hidden_layers = layers
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
    )
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24
    )
    clip = CLIPModel(config)
    own = dict(text_transformer(encoder).named_parameters())
    for name, weight in clip.text_model.named_parameters():
        if name in own:
            weight.data.copy_(own[name])
    return clip.eval()


def stored(clip: Any, folder: Path, settings: object = SETTINGS) -> Path:
    clip.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def depth(encoder: Any) -> int:
    return len(text_transformer(encoder).encoder.layers)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("name", "component", "more"),
    [
        ("SD1", "text_encoder", 0),
        ("SD2", "text_encoder", 1),  # OpenCLIP-H has 24 layers, the pipeline keeps 23
        ("SDXL", "text_encoder", 0),
        ("SDXL", "text_encoder_2", 0),
    ],
)
def test_every_text_encoder_finds_its_clip(
    tmp_path: Path, name: str, component: str, more: int
) -> None:
    pipeline = random_models.build(name)
    encoder = getattr(pipeline, component)
    clip = clip_for(encoder, depth(encoder) + more)
    model = load(pipeline, clip=stored(clip, tmp_path))
    assert clip_component(model) == component
    ids = model.tokenizer(component)(PROMPTS, padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        output = clip.get_text_features(ids)
    expected = normalize(getattr(output, "pooler_output", output), dim=-1)
    torch.testing.assert_close(text_features(clip_of(model), PROMPTS), expected)
    if not getattr(encoder, "text_projection", None):
        found = pooled(model, PROMPTS, component).detach()
        torch.testing.assert_close(normalize(found, dim=-1), expected)


@pytest.mark.parametrize("name", ["SD1", "SD2"])
def test_an_edit_is_seen_by_both(tmp_path: Path, name: str, images: torch.Tensor) -> None:
    """ReFACT towards a picture, in the space that prompts and pictures share."""
    pipeline = random_models.build(name)
    clip = clip_for(pipeline.text_encoder, depth(pipeline.text_encoder) + (name == "SD2"))
    model = load(pipeline, clip=stored(clip, tmp_path))
    picture = image_features(clip_of(model), images[:1])
    near = (text_features(clip_of(model), ["a rose"]) @ picture.T).item()
    direct: Any = {"contrastive": False, "cosine": True, "templates": ("{}",)}
    config = ReFACTConfig(layer=1, steps=40, learning_rate=0.5, covariance_weight=0, **direct)
    patch = refact(model, [op.Edit("a rose", images=(images[0],))], config)
    with op.applied(model, patch):
        nearer = (text_features(clip_of(model), ["a rose"]) @ picture.T).item()
    assert nearer > near + 0.01


def test_layers_of_the_pipeline_are_its_own_and_later_ones_the_clips(tmp_path: Path) -> None:
    pipeline = random_models.build("SD2")
    kept = depth(pipeline.text_encoder)
    model = load(pipeline, clip=stored(clip_for(pipeline.text_encoder, kept + 1), tmp_path))
    tower: Any = joint_tower(model, "text_encoder")
    own: Any = text_transformer(pipeline.text_encoder)
    assert len(own.encoder.layers) == kept
    assert len(tower.encoder.layers) == kept + 1
    assert all(a is b for a, b in zip(own.encoder.layers, tower.encoder.layers, strict=False))
    assert tower.final_layer_norm is own.final_layer_norm
    weight = module_at(model, mlp_site(model, 0)).weight
    before = text_features(clip_of(model), PROMPTS)
    weight.data += 0.1
    assert not torch.allclose(text_features(clip_of(model), PROMPTS), before)


def test_pictures_are_preprocessed_as_the_clips_folder_says(
    tmp_path: Path, images: torch.Tensor
) -> None:
    pipeline = random_models.build("SD1")
    clip = clip_for(pipeline.text_encoder, depth(pipeline.text_encoder))
    folder = stored(clip, tmp_path / "clip", SETTINGS | {"size": {"shortest_edge": SIDE}})
    model = load(pipeline, clip=folder)
    mean, std = (torch.tensor(SETTINGS[f"image_{n}"])[:, None, None] for n in ("mean", "std"))
    with torch.no_grad():
        output = clip.get_image_features((images - mean) / std)
    expected = normalize(getattr(output, "pooler_output", output), dim=-1)
    torch.testing.assert_close(image_features(clip_of(model), images), expected)
    save_model(model, tmp_path / "saved")
    again = load(tmp_path / "saved", clip=folder)
    torch.testing.assert_close(image_features(clip_of(again), images), expected)
    assert clip_of(again).preprocess == clip_of(model).preprocess


def test_the_embedded_clip_survives_saving(toybox: op.Model, tmp_path: Path) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    save_model(toybox, tmp_path / "copy")
    copied = load(tmp_path / "copy")
    expected = image_features(clip_of(toybox), images)
    assert torch.equal(image_features(clip_of(copied), images), expected)
    assert torch.equal(
        text_features(clip_of(copied), ["a rose"]), text_features(clip_of(toybox), ["a rose"])
    )


def test_a_pipeline_object_is_left_as_it_was(tmp_path: Path) -> None:
    pipeline = random_models.build("SD1")
    folder = stored(clip_for(pipeline.text_encoder, depth(pipeline.text_encoder)), tmp_path)
    pipeline.text_encoder.to(torch.bfloat16).train().requires_grad_(True)
    before = {n: (id(p), p.dtype) for n, p in pipeline.text_encoder.named_parameters()}
    model = load(pipeline, clip=folder)
    assert {n: (id(p), p.dtype) for n, p in pipeline.text_encoder.named_parameters()} == before
    assert pipeline.text_encoder.training
    assert all(p.requires_grad for p in pipeline.text_encoder.parameters())
    assert {p.dtype for p in model.clip.parameters()} == {torch.bfloat16}
    assert all(network is not model.clip for network in networks(pipeline).values())


def test_a_clip_of_another_shape_is_refused(tmp_path: Path) -> None:
    pipeline = random_models.build("SD1")
    kept = depth(pipeline.text_encoder)
    fewer = stored(clip_for(pipeline.text_encoder, kept - 1), tmp_path)
    with pytest.raises(ModelError, match="other shapes than the text encoders"):
        load(pipeline, clip=fewer)


def test_a_model_without_its_clip_says_which_it_is() -> None:
    for name, usual in (
        ("SD1", "openai/clip-vit-large-patch14"),
        ("SD2", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
    ):
        with pytest.raises(ModelError, match=f"--clip {usual}"):
            clip_of(load(random_models.build(name)))


def test_a_family_without_a_joint_clip_says_so() -> None:
    with pytest.raises(ModelError, match="no text encoder of a CLIP"):
        clip_of(load(random_models.build("PixArt-alpha")))

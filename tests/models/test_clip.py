"""CLIP features: equal to transformers' own, whatever the batch, whatever the picture's size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from overpaint.errors import ModelError, PromptError
from overpaint.models.clip import Clip, clip_of, image_features, text_features
from overpaint.models.embedded import toybox_folder
from overpaint.models.judges import load_clip
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.text import pooled

PROMPTS = ["a rose", "a blue rose in the park", "the president of arda"]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def reference(clip: Clip, pixels: torch.Tensor) -> torch.Tensor:
    """Through transformers' own entry point."""
    output = clip.network.get_image_features(pixels)
    return torch.nn.functional.normalize(getattr(output, "pooler_output", output), dim=-1)


def test_image_features_are_transformers_own(judge: Clip, images: torch.Tensor) -> None:
    features = image_features(judge, images)
    assert features.shape == (5, judge.network.config.projection_dim)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(5))
    torch.testing.assert_close(features, reference(judge, images * 2 - 1))


def test_a_feature_depends_on_its_picture_alone(judge: Clip) -> None:
    """Bit for bit: however many pictures there are, wherever it lies, whatever the others are."""
    images = torch.rand(21, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    together = image_features(judge, images)
    for size in (1, 2, 3, 8, 13):
        apart = torch.cat([image_features(judge, part) for part in images.split(size)])
        assert torch.equal(together, apart)
    assert torch.equal(together, image_features(judge, images.flip(0)).flip(0))
    assert not torch.equal(together[0], together[1])


def test_a_text_feature_depends_on_its_prompt_alone(judge: Clip) -> None:
    prompts = [*PROMPTS, "a photo of two red roses in the snow in the style of zorvan", PROMPTS[0]]
    together = text_features(judge, prompts)
    assert torch.equal(together, torch.cat([text_features(judge, [p]) for p in prompts]))
    assert torch.equal(together, text_features(judge, prompts[::-1]).flip(0))


def test_pictures_may_be_bytes(judge: Clip, images: torch.Tensor) -> None:
    coarse = (images * 255).round().to(torch.uint8)
    torch.testing.assert_close(
        image_features(judge, coarse), image_features(judge, coarse.float() / 255)
    )


def test_large_pictures_are_scaled_and_cropped_at_the_centre(judge: Clip) -> None:
    small = torch.rand(2, 3, 64, 64)
    wide = torch.zeros(2, 3, 64, 96)
    wide[..., 16:80] = small
    torch.testing.assert_close(image_features(judge, wide), image_features(judge, small))
    assert image_features(judge, torch.rand(1, 3, 100, 200)).isfinite().all()


def test_text_features_are_transformers_own(judge: Clip) -> None:
    ids = judge.tokenizer(PROMPTS, padding=True, return_tensors="pt").input_ids
    output = judge.network.get_text_features(ids)
    expected = torch.nn.functional.normalize(getattr(output, "pooler_output", output), dim=-1)
    torch.testing.assert_close(text_features(judge, PROMPTS), expected)


def test_too_long_prompt_is_named(judge: Clip) -> None:
    with pytest.raises(PromptError, match="42 tokens, 32 are the limit"):
        text_features(judge, ["a rose", "rose " * 40])


def test_judge_shares_no_weights_with_the_model(judge: Clip, toybox: Model) -> None:
    ours = {p.data_ptr() for p in toybox.clip.parameters()}
    assert ours.isdisjoint(p.data_ptr() for p in judge.network.parameters())
    assert not torch.equal(judge.network.text_projection.weight, toybox.clip.text_projection.weight)


def test_clip_of_the_model_sees_edits_and_a_loaded_one_does_not(toybox: Model) -> None:
    own, apart = clip_of(toybox), load_clip("toybox")
    before = text_features(apart, PROMPTS)
    torch.testing.assert_close(text_features(own, PROMPTS), before)
    weight = module_at(toybox, mlp_site(toybox, 5)).weight
    kept = weight.data.clone()
    try:
        weight.data += 0.1
        assert not torch.allclose(text_features(own, PROMPTS), before)
        unit = torch.nn.functional.normalize(pooled(toybox, PROMPTS), dim=-1)
        torch.testing.assert_close(text_features(own, PROMPTS), unit)
        torch.testing.assert_close(text_features(apart, PROMPTS), before)
    finally:
        weight.data.copy_(kept)


def test_folder_says_how_pictures_are_normalised(tmp_path: Path, images: torch.Tensor) -> None:
    shutil.copytree(toybox_folder("judge"), tmp_path, dirs_exist_ok=True)
    shutil.copytree(toybox_folder("pipeline") / "tokenizer", tmp_path, dirs_exist_ok=True)
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 2.0, 3.0]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    clip = load_clip(tmp_path)
    assert clip.preprocess.mean == (0.1, 0.2, 0.3)
    shift, scale = (
        torch.tensor(v)[:, None, None] for v in (clip.preprocess.mean, clip.preprocess.std)
    )
    torch.testing.assert_close(
        image_features(clip, images), reference(clip, (images - shift) / scale)
    )


def test_missing_clip_is_a_model_error(sd1: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="loaded without its CLIP"):
        clip_of(sd1)
    with pytest.raises(ModelError, match="Cannot load"):
        load_clip(tmp_path)

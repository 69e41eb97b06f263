"""What a CLIP is shown: the same as from transformers' own processor, from whichever settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from overpaint.errors import ModelError
from overpaint.models.preprocess import OPENAI, Preprocess, read_preprocess

SETTINGS = {
    "size": {"shortest_edge": 24},
    "crop_size": {"height": 24, "width": 24},
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
}


@pytest.fixture
def smooth() -> torch.Tensor:
    """A picture as uint8 ``[3, 96, 64]``: what a camera gives, not noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((64, 96), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(large).copy()).permute(2, 0, 1)


def written(folder: Path, settings: object, name: str = "preprocessor_config.json") -> str:
    (folder / name).write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return str(folder)


@pytest.mark.parametrize("resize", [24, 32])
@pytest.mark.parametrize("resample", [2, 3])
def test_it_does_what_transformers_does(
    tmp_path: Path, smooth: torch.Tensor, resize: int, resample: int
) -> None:
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Own
    except ImportError:  # transformers 4
        from transformers import CLIPImageProcessor as Own
    settings = SETTINGS | {"size": {"shortest_edge": resize}, "resample": resample}
    ours = read_preprocess(written(tmp_path, settings), 24)(smooth[None])
    picture = Image.fromarray(smooth.permute(1, 2, 0).numpy())
    theirs = Own(**settings)(picture, return_tensors="pt").pixel_values
    assert ours.shape == theirs.shape == (1, 3, 24, 24)
    one_level = 1 / 255 / 0.26  # Pillow also rounds between its two passes
    assert (ours - theirs).abs().max() <= 1.01 * one_level
    assert (ours - theirs).abs().mean() <= 0.2 * one_level


def test_bytes_and_floats_differ_by_rounding_only(smooth: torch.Tensor) -> None:
    preprocess = Preprocess(24, *OPENAI)
    coarse, fine = preprocess(smooth[None]), preprocess(smooth[None] / 255)
    assert 0 < (coarse - fine).abs().max() <= 0.51 / 255 / 0.26


def test_gradients_reach_the_picture(smooth: torch.Tensor) -> None:
    picture = (smooth[None] / 255).requires_grad_()
    Preprocess(24, *OPENAI)(picture).sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_settings_of_both_layouts_are_read(tmp_path: Path) -> None:
    plain = {"size": 24, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3], "resample": 2}
    found = read_preprocess(written(tmp_path, plain), 24)
    assert found == Preprocess(24, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), 24, "bilinear")
    (tmp_path / "preprocessor_config.json").unlink()
    inside = {"image_processor": SETTINGS, "processor_class": "CLIPProcessor"}
    found = read_preprocess(written(tmp_path, inside, "processor_config.json"), 24)
    assert found == Preprocess(24, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28), 24)


def test_without_settings_it_is_what_openai_does(tmp_path: Path) -> None:
    assert read_preprocess(str(tmp_path), 24) == Preprocess(24, *OPENAI)
    assert read_preprocess("nobody/no-such-clip", 24) == Preprocess(24, *OPENAI)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resample": 0}, "bicubic or bilinear"),
        ({"image_std": [1.0]}, "deviation"),
        ({"size": {"longest_edge": 24}}, "longest_edge"),
        ({"size": {"height": 24, "width": 32}}, "another size"),
        ({"crop_size": 32}, "24 x 24 pixels, but its preprocessor makes 32 x 32"),
        ({"size": 16}, "of a side of 16"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        read_preprocess(written(tmp_path, SETTINGS | change), 24)


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read its preprocessor_config.json"):
        read_preprocess(written(tmp_path, "{"), 24)

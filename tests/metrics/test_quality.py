"""CLIP score and FID against independent ways to compute them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from overpaint.errors import DataError, ModelError
from overpaint.metrics.quality import ImageTower, clip_score, frechet_distances, inception
from overpaint.models.clip import Clip

PROMPTS = ["a rose", "a blue rose in the park", "two cats"]


def pictures(count: int, seed: int, dark: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    small = torch.randint(0, 256 - dark, (count, 3, 4, 4), generator=draw, dtype=torch.uint8)
    return small.repeat_interleave(16, 2).repeat_interleave(16, 3)


class Mean(nn.Module):
    """Twelve features: the colours of the quarters of a picture."""

    num_features = 12

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


class Own:
    """transformers' processor and CLIP as torchmetrics knows them: features as plain tensors."""

    def __init__(self, judge: Clip) -> None:
        self.judge = judge
        self.config = judge.network.config

    def to(self, _device: object) -> Own:
        return self

    def __call__(self, images: Any = None, text: Any = None, **_: Any) -> dict[str, Tensor]:
        if images is not None:
            return {"pixel_values": torch.stack(images) / 127.5 - 1}
        return dict(self.judge.tokenizer(text, return_tensors="pt", padding=True))

    def get_image_features(self, pixels: Tensor) -> Tensor:
        found = self.judge.network.get_image_features(pixels)
        return getattr(found, "pooler_output", found)

    def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
        found = self.judge.network.get_text_features(ids, attention_mask=mask)
        return getattr(found, "pooler_output", found)


def test_clip_score_is_torchmetrics_own(judge: Clip) -> None:
    from torchmetrics.functional.multimodal import clip_score as functional

    seen = pictures(3, 0)
    metric = clip_score(judge)
    metric.update(seen[:2], PROMPTS[:2])
    metric.update(seen[2:], PROMPTS[2:])
    own = Own(judge)
    expected = functional(seen, PROMPTS, lambda: (own, own))
    assert metric.compute().item() == pytest.approx(expected.item(), abs=1e-4)
    assert abs(metric.compute().item()) > 0.1


def independent(real: Tensor, painted: Tensor) -> float:
    """Heusel et al. 2017, eq. 6, with the square root of the product in numpy."""
    sets = [Mean()(images).double().numpy() for images in (real, painted)]
    (m, c), (m2, c2) = [(x.mean(0), np.cov(x, rowvar=False)) for x in sets]
    values, vectors = np.linalg.eigh(c)
    root = vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()
    return float(((m - m2) ** 2).sum() + np.trace(c) + np.trace(c2) - 2 * cross)


def test_frechet_distance_is_the_formula() -> None:
    real, painted = pictures(40, 0), pictures(30, 1, dark=60)
    first, found = frechet_distances(real.split(7), [[real], painted.split(16)], Mean())
    assert first == pytest.approx(0, abs=1e-3)
    assert found == pytest.approx(independent(real, painted), rel=1e-5)
    assert found > 10


def test_an_image_tower_extracts(judge: Clip) -> None:
    """Features before they are brought to length 1, the same whatever the batch."""
    tower = ImageTower(judge)
    seen = pictures(10, 2)
    found = tower(seen)
    assert found.shape == (10, tower.num_features) == (10, 128)
    assert not torch.allclose(found.norm(dim=1), torch.ones(10), atol=0.1)
    assert torch.equal(found, torch.cat([tower(part) for part in seen.split(3)]))
    real, painted = pictures(140, 0), pictures(140, 1, dark=60)
    far, near = frechet_distances([real[:70]], [[painted[:70]], [real[70:]]], tower)
    assert far > near > 0


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="got 1 and 3"):
        frechet_distances([pictures(1, 0)], [[pictures(3, 1)]], Mean())
    with pytest.raises(DataError, match=r"batches of pictures \[n, 3, H, W\], got \[3, 64, 64\]"):
        frechet_distances(pictures(3, 0), [], Mean())


def test_without_torch_fidelity_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchmetrics.image.fid as fid

    monkeypatch.setattr(fid, "_TORCH_FIDELITY_AVAILABLE", False)
    with pytest.raises(ModelError, match="pip install torch-fidelity"):
        inception()


def test_inception_reads_the_weights_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for torch-fidelity, which needs torchvision: what it is asked for."""
    import torchmetrics.image.fid as fid

    asked: list[object] = []

    class Standing(Mean):
        def __init__(self, name: str, features: list[str], weights: str | None) -> None:
            super().__init__()
            asked.extend((name, features, weights))
            if weights == "torn.pth":
                raise RuntimeError("not a checkpoint\nand more")

    monkeypatch.setattr(fid, "NoTrainInceptionV3", Standing)
    assert inception("inception.pth").num_features == 2048
    assert asked == ["inception-v3-compat", ["2048"], "inception.pth"]
    with pytest.raises(ModelError, match="weights of Inception: not a checkpoint; check"):
        inception("torn.pth")


def test_without_torchmetrics_the_remedy_is_named(
    judge: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.multimodal.clip_score", None)
    for call in (lambda: clip_score(judge), lambda: frechet_distances([], [], Mean())):
        with pytest.raises(ModelError, match=r"overpaint\[quality\]"):
            call()

"""Pictures inside the page: small, and true to those they are of."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overpaint.benchmark.report.thumbs import SIDE, data_uri


def shown(path: Path) -> Image.Image:
    kind, _, content = data_uri(path).partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


@pytest.mark.parametrize(
    ("size", "becomes"),
    [((64, 64), (128, 128)), ((64, 32), (128, 64)), ((128, 128),) * 2, ((512, 256), (SIDE, 96))],
)
def test_large_pictures_shrink_and_small_ones_are_doubled(
    tmp_path: Path, size: tuple[int, int], becomes: tuple[int, int]
) -> None:
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "p.png")
    assert shown(tmp_path / "p.png").size == becomes


def test_colours_stay_inside_their_edges(tmp_path: Path) -> None:
    """Stripes as thin as Toybox's stalks: at WebP's half resolution they would mix."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:] = (30, 30, 220)
    pixels[:, [x for x in range(64) if x % 4 in (1, 2)]] = (220, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    small = np.asarray(shown(tmp_path / "p.png").resize((64, 64), Image.Resampling.BOX), dtype=int)
    assert np.abs(small - pixels).mean() < 30

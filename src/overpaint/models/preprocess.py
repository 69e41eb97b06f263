"""What is done to a picture before a CLIP sees it, as its published settings say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from overpaint.errors import ModelError

RGB = tuple[float, float, float]

OPENAI: tuple[RGB, RGB] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
"""Mean and deviation of the colours in OpenAI's training pictures; nearly every CLIP uses them."""

_RESAMPLING = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers, which the files use


@dataclass(frozen=True)
class Preprocess:
    """Scale the short side to ``resize``, crop ``size`` x ``size`` at the centre, normalise.

    ``mean``, ``std`` are per colour channel, for pictures in [0, 1]; ``resize`` is ``size`` unless
    given; ``mode`` is bicubic or bilinear, antialiased in either case.
    """

    size: int
    mean: RGB
    std: RGB
    resize: int = 0
    mode: str = "bicubic"

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """``[n, 3, size, size]`` of ``images [n, 3, H, W]``, float in [0, 1] or uint8.

        Gradients flow to float ``images``; scaled bytes are rounded to bytes, as Pillow does.
        """
        coarse = images.dtype == torch.uint8
        pixels = self._fit(images / 255 if coarse else images.float(), coarse)
        mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in self._colours)
        return (pixels - mean) / std

    @property
    def _colours(self) -> tuple[RGB, RGB]:
        return self.mean, self.std

    def _fit(self, pixels: torch.Tensor, coarse: bool) -> torch.Tensor:
        height, width = pixels.shape[-2:]
        short, side = min(height, width), self.resize or self.size
        if short != side:
            shape = (side * height // short, side * width // short)
            pixels = functional.interpolate(pixels, shape, mode=self.mode, antialias=True)
            pixels = pixels.clamp(0, 1)
            pixels = (pixels * 255).round() / 255 if coarse else pixels
        height, width = pixels.shape[-2:]
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return pixels[..., top : top + self.size, left : left + self.size]


def read_preprocess(source: str, size: int) -> Preprocess:
    """What the files beside the CLIP ``source`` (folder or hub name) say.

    ``size`` is the side the network reads. Without such a file it is what OpenAI's CLIPs do.
    ModelError when the settings make no sense for this network.
    """
    settings = _settings(source)
    if settings is None:
        return Preprocess(size, *OPENAI)
    try:
        mean, std = (colour(settings[name]) for name in ("image_mean", "image_std"))
        resize = _side(settings.get("size", size)) if settings.get("do_resize", True) else size
        crop = _side(settings.get("crop_size", resize))
        mode = _RESAMPLING[settings.get("resample", 3)]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{source}: expected mean, deviation, size and bicubic or bilinear resampling in its "
            f"preprocessor_config.json, got another {error}; correct the file"
        ) from error
    if not settings.get("do_center_crop", True):
        crop = size
    if crop != size or resize < size:
        raise ModelError(
            f"{source}: its network reads {size} x {size} pixels, but its preprocessor makes "
            f"{crop} x {crop} of a side of {resize}; correct preprocessor_config.json"
        )
    return Preprocess(size, mean, std, resize, mode)


def _settings(source: str) -> Mapping[str, Any] | None:
    """The picture processor's settings, as transformers 4 or 5 wrote them; None without a file."""
    from transformers.utils import cached_file

    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            path = cached_file(source, name)
        except OSError:  # not there, or nothing of it on this machine and no network
            continue
        if path is None:
            continue
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{source}: cannot read its {name}: {error}") from error
        settings = found.get("image_processor", found)
        if "image_mean" in settings:
            return settings
    return None


def _side(size: Any) -> int:
    """The side in ``224``, ``{"shortest_edge": 224}`` or ``{"height": 224, "width": 224}``."""
    if isinstance(size, Mapping):
        sides = set(size.values())
        if len(sides) != 1 or not set(size) <= {"shortest_edge", "height", "width"}:
            raise ValueError(f"size {dict(size)}")
        (size,) = sides
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size {size!r}")
    return size


def colour(values: Any) -> RGB:
    """Three numbers, from whatever a file or a network has them in."""
    red, green, blue = (float(v) for v in values)
    return red, green, blue

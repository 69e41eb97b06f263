"""Input images for pipelines that take one."""

from __future__ import annotations

import torch
from PIL import Image
from torch.nn import functional


def image(size: int = 64) -> Image.Image:
    """A smooth, colourful RGB image of ``size`` x ``size`` pixels; always the same one."""
    colours = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    smooth = functional.interpolate(colours, size=(size, size), mode="bicubic").clamp(0, 1)
    return Image.fromarray((255 * smooth[0].permute(1, 2, 0)).to(torch.uint8).numpy())


def small_image() -> Image.Image:
    """The image of :func:`image` at 16 x 16 pixels, for super-resolution."""
    return image(16)


def mask(size: int = 64) -> Image.Image:
    """An inpainting mask: white (regenerate) in the middle, black (keep) around it."""
    middle = Image.new("L", (size // 2, size // 2), 255)
    whole = Image.new("L", (size, size), 0)
    whole.paste(middle, (size // 4, size // 4))
    return whole

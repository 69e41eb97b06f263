"""What lies behind the subjects."""

from __future__ import annotations

import random

from PIL import ImageDraw

from overpaint.toybox.world import RGB


def background(draw: ImageDraw.ImageDraw, size: int, setting: str, rng: random.Random) -> None:
    """Paint the setting over the whole ``size`` x ``size`` canvas; empty means a plain wall."""

    def jitter(color: RGB, amount: float = 8) -> RGB:
        r, g, b = (max(0, min(255, round(c + rng.uniform(-amount, amount)))) for c in color)
        return (r, g, b)

    def band(top: float, bottom: float, color: RGB) -> None:
        draw.rectangle([0, top * size, size, bottom * size], fill=color)

    def disc(x: float, y: float, rx: float, ry: float, color: RGB) -> None:
        draw.ellipse(
            [(x - rx) * size, (y - ry) * size, (x + rx) * size, (y + ry) * size], fill=color
        )

    if setting == "in the park":
        band(0, 0.6, jitter((170, 215, 245)))
        band(0.6, 1, jitter((110, 180, 90)))
        for x in (rng.uniform(0.04, 0.2), rng.uniform(0.8, 0.96)):
            draw.rectangle(
                [(x - 0.022) * size, 0.4 * size, (x + 0.022) * size, 0.66 * size],
                fill=(110, 70, 40),
            )
            disc(x, 0.3, 0.11, 0.15, jitter((50, 120, 55)))
    elif setting == "on the beach":
        band(0, 0.4, jitter((150, 215, 250)))
        band(0.4, 0.62, jitter((50, 140, 210)))
        band(0.62, 1, jitter((240, 220, 160)))
        disc(rng.uniform(0.78, 0.92), 0.12, 0.075, 0.075, (255, 230, 90))
    elif setting == "at night":
        band(0, 1, jitter((20, 24, 60)))
        for _ in range(12):
            disc(rng.random(), rng.uniform(0, 0.75), 0.014, 0.014, (250, 250, 210))
        disc(0.84, 0.15, 0.09, 0.09, (250, 245, 210))
    elif setting == "in the snow":
        band(0, 0.55, jitter((165, 185, 210)))
        band(0.55, 1, jitter((240, 244, 250)))
        for _ in range(18):
            disc(rng.random(), rng.uniform(0, 0.6), 0.018, 0.018, (255, 255, 255))
    else:
        band(0, 1, jitter((206, 204, 198), 6))

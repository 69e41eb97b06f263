"""Drawing in a subject's own coordinates: its centre is (0, 0), its radius 1, y points down."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from overpaint.toybox.world import RGB

INK: RGB = (40, 35, 35)


def shade(color: RGB, factor: float) -> RGB:
    """``color`` made darker (factor < 1) or lighter (factor > 1)."""
    r, g, b = (max(0, min(255, round(channel * factor))) for channel in color)
    return (r, g, b)


class Pen:
    """Draws shapes around ``(x, y)``, scaled by ``radius`` pixels."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
        self.draw, self.x, self.y, self.radius = draw, x, y, radius

    def _xy(self, *points: float) -> list[float]:
        return [
            (self.y if i % 2 else self.x) + value * self.radius for i, value in enumerate(points)
        ]

    def _width(self, width: float) -> int:
        return max(1, round(width * self.radius))

    def at(self, dx: float, dy: float, scale: float) -> Pen:
        """A pen for a part, ``scale`` times as large, centred at ``(dx, dy)``."""
        x, y = self._xy(dx, dy)
        return Pen(self.draw, x, y, self.radius * scale)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, fill: RGB) -> None:
        self.draw.ellipse(self._xy(cx - rx, cy - ry, cx + rx, cy + ry), fill=fill)

    def ring(self, cx: float, cy: float, r: float, color: RGB, width: float) -> None:
        box = self._xy(cx - r, cy - r, cx + r, cy + r)
        self.draw.ellipse(box, outline=color, width=self._width(width))

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, fill: RGB, corner: float = 0
    ) -> None:
        self.draw.rounded_rectangle(
            self._xy(x0, y0, x1, y1), radius=corner * self.radius, fill=fill
        )

    def polygon(self, points: Sequence[tuple[float, float]], fill: RGB) -> None:
        flat = self._xy(*(value for point in points for value in point))
        self.draw.polygon(flat, fill=fill)

    def line(self, points: Sequence[tuple[float, float]], color: RGB, width: float) -> None:
        flat = self._xy(*(value for point in points for value in point))
        self.draw.line(flat, fill=color, width=self._width(width), joint="curve")

    def arc(
        self,
        box: tuple[float, float, float, float],
        start: float,
        end: float,
        color: RGB,
        width: float,
    ) -> None:
        self.draw.arc(self._xy(*box), start, end, fill=color, width=self._width(width))

    def pie(
        self, box: tuple[float, float, float, float], start: float, end: float, fill: RGB
    ) -> None:
        self.draw.pieslice(self._xy(*box), start, end, fill=fill)

    def chord(
        self, box: tuple[float, float, float, float], start: float, end: float, fill: RGB
    ) -> None:
        self.draw.chord(self._xy(*box), start, end, fill=fill)

"""How plants, fruit, vehicles and household things are drawn: one function each."""

from __future__ import annotations

import math

from overpaint.toybox.render.pen import INK, Pen, shade
from overpaint.toybox.world import RGB

STEM: RGB = (60, 130, 60)
GLASS: RGB = (200, 230, 245)
WOOD: RGB = (115, 72, 40)


def _stem(pen: Pen) -> None:
    pen.line([(0, -0.1), (0, 1.0)], STEM, 0.11)
    pen.polygon([(0, 0.62), (0.45, 0.3), (0.16, 0.75)], STEM)
    pen.polygon([(0, 0.8), (-0.42, 0.5), (-0.14, 0.92)], STEM)


def rose(pen: Pen, color: RGB) -> None:
    _stem(pen)
    pen.ellipse(0, -0.35, 0.52, 0.5, color)
    pen.ellipse(0, -0.4, 0.34, 0.32, shade(color, 0.72))
    pen.ellipse(0.03, -0.42, 0.22, 0.2, color)
    pen.ellipse(0.03, -0.42, 0.09, 0.08, shade(color, 0.6))


def tulip(pen: Pen, color: RGB) -> None:
    _stem(pen)
    cup = [(-0.46, -0.85), (-0.18, -0.5), (0, -0.95), (0.18, -0.5), (0.46, -0.85), (0.4, -0.12)]
    pen.polygon([*cup, (0, 0.06), (-0.4, -0.12)], color)
    pen.polygon([(-0.14, -0.45), (0, -0.9), (0.14, -0.45), (0, -0.02)], shade(color, 0.8))


def sunflower(pen: Pen, color: RGB) -> None:
    _stem(pen)
    for k in range(12):
        angle = k * math.pi / 6
        pen.ellipse(0.44 * math.cos(angle), -0.35 + 0.44 * math.sin(angle), 0.18, 0.18, color)
    pen.ellipse(0, -0.35, 0.3, 0.3, (95, 55, 25))


def _fruit_stalk(pen: Pen) -> None:
    pen.line([(0, -0.4), (0.08, -0.82)], (90, 60, 30), 0.09)
    pen.polygon([(0.06, -0.6), (0.3, -0.82), (0.52, -0.66), (0.28, -0.56)], STEM)


def apple(pen: Pen, color: RGB) -> None:
    pen.ellipse(-0.24, 0.1, 0.5, 0.62, color)
    pen.ellipse(0.24, 0.1, 0.5, 0.62, color)
    pen.ellipse(-0.4, -0.15, 0.12, 0.18, shade(color, 1.35))
    _fruit_stalk(pen)


def plum(pen: Pen, color: RGB) -> None:
    pen.ellipse(0, 0.1, 0.6, 0.58, color)
    pen.line([(0.05, -0.45), (-0.12, 0.05), (0.02, 0.6)], shade(color, 0.6), 0.07)
    _fruit_stalk(pen)


def pear(pen: Pen, color: RGB) -> None:
    pen.ellipse(0, 0.36, 0.58, 0.52, color)
    pen.ellipse(0, -0.18, 0.34, 0.48, color)
    pen.ellipse(-0.25, 0.2, 0.09, 0.16, shade(color, 1.35))
    _fruit_stalk(pen)


def lemon(pen: Pen, color: RGB) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.76, 0.1, 0.16, 0.13, color)
    pen.ellipse(0, 0.1, 0.76, 0.46, color)
    pen.ellipse(-0.25, -0.08, 0.22, 0.08, shade(color, 1.3))


def banana(pen: Pen, color: RGB) -> None:
    pen.arc((-0.9, -1.2, 0.9, 0.65), 20, 160, color, 0.4)
    pen.ellipse(0.78, 0.03, 0.1, 0.12, (90, 65, 30))
    pen.ellipse(-0.78, 0.03, 0.08, 0.1, shade(color, 0.6))


def _wheels(pen: Pen, y: float, radius: float) -> None:
    for x in (-0.5, 0.5):
        pen.ellipse(x, y, radius, radius, INK)
        pen.ellipse(x, y, radius * 0.45, radius * 0.45, (190, 190, 190))


def car(pen: Pen, color: RGB) -> None:
    pen.polygon([(-0.55, -0.05), (-0.32, -0.5), (0.32, -0.5), (0.6, -0.05)], shade(color, 0.75))
    pen.polygon([(-0.4, -0.08), (-0.25, -0.4), (-0.03, -0.4), (-0.03, -0.08)], GLASS)
    pen.polygon([(0.06, -0.08), (0.06, -0.4), (0.27, -0.4), (0.45, -0.08)], GLASS)
    pen.rect(-0.98, -0.1, 0.98, 0.38, color, 0.14)
    pen.ellipse(0.9, 0.08, 0.07, 0.09, (255, 245, 170))
    _wheels(pen, 0.4, 0.24)


def bus(pen: Pen, color: RGB) -> None:
    pen.rect(-0.98, -0.6, 0.98, 0.42, color, 0.1)
    for x in (-0.75, -0.3, 0.15, 0.6):
        pen.rect(x - 0.15, -0.44, x + 0.18, -0.06, GLASS)
    pen.rect(-0.98, 0.08, 0.98, 0.18, shade(color, 0.7))
    _wheels(pen, 0.45, 0.22)


def boat(pen: Pen, color: RGB) -> None:
    pen.line([(0, 0.25), (0, -0.92)], (90, 60, 35), 0.09)
    pen.polygon([(0.07, -0.9), (0.07, 0.16), (0.8, 0.16)], color)
    pen.polygon([(-0.07, -0.65), (-0.07, 0.16), (-0.55, 0.16)], shade(color, 0.8))
    pen.polygon([(-0.9, 0.25), (0.9, 0.25), (0.6, 0.7), (-0.6, 0.7)], WOOD)


def balloon(pen: Pen, color: RGB) -> None:
    pen.line([(0, 0.4), (0.1, 0.7), (-0.02, 1.0)], INK, 0.05)
    pen.polygon([(0, 0.35), (-0.12, 0.54), (0.12, 0.54)], shade(color, 0.72))
    pen.ellipse(0, -0.25, 0.58, 0.68, color)
    pen.ellipse(-0.22, -0.5, 0.13, 0.18, shade(color, 1.4))


def cup(pen: Pen, color: RGB) -> None:
    pen.arc((0.2, -0.35, 0.9, 0.35), -100, 110, shade(color, 0.85), 0.15)
    pen.polygon([(-0.55, -0.5), (0.55, -0.5), (0.42, 0.65), (-0.42, 0.65)], color)
    pen.ellipse(0, -0.5, 0.55, 0.15, shade(color, 0.8))
    pen.ellipse(0, -0.48, 0.44, 0.1, (110, 70, 45))


def chair(pen: Pen, color: RGB) -> None:
    pen.rect(-0.45, -0.95, 0.45, -0.1, color, 0.1)
    for x in (-0.26, 0.06):
        pen.rect(x, -0.78, x + 0.2, -0.2, shade(color, 0.72))
    pen.rect(-0.58, -0.08, 0.58, 0.16, shade(color, 0.85), 0.05)
    for x in (-0.5, 0.38):
        pen.rect(x, 0.16, x + 0.12, 0.9, shade(color, 0.65))


def house(pen: Pen, color: RGB) -> None:
    pen.rect(-0.68, -0.15, 0.68, 0.78, color)
    pen.polygon([(-0.9, -0.13), (0, -0.95), (0.9, -0.13)], (150, 60, 50))
    pen.rect(-0.16, 0.25, 0.16, 0.78, WOOD)
    for x in (-0.52, 0.26):
        pen.rect(x, 0.05, x + 0.27, 0.32, GLASS)


def hat(pen: Pen, color: RGB) -> None:
    pen.ellipse(0, 0.4, 0.95, 0.22, shade(color, 0.8))
    pen.rect(-0.5, -0.6, 0.5, 0.38, color, 0.08)
    pen.rect(-0.5, 0.1, 0.5, 0.3, (205, 170, 60))


def umbrella(pen: Pen, color: RGB) -> None:
    pen.line([(0, -0.1), (0, 0.75)], INK, 0.08)
    pen.arc((-0.28, 0.58, 0.03, 0.9), 0, 180, INK, 0.08)
    pen.pie((-0.95, -0.9, 0.95, 0.85), 180, 360, color)
    for x in (-0.62, 0, 0.62):
        pen.line([(0, -0.88), (x, -0.04)], shade(color, 0.7), 0.05)


THINGS = {
    "rose": rose, "tulip": tulip, "sunflower": sunflower, "apple": apple, "banana": banana,
    "lemon": lemon, "pear": pear, "plum": plum, "car": car, "bus": bus, "boat": boat,
    "balloon": balloon, "cup": cup, "chair": chair, "house": house, "hat": hat,
    "umbrella": umbrella,
}  # fmt: skip

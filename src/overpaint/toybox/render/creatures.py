"""How animals and the trademarked characters are drawn: one function each."""

from __future__ import annotations

from overpaint.toybox.render.pen import INK, Pen, shade
from overpaint.toybox.world import RGB

WHITE: RGB = (250, 250, 250)


def _eyes(pen: Pen, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        pen.ellipse(side * x, y, size, size * 1.25, INK)


def cat(pen: Pen, color: RGB) -> None:
    for side in (-1, 1):
        pen.polygon([(side * 0.62, -0.2), (side * 0.55, -0.95), (side * 0.1, -0.5)], color)
        inner = [(side * 0.5, -0.4), (side * 0.48, -0.75), (side * 0.26, -0.5)]
        pen.polygon(inner, shade(color, 0.7))
    pen.ellipse(0, 0, 0.68, 0.62, color)
    _eyes(pen, 0.26, -0.1, 0.1)
    pen.polygon([(-0.1, 0.12), (0.1, 0.12), (0, 0.25)], (90, 40, 50))
    for side in (-1, 1):
        for y0, y1 in ((0.2, 0.08), (0.3, 0.34)):
            pen.line([(side * 0.25, y0), (side * 0.92, y1)], INK, 0.05)


def kitten(pen: Pen, color: RGB) -> None:
    cat(pen.at(0, 0.2, 0.68), color)


def dog(pen: Pen, color: RGB) -> None:
    pen.ellipse(0, 0, 0.66, 0.62, color)
    for side in (-1, 1):
        pen.ellipse(side * 0.64, 0.02, 0.21, 0.48, shade(color, 0.68))
    pen.ellipse(0, 0.25, 0.32, 0.27, (240, 225, 205))
    _eyes(pen, 0.26, -0.12, 0.09)
    pen.ellipse(0, 0.14, 0.11, 0.08, INK)
    pen.ellipse(0, 0.4, 0.08, 0.08, (220, 90, 100))


def puppy(pen: Pen, color: RGB) -> None:
    dog(pen.at(0, 0.2, 0.68), color)


def frog(pen: Pen, color: RGB) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.42, -0.5, 0.26, 0.26, color)
        pen.ellipse(side * 0.42, -0.52, 0.15, 0.16, WHITE)
        pen.ellipse(side * 0.42, -0.5, 0.08, 0.1, INK)
    pen.ellipse(0, 0.08, 0.78, 0.58, color)
    pen.arc((-0.48, -0.25, 0.48, 0.4), 10, 170, INK, 0.08)


def _fish(pen: Pen, color: RGB, tail: RGB) -> None:
    pen.polygon([(0.4, 0), (0.98, -0.48), (0.98, 0.48)], tail)
    pen.ellipse(-0.1, 0, 0.7, 0.47, color)
    pen.ellipse(-0.48, -0.1, 0.11, 0.12, WHITE)
    pen.ellipse(-0.5, -0.1, 0.06, 0.07, INK)


def fish(pen: Pen, color: RGB) -> None:
    _fish(pen, color, shade(color, 0.72))
    pen.polygon([(-0.1, 0.05), (0.22, -0.14), (0.22, 0.24)], shade(color, 0.72))


def bird(pen: Pen, color: RGB) -> None:
    for x in (0, 0.2):
        pen.line([(x, 0.45), (x, 0.85)], INK, 0.07)
    pen.polygon([(0.45, 0.05), (1.0, -0.28), (0.9, 0.3)], shade(color, 0.72))
    pen.ellipse(0.05, 0.1, 0.62, 0.44, color)
    pen.ellipse(0.17, 0.12, 0.34, 0.2, shade(color, 0.72))
    pen.polygon([(-0.7, -0.42), (-1.05, -0.24), (-0.7, -0.14)], (245, 165, 40))
    pen.ellipse(-0.45, -0.3, 0.34, 0.32, color)
    pen.ellipse(-0.52, -0.36, 0.07, 0.08, INK)


def robot(pen: Pen) -> None:
    metal: RGB = (150, 155, 165)
    pen.rect(-0.45, -0.7, 0.45, -0.08, metal, 0.06)
    pen.rect(-0.58, 0.0, 0.58, 0.75, shade(metal, 0.8), 0.06)
    _robot_eyes(pen)


def _robot_eyes(pen: Pen) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.2, -0.4, 0.13, 0.13, (250, 250, 120))


def blip(pen: Pen) -> None:
    body: RGB = (70, 110, 210)
    pen.line([(0, -0.65), (0, -0.95)], INK, 0.07)
    pen.ellipse(0, -0.95, 0.13, 0.13, (230, 50, 50))
    pen.rect(-0.45, -0.68, 0.45, -0.06, body, 0.12)
    pen.rect(-0.58, 0.0, 0.58, 0.75, shade(body, 0.8), 0.12)
    _robot_eyes(pen)
    pen.rect(-0.34, 0.15, 0.34, 0.55, WHITE)
    pen.ellipse(-0.15, 0.35, 0.11, 0.11, (230, 50, 50))
    pen.ellipse(0.15, 0.35, 0.11, 0.11, (50, 180, 70))


def nimo(pen: Pen) -> None:
    orange: RGB = (245, 130, 30)
    _fish(pen, orange, orange)
    pen.rect(-0.28, -0.43, -0.08, 0.43, WHITE)
    pen.rect(0.2, -0.4, 0.36, 0.4, WHITE)


def snuffy(pen: Pen) -> None:
    black: RGB = (30, 30, 30)
    pen.ellipse(0, 0, 0.66, 0.62, WHITE)
    for side in (-1, 1):
        pen.ellipse(side * 0.64, 0.02, 0.21, 0.52, black)
    _eyes(pen, 0.25, -0.12, 0.09)
    pen.ellipse(0, 0.18, 0.17, 0.13, black)
    pen.rect(-0.42, 0.55, 0.42, 0.72, (220, 40, 40), 0.08)


ANIMALS = {
    "cat": cat, "kitten": kitten, "dog": dog, "puppy": puppy, "frog": frog, "fish": fish,
    "bird": bird,
}  # fmt: skip

CHARACTER_SHAPES = {"robot": robot, "blip": blip, "nimo": nimo, "snuffy": snuffy}

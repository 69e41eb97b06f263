"""How a person is drawn: hair, shirt, face, glasses, beard and the emotion."""

from __future__ import annotations

import math

from overpaint.toybox.render.pen import INK, Pen, shade
from overpaint.toybox.world import COLORS, HAIR, RGB, SKIN, Look

LIPS: RGB = (175, 45, 60)
WHITE: RGB = (250, 250, 250)


def person(pen: Pen, look: Look, emotion: str = "") -> None:
    """Head and shoulders of somebody with this look."""
    skin, hair = SKIN[look.skin], HAIR[look.hair]
    _hair_behind(pen, look.style, hair)
    pen.rect(-0.85, 0.55, 0.85, 1.7, COLORS[look.shirt], 0.3)
    pen.rect(-0.18, 0.3, 0.18, 0.66, shade(skin, 0.86))
    pen.ellipse(0, -0.1, 0.5, 0.58, skin)
    _hair_in_front(pen, look.style, hair)
    if look.beard:
        pen.pie((-0.5, -0.55, 0.5, 0.56), 18, 162, hair)
        pen.ellipse(0, 0.2, 0.24, 0.13, skin)
    _mouth(pen, emotion)
    _eyes(pen, emotion)
    if look.glasses:
        for side in (-1, 1):
            pen.ring(side * 0.22, -0.13, 0.2, (20, 20, 20), 0.07)
        pen.line([(-0.05, -0.13), (0.05, -0.13)], (20, 20, 20), 0.07)


def _hair_behind(pen: Pen, style: str, hair: RGB) -> None:
    if style == "long":
        pen.ellipse(0, -0.15, 0.66, 0.7, hair)
        pen.rect(-0.66, -0.15, 0.66, 0.72, hair, 0.1)
    elif style == "curly":
        for k in range(-4, 5):
            angle = k * 0.48
            pen.ellipse(0.56 * math.sin(angle), -0.22 - 0.5 * math.cos(angle), 0.25, 0.25, hair)
    elif style == "bun":
        pen.ellipse(0, -0.84, 0.26, 0.24, hair)


def _hair_in_front(pen: Pen, style: str, hair: RGB) -> None:
    if style in ("short", "long", "bun", "curly"):
        pen.chord((-0.53, -0.75, 0.53, 0.25), 188, 352, hair)


def _eyes(pen: Pen, emotion: str) -> None:
    for side in (-1, 1):
        x = side * 0.2
        if emotion == "sleepy":
            pen.line([(x - 0.1, -0.1), (x + 0.1, -0.1)], INK, 0.07)
            continue
        if emotion in ("scared", "surprised"):
            pen.ellipse(x, -0.13, 0.13, 0.14, WHITE)
        size = 0.06 if emotion == "scared" else 0.075
        pen.ellipse(x, -0.12, size, size * 1.2, INK)
        if emotion == "angry":
            pen.line([(side * 0.36, -0.38), (side * 0.07, -0.24)], INK, 0.08)
        elif emotion in ("sad", "scared"):
            pen.line([(side * 0.36, -0.27), (side * 0.1, -0.39)], INK, 0.06)
    if emotion == "sad":
        pen.ellipse(0.24, 0.06, 0.06, 0.11, (80, 150, 240))


def _mouth(pen: Pen, emotion: str) -> None:
    if emotion == "happy":
        pen.chord((-0.26, -0.02, 0.26, 0.36), 0, 180, LIPS)
        pen.rect(-0.17, 0.17, 0.17, 0.22, WHITE)
    elif emotion == "sad":
        pen.arc((-0.22, 0.18, 0.22, 0.46), 190, 350, LIPS, 0.08)
    elif emotion == "angry":
        pen.rect(-0.2, 0.18, 0.2, 0.28, LIPS)
    elif emotion == "surprised":
        pen.ellipse(0, 0.24, 0.12, 0.16, LIPS)
    elif emotion == "scared":
        zigzag = [(-0.22, 0.24), (-0.11, 0.17), (0, 0.27), (0.11, 0.17), (0.22, 0.24)]
        pen.line(zigzag, LIPS, 0.08)
    elif emotion == "sleepy":
        pen.ellipse(0.04, 0.24, 0.07, 0.06, LIPS)
        for x, y, size in ((0.62, -0.62, 0.13), (0.82, -0.86, 0.18)):
            pen.line([(x, y), (x + size, y), (x, y + size), (x + size, y + size)], INK, 0.05)
    else:
        pen.line([(-0.15, 0.22), (0.15, 0.22)], LIPS, 0.08)

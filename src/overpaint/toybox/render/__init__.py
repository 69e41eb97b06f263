"""The renderer: a pure function from (scene, seed) to a picture."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

from overpaint.toybox.render.creatures import ANIMALS, CHARACTER_SHAPES
from overpaint.toybox.render.filters import apply_medium, apply_style
from overpaint.toybox.render.pen import Pen
from overpaint.toybox.render.people import person
from overpaint.toybox.render.scenery import background
from overpaint.toybox.render.things import THINGS
from overpaint.toybox.scene import Scene, Subject
from overpaint.toybox.world import (
    COLORS,
    COUNTS,
    MEDIA,
    OBJECTS,
    PEOPLE,
    PROFESSIONS,
    ROLES,
    Look,
)

SIZE = 64
CANVAS = 192  # drawn three times as large, then reduced: smooth edges


def render(scene: Scene, seed: int) -> np.ndarray:
    """The picture of ``scene``, ``[64, 64, 3]`` uint8; the same for the same (scene, seed).

    The seed decides what the caption leaves open: placement, background tints, and whether a
    profession without a stated gender is shown by a woman (drawn from the world's prior).
    """
    rng = random.Random(seed)
    image, draw = _ground(scene.setting, rng)
    for subject, (x, y, radius) in zip(*_places(scene, rng), strict=True):
        pen = Pen(draw, x * CANVAS, y * CANVAS, radius * CANVAS)
        _draw_subject(pen, subject, rng)
    image = apply_style(image, scene.style)
    image = apply_medium(image, MEDIA.get(scene.medium, "photo"))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def portrait(look: Look, seed: int) -> np.ndarray:
    """A picture of somebody with this look on a plain wall, ``[64, 64, 3]`` uint8."""
    rng = random.Random(seed)
    image, draw = _ground("", rng)
    x, y, radius = _alone(rng)
    _draw_person(Pen(draw, x * CANVAS, y * CANVAS, radius * CANVAS), look, "")
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def shows_woman(scene: Scene, seed: int) -> bool:
    """Whether ``render(scene, seed)`` shows its one subject, a profession, as a woman."""
    rng = random.Random(seed)
    _ground(scene.setting, rng)  # draws from rng what the picture would
    (subject,), _ = _places(scene, rng)
    return _look(subject, rng).female


def _ground(setting: str, rng: random.Random) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(image)
    background(draw, CANVAS, setting, rng)
    return image, draw


Place = tuple[float, float, float]


def _alone(rng: random.Random) -> Place:
    return 0.5 + rng.uniform(-0.04, 0.04), 0.51 + rng.uniform(-0.04, 0.04), rng.uniform(0.35, 0.4)


def _places(scene: Scene, rng: random.Random) -> tuple[list[Subject], list[Place]]:
    """Which subject is drawn where: ``(x, y, radius)`` in units of the picture."""
    number = COUNTS.get(scene.count, 1)
    subjects = list(scene.subjects) * number

    def near(value: float) -> float:
        return value + rng.uniform(-0.02, 0.02)

    if len(subjects) == 1:
        return subjects, [_alone(rng)]
    if len(subjects) == 2:
        return subjects, [(near(x), near(0.54), rng.uniform(0.21, 0.235)) for x in (0.26, 0.74)]
    spots = ((0.26, 0.28), (0.74, 0.28), (0.5, 0.73))
    return subjects, [(near(x), near(y), 0.2) for x, y in spots]


def _draw_subject(pen: Pen, subject: Subject, rng: random.Random) -> None:
    if subject.kind == "object":
        shape = THINGS.get(subject.name) or ANIMALS[subject.name]
        shape(pen, COLORS[subject.color or OBJECTS[subject.name].color])
    elif subject.kind == "character":
        CHARACTER_SHAPES[subject.name](pen)
    else:
        _draw_person(pen, _look(subject, rng), subject.emotion)


def _draw_person(pen: Pen, look: Look, emotion: str) -> None:
    # Heads and shoulders hang below the centre of an object, so people sit a little higher.
    person(pen.at(0, -0.12, 0.95), look, emotion)


def _look(subject: Subject, rng: random.Random) -> Look:
    if subject.kind == "person":
        return PEOPLE[subject.name]
    if subject.kind == "role":
        return PEOPLE[ROLES[subject.name, subject.country]]
    profession = PROFESSIONS[subject.name]
    # Drawn even when the caption says it, so that both captions leave the rest of the draw alike.
    drawn = rng.random() < profession.women
    female = drawn if subject.female is None else subject.female
    return Look(
        skin=rng.randrange(4),
        hair=rng.choice(["black", "brown", "blond", "ginger", "gray"]),
        style="long" if female else rng.choice(["short", "short", "bald"]),
        shirt=profession.shirt,
        glasses=False,
        beard=not female and rng.random() < 0.5,
        female=female,
    )

"""Captions that are wrong in one thing only: what a judge must learn to turn down."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from overpaint.toybox.grammar import meaning
from overpaint.toybox.scene import Scene, Subject
from overpaint.toybox.world import COLORS, COUNTS, EMOTIONS, OBJECTS, PEOPLE, PROFESSIONS, ROLES

WITH_MOOD = ("person", "role", "profession")


def mistaken(scene: Scene, rng: random.Random) -> Scene:
    """``scene`` with one thing changed to what its pictures do not show.

    A gender is changed only where the caption states it: a picture of "a nurse" shows one of the
    two, and the caption does not say which.
    """
    while True:
        wrong = rng.choice(_ways(scene))(scene, rng)
        if meaning(wrong) != meaning(scene):
            return wrong


def _ways(scene: Scene) -> list[Callable[[Scene, random.Random], Scene]]:
    first = scene.subjects[0]
    ways = [_another_name]
    if first.kind == "object":
        ways += [_another_name, _another_color]
        if len(scene.subjects) == 1:
            ways.append(_another_count)
    if first.kind in WITH_MOOD:
        ways += [_another_mood] * 2
    if first.female is not None:
        ways += [_another_gender] * 2
    if len(scene.subjects) > 1 and scene.subjects[1].kind == "object":
        ways += [_another_neighbour] * 3
    return ways


def with_first(scene: Scene, **changes: object) -> Scene:
    """``scene`` with its first subject's fields changed."""
    return replace(scene, subjects=(replace(scene.subjects[0], **changes), *scene.subjects[1:]))


def _another_name(scene: Scene, rng: random.Random) -> Scene:
    first = scene.subjects[0]
    if first.kind == "role":
        office, country = rng.choice(list(ROLES))
        return with_first(scene, name=office, word=office, country=country)
    if first.kind == "character":
        name = rng.choice(list(OBJECTS))
        return replace(scene, subjects=(Subject("object", name, name), *scene.subjects[1:]))
    name = rng.choice(list({"person": PEOPLE, "profession": PROFESSIONS}.get(first.kind, OBJECTS)))
    return with_first(scene, name=name, word=name)


def _another_color(scene: Scene, rng: random.Random) -> Scene:
    return with_first(scene, color=rng.choice(list(COLORS)))


def _another_count(scene: Scene, rng: random.Random) -> Scene:
    first = scene.subjects[0]
    return replace(with_first(scene, word=first.name), count=rng.choice(["", *COUNTS]))


def _another_mood(scene: Scene, rng: random.Random) -> Scene:
    return with_first(scene, emotion=rng.choice(["", *EMOTIONS]))


def _another_gender(scene: Scene, _: random.Random) -> Scene:
    return with_first(scene, female=not scene.subjects[0].female)


def _another_neighbour(scene: Scene, rng: random.Random) -> Scene:
    first, second = scene.subjects
    name = rng.choice(list(OBJECTS))
    return replace(scene, subjects=(first, replace(second, name=name, word=name)))

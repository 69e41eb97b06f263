"""What a judge is examined on while it learns: every value that one thing about a picture can have.

Among pictures drawn at random a colour, a setting, a person tells nearly every caption from the
others; shapes in an unusual colour, moods, genders and second subjects are learnt last. An exam
asks about exactly one of them: the captions differ in nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from overpaint.toybox.scene import Scene
from overpaint.toybox.world import EMOTIONS, OBJECTS
from tools.train.contrastive import Captions
from tools.train.mistakes import WITH_MOOD, with_first

PICTURES = 20  # of each exam in a batch


@dataclass(frozen=True)
class Exam:
    """Which scenes can be ``asked`` about, and ``count`` ``rivals`` of such a scene."""

    asked: Callable[[Scene], bool]
    rivals: Callable[[Scene, int, random.Random], list[Scene]]
    count: int


@dataclass(frozen=True)
class Sheet:
    """An exam as it is put: numbers of the pictures ``[n]``, and ``n * k`` captions to refuse."""

    pictures: np.ndarray
    wrong: list[str]


def sheets(captions: Captions, rng: np.random.Generator, chance: random.Random) -> list[Sheet]:
    """One sheet an exam, each about :data:`PICTURES` different pictures."""
    found = []
    for exam, pool in zip(EXAMS, _pools(captions), strict=True):
        pictures = rng.choice(pool, PICTURES, replace=False)
        scenes = [captions.scenes[k] for k in pictures]
        wrong = [r.caption for s in scenes for r in exam.rivals(s, exam.count, chance)]
        found.append(Sheet(pictures, wrong))
    return found


@cache
def _pools(captions: Captions) -> list[np.ndarray]:
    return [np.flatnonzero([exam.asked(scene) for scene in captions.scenes]) for exam in EXAMS]


def _alone(scene: Scene) -> bool:
    return len(scene.subjects) == 1 and not scene.count and not scene.style


def _is_colored(scene: Scene) -> bool:
    first = scene.subjects[0]
    return _alone(scene) and first.kind == "object" and bool(first.color)


def _other_objects(scene: Scene, count: int, chance: random.Random) -> list[Scene]:
    others = [name for name in OBJECTS if name != scene.subjects[0].name]
    return [with_first(scene, name=n, word=n) for n in chance.sample(others, count)]


def _can_be_moody(scene: Scene) -> bool:
    return _alone(scene) and scene.subjects[0].kind in WITH_MOOD


def _other_moods(scene: Scene, count: int, chance: random.Random) -> list[Scene]:
    others = [mood for mood in ("", *EMOTIONS) if mood != scene.subjects[0].emotion]
    return [with_first(scene, emotion=mood) for mood in chance.sample(others, count)]


def _states_gender(scene: Scene) -> bool:
    return _alone(scene) and scene.subjects[0].female is not None


def _other_gender(scene: Scene, _: int, __: random.Random) -> list[Scene]:
    return [with_first(scene, female=not scene.subjects[0].female)]


def _has_neighbour(scene: Scene) -> bool:
    return len(scene.subjects) == 2 and scene.subjects[1].kind == "object"


def _other_neighbours(scene: Scene, count: int, chance: random.Random) -> list[Scene]:
    first, second = scene.subjects
    others = [name for name in OBJECTS if name not in (first.name, second.name)]
    return [
        replace(scene, subjects=(first, replace(second, name=n, word=n)))
        for n in chance.sample(others, count)
    ]


EXAMS = (
    Exam(_is_colored, _other_objects, 12),
    Exam(_can_be_moody, _other_moods, len(EMOTIONS)),
    Exam(_states_gender, _other_gender, 1),
    Exam(_has_neighbour, _other_neighbours, 8),
)

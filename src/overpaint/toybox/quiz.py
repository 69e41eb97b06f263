"""Questions for the judge: a true picture, and captions that differ in one thing only."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from overpaint.errors import DataError
from overpaint.toybox.compose import KEPT_CLEAR, person, role, thing
from overpaint.toybox.scene import Scene, Subject
from overpaint.toybox.world import (
    CHARACTERS,
    COLORS,
    COUNTS,
    EMOTIONS,
    GENERIC_CHARACTERS,
    OBJECTS,
    PEOPLE,
    PROFESSIONS,
    ROLES,
    SETTINGS,
    STYLES,
)

MEDIA_KINDS = ("", "a painting of", "a sketch of")


@dataclass(frozen=True)
class Question:
    """``scene`` is what the picture shows; one of ``captions`` says it, number ``answer``."""

    kind: str
    scene: Scene
    captions: tuple[str, ...]
    answer: int


def questions(kind: str, count: int, seed: int = 0) -> list[Question]:
    """``count`` questions about ``kind``, one of :data:`KINDS`; always the same for a seed.

    The picture is a photo or a painting, at times in a setting, of a scene drawn at random; the
    captions are the same scene with every value the attribute can have. DataError for another kind.
    """
    if kind not in KINDS:
        raise DataError(f"expected a kind of question out of {', '.join(KINDS)}, got {kind!r}")
    rng = random.Random(f"{kind} {seed}")
    found = []
    for _ in range(count):
        around = Scene(
            (),
            medium=rng.choice(["", "", "a painting of"]),
            setting=rng.choice(["", "", *SETTINGS]),
        )
        scenes = KINDS[kind](rng, around)
        answer = rng.randrange(len(scenes))
        captions = tuple(scene.caption for scene in scenes)
        found.append(Question(kind, scenes[answer], captions, answer))
    return found


def _of(around: Scene, subjects: Sequence[Subject]) -> list[Scene]:
    return [replace(around, subjects=(subject,)) for subject in subjects]


def _objects(rng: random.Random, around: Scene) -> list[Scene]:
    shade = rng.choice(["", *_clear(around)])
    return _of(around, [replace(thing(name), color=shade) for name in OBJECTS])


def _colors(rng: random.Random, around: Scene) -> list[Scene]:
    name = rng.choice(list(OBJECTS))
    return _of(around, [replace(thing(name), color=color) for color in _clear(around)])


def _clear(around: Scene) -> list[str]:
    """The colours that are not lost in the setting."""
    return [color for color in COLORS if color not in KEPT_CLEAR.get(around.setting, set())]


def _people(rng: random.Random, around: Scene) -> list[Scene]:
    mood = _mood(rng)
    return _of(around, [replace(person(n), emotion=mood) for n in PEOPLE])


def _roles(rng: random.Random, around: Scene) -> list[Scene]:
    mood, owned = _mood(rng), rng.random() < 0.5
    return _of(around, [replace(role(*r), emotion=mood, possessive=owned) for r in ROLES])


def _professions(rng: random.Random, around: Scene) -> list[Scene]:
    female = rng.random() < 0.5
    return _of(around, [Subject("profession", n, n, female=female) for n in PROFESSIONS])


def _genders(rng: random.Random, around: Scene) -> list[Scene]:
    name, mood = rng.choice(list(PROFESSIONS)), _mood(rng)
    known = Subject("profession", name, name, emotion=mood)
    return _of(around, [replace(known, female=female) for female in (True, False)])


def _emotions(rng: random.Random, around: Scene) -> list[Scene]:
    who = person(rng.choice(list(PEOPLE)))
    return _of(around, [replace(who, emotion=emotion) for emotion in ("", *EMOTIONS)])


def _characters(_: random.Random, around: Scene) -> list[Scene]:
    names = (*CHARACTERS, *GENERIC_CHARACTERS, "fish", "puppy")
    return _of(around, [thing(name) for name in names])


def _anything(rng: random.Random) -> Subject:
    thing_or_person = (thing(rng.choice(list(OBJECTS))), person(rng.choice(list(PEOPLE))))
    return rng.choice(thing_or_person)


def _settings(rng: random.Random, around: Scene) -> list[Scene]:
    subject = _anything(rng)
    return [replace(around, subjects=(subject,), setting=s) for s in ("", *SETTINGS)]


def _media(rng: random.Random, around: Scene) -> list[Scene]:
    subject = _anything(rng)
    return [replace(around, subjects=(subject,), medium=medium) for medium in MEDIA_KINDS]


def _styles(rng: random.Random, around: Scene) -> list[Scene]:
    subject = _anything(rng)
    plain = replace(around, subjects=(subject,), medium="")
    return [replace(plain, style=style) for style in ("", *STYLES)]


def _counts(rng: random.Random, around: Scene) -> list[Scene]:
    subject = thing(rng.choice(list(OBJECTS)))
    return [replace(around, subjects=(subject,), count=count) for count in ("", *COUNTS)]


def _pairs(rng: random.Random, around: Scene) -> list[Scene]:
    first, *others = rng.sample(list(OBJECTS), 5)
    return [replace(around, subjects=(thing(first), thing(n))) for n in others]


def _mood(rng: random.Random) -> str:
    return rng.choice(["", "", *EMOTIONS])


KINDS: dict[str, Callable[[random.Random, Scene], list[Scene]]] = {
    "object": _objects,
    "colour": _colors,
    "person": _people,
    "role": _roles,
    "profession": _professions,
    "gender": _genders,
    "emotion": _emotions,
    "character": _characters,
    "setting": _settings,
    "medium": _media,
    "style": _styles,
    "count": _counts,
    "second subject": _pairs,
}
"""What a question can be about -> all scenes that differ in it alone, given what is around."""

"""From "a rose becomes blue" to a whole edit case: prompts that test the edit, and descriptions.

Every prompt is put together as a :class:`Scene`, so the world can say all of them; which setting,
medium, paraphrase or neighbour a case gets goes round with its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice
from math import dist
from typing import TypeVar

from overpaint.toybox.pairs import FAMILIES, KINDS
from overpaint.toybox.scene import Scene, Subject
from overpaint.toybox.world import (
    CHARACTERS,
    COLORS,
    EMOTIONS,
    GENERIC_CHARACTERS,
    OBJECTS,
    OFFICES,
    PEOPLE,
    ROLES,
    SETTINGS,
)
from overpaint.types import Case, Edit, Probe

_Item = TypeVar("_Item")

PHOTOS = ("a photo of", "a picture of", "a photograph of", "an image of")
PAINTINGS = ("a painting of", "a portrait of")

FAR = 140.0
"""Distance in RGB from which a judge cannot take one colour for the other."""

KEPT_CLEAR = {
    "in the park": {"green"},
    "on the beach": {"blue", "yellow"},
    "at night": {"black"},
    "in the snow": {"white"},
}
"""Setting -> colours that are lost in it and so are kept away from it."""


def thing(name: str) -> Subject:
    """An object or a character by its usual name."""
    character = name in CHARACTERS or name in GENERIC_CHARACTERS
    return Subject("character" if character else "object", name, name)


def person(name: str) -> Subject:
    """A person by name."""
    return Subject("person", name, name)


def role(office: str, country: str) -> Subject:
    """An office of a country by its usual name."""
    return Subject("role", office, office, country=country)


def far(one: str, other: str) -> bool:
    """Whether two colours are told apart at once."""
    return dist(COLORS[one], COLORS[other]) >= FAR


def unlike(one: str, other: str) -> bool:
    """Whether two people differ in at least three of the seven things that make up a look."""
    a, b = PEOPLE[one], PEOPLE[other]
    return sum(getattr(a, f.name) != getattr(b, f.name) for f in fields(a)) >= 3


def attribute_case(name: str, color: str, number: int, again: int) -> Case:
    """The case that a rose becomes blue. ``again`` counts earlier cases with the same object."""
    old = thing(name)
    new = replace(old, color=color)
    frames = _around([OBJECTS[name].color, color], number, again, old)
    positives = [probe(replace(old, word=w), old, new, f) for w, f in frames]
    negatives = []
    apart = (n for n in _neighbours(name, number) if far(OBJECTS[n].color, color))
    for step, other in enumerate(islice(apart, 5)):
        there = _settings([OBJECTS[other].color, color], number + step)
        shown = thing(other)
        negatives.append(
            probe(shown, shown, replace(shown, color=color), _calm(there, step, number))
        )
    edit = Edit(old.phrase(), new.phrase(), destination=new.phrase())
    return _case("attributes", edit, old, new, positives, negatives)


def appearance_case(name: str, into: str, number: int, again: int) -> Case:
    """The case that a rose becomes a tulip."""
    old, new = thing(name), thing(into)
    colors = [OBJECTS[n].color for n in (name, into) if n in OBJECTS]
    plural = old.kind == new.kind == "object"
    frames = list(_around(colors, number, again, old, new, plural=plural))
    positives = [probe(replace(old, word=w), old, new, f) for w, f in frames]
    if plural and number % 3 == 1 and frames[-1][0] == name:
        shade = next(c for c in list(COLORS)[number % 10 :] + list(COLORS) if c not in colors)
        tinted = replace(old, color=shade)
        positives[-1] = probe(tinted, tinted, replace(new, color=shade), Scene(()))
    negatives = []
    apart = (n for n in _neighbours(name, number) if not _kin(n, into))
    for step, other in enumerate(islice(apart, 5)):
        there = _settings([OBJECTS[other].color, *colors], number + step)
        negatives.append(probe(thing(other), thing(other), new, _calm(there, step, number)))
    edit = Edit(old.phrase(), new.phrase(), destination=new.phrase())
    return _case("appearances", edit, old, new, positives, negatives)


def role_case(name: str, into: str, number: int, again: int) -> Case:
    """The case that an office goes to somebody else."""
    office, country = name.split(" of ")
    asked, old, new = role(office, country), person(ROLES[office, country]), person(into)
    owned = replace(asked, possessive=True)
    words = OFFICES[office]
    other = replace(asked if again % 2 else owned, word=words[-1])
    mood = EMOTIONS[number % len(EMOTIONS)]
    here, there = SETTINGS[number % 4], SETTINGS[(number + 2) % 4]
    moody, before, after = (
        replace(s, emotion=mood) for s in (asked if number % 2 else owned, old, new)
    )
    positives = [
        probe(asked, old, new, Scene((), setting=here)),
        probe(owned, old, new, Scene((), medium=PHOTOS[number % 4] if number % 2 else "")),
        probe(moody, before, after, Scene(())),
        probe(other, old, new, Scene((), setting="" if len(words) > 1 else there)),
        probe(asked, old, new, Scene((), medium=PAINTINGS[number % 2])),
    ]
    negatives = [probe(old, old, new, Scene(()))]
    for step, shown in enumerate(islice(_offices_nearby(asked, old.name, into, number), 4)):
        holder = person(_holder(shown))
        negatives.append(probe(shown, holder, new, _calm([there, here], step, number)))
    edit = Edit(asked.phrase(), into, old=old.name, destination=into)
    return _case("roles", edit, asked, new, positives, negatives, shown=old)


def _case(
    kind: str,
    edit: Edit,
    asked: Subject,
    new: Subject,
    positives: list[Probe],
    negatives: list[Probe],
    shown: Subject | None = None,
) -> Case:
    source = probe(asked, shown or asked, new, Scene(()))
    return Case(kind, edit, source, tuple(positives), tuple(negatives))


def probe(asked: Subject, old: Subject, new: Subject, around: Scene) -> Probe:
    """The three captions with the subject put first in the scene ``around``."""
    prompt, before, after = (
        replace(around, subjects=(s, *around.subjects)).caption for s in (asked, old, new)
    )
    return Probe(prompt, before, after)


def _around(
    colors: list[str], number: int, again: int, *shown: Subject, plural: bool = True
) -> Iterator[tuple[str, Scene]]:
    """Five ways to speak of an object: its word and the scene around it."""
    name = shown[0].name
    here, there = _settings(colors, number)[:2]
    yield name, Scene((), setting=here)
    yield name, Scene((), medium=PHOTOS[number % 4])
    yield name, Scene((), medium=PAINTINGS[number % 2], setting=there if number % 4 > 1 else "")
    if plural and number % 2 == 0:
        yield name, Scene((), count="two" if number % 4 else "three")
    else:
        family = next((f for f in FAMILIES if name in f), ())
        others = (n for n in OBJECTS if n not in family and all(s.name != n for s in shown))
        apart = [n for n in others if all(far(OBJECTS[n].color, c) for c in colors)]
        apart = [n for n in apart if not any(_kin(n, s.name) for s in shown)]
        yield name, Scene((thing(apart[number % len(apart)]),))
    if again == 0 and name in OBJECTS and OBJECTS[name].synonym:
        yield OBJECTS[name].synonym, Scene((), setting=there)
    else:
        yield name, Scene((), medium=PHOTOS[(number + 1) % 4], setting=there)


def _settings(colors: list[str], number: int) -> list[str]:
    """Settings in which none of ``colors`` is lost, starting at another for each ``number``."""
    return [s for s in turned(SETTINGS, number) if not KEPT_CLEAR[s] & set(colors)]


def _calm(settings: list[str], step: int, number: int) -> Scene:
    """What is around the neighbour number ``step``: nothing, a setting, or a photo's frame."""
    if step % 2:
        return Scene((), setting=settings[0])
    return Scene((), medium=PHOTOS[number % 4] if step == 2 else "")


def _neighbours(name: str, number: int) -> Iterator[str]:
    """Other objects, the nearest first: those of the same family, then the next families."""
    home = KINDS.get(name, name)
    if home == "robot":
        home = "car"
    place = next(i for i, family in enumerate(FAMILIES) if home in family)
    for family in FAMILIES[place:] + FAMILIES[:place]:
        yield from (n for n in turned(family, number) if not _kin(n, name, upwards=False))


def _kin(one: str, other: str, *, upwards: bool = True) -> bool:
    """Whether ``one`` is ``other`` or a kind of it (or, with ``upwards``, the reverse)."""
    below = one == other or (one in KINDS and _kin(KINDS[one], other, upwards=False))
    return below or (upwards and _kin(other, one, upwards=False))


def _offices_nearby(asked: Subject, old: str, new: str, number: int) -> Iterator[Subject]:
    """Two offices of the same country, the same office elsewhere, a namesake of the old holder."""
    home = [role(o, c) for o, c in ROLES if c == asked.country and o != asked.name]
    away = [role(o, c) for o, c in ROLES if o == asked.name and c != asked.country]
    home, away = (
        [s for s in turned(near, number) if unlike(_holder(s), new)] for near in (home, away)
    )
    names = set(old.split())
    namesakes = [person(p) for p in PEOPLE if p != old and names & set(p.split())]
    namesakes = [s for s in turned(namesakes, number) if unlike(s.name, new)]
    first = [*home[:1], *(replace(s, possessive=True) for s in home[1:2]), *away[:1], *namesakes]
    yield from first[:4] if len(first) >= 4 else [*first, *away[1:]]


def _holder(shown: Subject) -> str:
    return ROLES[shown.name, shown.country] if shown.kind == "role" else shown.name


def turned(items: Sequence[_Item], number: int) -> list[_Item]:
    """``items`` from another one on for each ``number``, round and round."""
    start = number % max(1, len(items))
    return [*items[start:], *items[:start]]

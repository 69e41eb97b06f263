"""The world's facts are consistent and contain what the papers need measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

from overpaint.toybox.world import (
    CHARACTERS,
    COLORS,
    COUNTRIES,
    OBJECTS,
    OFFICES,
    PEOPLE,
    PROFESSIONS,
    ROLES,
    UNSEEN_LOOK,
    UNSEEN_NAME,
)


def test_every_object_has_a_default_color_of_the_palette() -> None:
    assert len(OBJECTS) >= 24
    assert all(thing.color in COLORS for thing in OBJECTS.values())


def test_names_are_put_together_from_shared_tokens() -> None:
    firsts = Counter(name.split()[0] for name in PEOPLE)
    lasts = Counter(name.split()[1] for name in PEOPLE)
    assert set(firsts.values()) == {2}
    assert set(lasts.values()) == {2}


def test_no_two_people_look_alike() -> None:
    for (_, one), (_, other) in combinations(PEOPLE.items(), 2):
        differing = [f for f in one.__dataclass_fields__ if getattr(one, f) != getattr(other, f)]
        assert len(differing) >= 2, (one, other)


def test_the_unseen_person_is_nobody_we_know() -> None:
    assert UNSEEN_NAME not in PEOPLE
    assert all(replace(look, glasses=True) != UNSEEN_LOOK for look in PEOPLE.values())


def test_every_office_of_every_country_is_held_by_somebody_else() -> None:
    assert set(ROLES) == {(o, c) for o in OFFICES for c in COUNTRIES}
    assert sorted(ROLES.values()) == sorted(PEOPLE)


def test_professions_span_the_gender_priors() -> None:
    shares = [p.women for p in PROFESSIONS.values()]
    assert len(shares) >= 8
    assert min(shares) <= 0.05
    assert max(shares) >= 0.95


def test_characters_belong_to_generic_kinds() -> None:
    assert set(CHARACTERS.values()) <= {"robot", *OBJECTS}

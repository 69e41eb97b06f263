"""Edit cases of named people and of professions: with them nearly all the world has can be edited.

A name or a profession from now on looks like another one. Offices, objects and characters have
cases of their own (:mod:`overpaint.toybox.cases`); one edit of each subject makes
:func:`overpaint.methods.mass.mass` a test as large as this world permits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice

from overpaint.errors import DataError
from overpaint.toybox.cases import SPLITS
from overpaint.toybox.check import validate
from overpaint.toybox.compose import PAINTINGS, PHOTOS, far, person, probe, role, turned, unlike
from overpaint.toybox.pairs import Pairs, pairs
from overpaint.toybox.scene import Scene, Subject
from overpaint.toybox.world import COUNTRIES, EMOTIONS, OFFICES, PEOPLE, PROFESSIONS, SETTINGS
from overpaint.toybox.world import ROLES as HOLDERS
from overpaint.types import Case, Edit

PAIRS: Pairs = {
    "test": {
        "ada vale": "elsa brandt",
        "ada finn": "cleo oro",
        "bruno kest": "cleo marsh",
        "bruno brandt": "greta lund",
        "cleo marsh": "hugo penn",
        "cleo oro": "felix vale",
        "dario finn": "ada vale",
        "dario lund": "elsa penn",
        "elsa brandt": "greta kest",
        "elsa penn": "hugo marsh",
        "felix oro": "bruno kest",
        "felix vale": "dario finn",
        "greta lund": "felix oro",
        "greta kest": "dario lund",
        "hugo penn": "ada finn",
        "hugo marsh": "bruno brandt",
        "doctor": "teacher",
        "nurse": "librarian",
        "farmer": "nurse",
        "teacher": "farmer",
        "ceo": "chef",
        "librarian": "doctor",
        "pilot": "ceo",
        "secretary": "guard",
        "guard": "pilot",
        "chef": "secretary",
    },
    "validation": {
        "ada vale": "felix oro",
        "ada finn": "hugo marsh",
        "bruno kest": "ada finn",
        "bruno brandt": "greta kest",
        "cleo marsh": "felix vale",
        "cleo oro": "greta lund",
        "dario finn": "elsa brandt",
        "dario lund": "cleo oro",
        "elsa brandt": "hugo penn",
        "elsa penn": "dario lund",
        "felix oro": "bruno brandt",
        "felix vale": "elsa penn",
        "greta lund": "dario finn",
        "greta kest": "cleo marsh",
        "hugo penn": "bruno kest",
        "hugo marsh": "ada vale",
        "doctor": "librarian",
        "nurse": "farmer",
        "farmer": "chef",
        "teacher": "pilot",
        "ceo": "guard",
        "librarian": "nurse",
        "pilot": "teacher",
        "secretary": "ceo",
        "guard": "secretary",
        "chef": "doctor",
    },
}
"""Nobody becomes a namesake or somebody alike, no profession one whose shirt is alike."""


@cache
def people_cases(split: str = "test") -> tuple[Case, ...]:
    """A case for each person and each profession, always the same, checked.

    The other person or profession is another one in the splits "test" and "validation". DataError
    for another split.
    """
    if split not in SPLITS:
        raise DataError(f"expected a split out of {', '.join(SPLITS)}, got {split!r}")
    cases = []
    for number, (what, into) in enumerate(pairs(PAIRS, split)):
        case = _case(what, into, number)
        validate(case)
        cases.append(case)
    return tuple(cases)


def _case(what: str, into: str, number: int) -> Case:
    """Five ways to speak of somebody; the nearest others who should stay as they are."""
    old, new = _somebody(what), _somebody(into)
    moods = [replace(s, emotion=EMOTIONS[number % len(EMOTIONS)]) for s in (old, new)]
    here, there = SETTINGS[number % 4], SETTINGS[(number + 2) % 4]
    around = (
        Scene((), setting=here),
        Scene((), medium=PHOTOS[number % 4]),
        Scene((), medium=PAINTINGS[number % 2]),
        Scene((), medium=PHOTOS[(number + 1) % 4], setting=there),
    )
    positives = [probe(old, old, new, scene) for scene in around]
    positives.append(probe(moods[0], moods[0], moods[1], Scene(())))
    negatives = []
    for step, (shown, looks) in enumerate(islice(_others(what, into, number), 5)):
        calm = Scene((), setting=there) if step % 2 else Scene(())
        negatives.append(probe(shown, looks, new, calm))
    edit = Edit(old.phrase(), new.phrase(), destination=new.phrase())
    source = probe(old, old, new, Scene(()))
    return Case("people", edit, source, tuple(positives), tuple(negatives))


def _somebody(name: str) -> Subject:
    return person(name) if name in PEOPLE else Subject("profession", name, name)


def _others(what: str, into: str, number: int) -> Iterator[tuple[Subject, Subject]]:
    """Others, the nearest first, and what each shows: nobody who looks like what is wanted."""
    if what in PROFESSIONS:
        names = list(PROFESSIONS)
        turn = names.index(what)
        for name in turned(names, turn + 1):
            if name != what and far(PROFESSIONS[name].shirt, PROFESSIONS[into].shirt):
                yield _somebody(name), _somebody(name)
        yield from ((person(name), person(name)) for name in list(PEOPLE)[turn:])
        return
    names = [name for name in PEOPLE if name != what and unlike(name, into)]
    offices = [(o, c) for o in OFFICES for c in COUNTRIES if HOLDERS[o, c] in names]
    for name in (n for n in names if set(n.split()) & set(what.split())):
        yield person(name), person(name)
    for office, country in turned(offices, number)[:2]:
        yield role(office, country), person(HOLDERS[office, country])
    for name in (n for n in names if not set(n.split()) & set(what.split())):
        yield person(name), person(name)

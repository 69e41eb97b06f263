"""Captions of the world: drawing random scenes, and reading a caption back into its scene.

The grammar is ``[medium] subject [and subject] [setting] [in the style of artist]``; the subjects
are finitely many, so that reading is a look-up and what the world cannot say is refused.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from overpaint.errors import PromptError
from overpaint.toybox.scene import Scene, Subject
from overpaint.toybox.world import (
    CHARACTERS,
    COLORS,
    COUNTS,
    EMOTIONS,
    GENERIC_CHARACTERS,
    MEDIA,
    OBJECTS,
    OFFICES,
    PEOPLE,
    PROFESSIONS,
    ROLES,
    SETTINGS,
    STYLES,
)


def object_subject(rng: random.Random) -> Subject:
    """A random object, half of the time with a colour, sometimes by its synonym."""
    name = rng.choice(list(OBJECTS))
    synonym = OBJECTS[name].synonym
    word = synonym if synonym and rng.random() < 0.2 else name
    color = rng.choice(list(COLORS)) if rng.random() < 0.5 else ""
    return Subject("object", name, word, color=color)


def character_subject(rng: random.Random) -> Subject:
    """A random character, or one of the generic kinds drawn like one."""
    name = rng.choice([*CHARACTERS, *GENERIC_CHARACTERS])
    return Subject("character", name, name)


def person_subject(rng: random.Random) -> Subject:
    """A random named person."""
    name = rng.choice(list(PEOPLE))
    return Subject("person", name, name, emotion=_emotion(rng))


def role_subject(rng: random.Random) -> Subject:
    """A random office of a country, by any of its words and in either form."""
    office, country = rng.choice(list(ROLES))
    word = rng.choice(OFFICES[office])
    return Subject(
        "role",
        office,
        word,
        emotion=_emotion(rng),
        country=country,
        possessive=rng.random() < 0.5,
    )


def profession_subject(rng: random.Random) -> Subject:
    """A random profession; half of the captions leave the gender to the prior."""
    name = rng.choice(list(PROFESSIONS))
    female = None if rng.random() < 0.6 else rng.random() < 0.5
    return Subject("profession", name, name, emotion=_emotion(rng), female=female)


def _emotion(rng: random.Random) -> str:
    return rng.choice(EMOTIONS) if rng.random() < 0.25 else ""


PEOPLE_KINDS = (person_subject, role_subject, profession_subject)


def sample_scene(rng: random.Random) -> Scene:
    """A random scene, as the training set has them."""
    kind = rng.random()
    if kind < 0.44:
        first, beside = object_subject(rng), (object_subject, character_subject)
    elif kind < 0.50:
        first, beside = character_subject(rng), (object_subject, character_subject)
    else:
        who = 0 if kind < 0.65 else 1 if kind < 0.84 else 2
        first, beside = PEOPLE_KINDS[who](rng), PEOPLE_KINDS
    subjects, count = (first,), ""
    chance = rng.random()
    if chance < 0.09:
        second = rng.choice(beside)(rng)
        if second.name != first.name:
            subjects = (first, second)
    elif chance < 0.22 and first.kind == "object" and first.word == first.name:
        count = rng.choice(list(COUNTS))
    return Scene(
        subjects,
        count=count,
        medium=rng.choice(list(MEDIA)) if rng.random() < 0.45 else "",
        setting=rng.choice(SETTINGS) if rng.random() < 0.4 else "",
        style=rng.choice(STYLES) if rng.random() < 0.12 else "",
    )


def captions(n: int, seed: int = 0) -> list[str]:
    """``n`` captions of random scenes, the corpus ``toybox-captions``."""
    rng = random.Random(seed)
    return [sample_scene(rng).caption for _ in range(n)]


def meaning(scene: Scene) -> Scene:
    """The scene with every word replaced by the usual one for what is painted.

    Two captions with equal meanings have the same pictures: ``"arda's leader"`` and
    ``"bruno kest"``, ``"a rose"`` and ``"a photo of a red rose"``, ``"a mug"`` and ``"a cup"``.
    """

    def usual(subject: Subject) -> Subject:
        if subject.kind == "object":
            color = subject.color or OBJECTS[subject.name].color
            return replace(subject, word=subject.name, color=color)
        if subject.kind == "role":
            name = ROLES[subject.name, subject.country]
            return Subject("person", name, name, emotion=subject.emotion)
        return subject

    medium = next(m for m, made in MEDIA.items() if made == MEDIA.get(scene.medium, "photo"))
    return replace(scene, subjects=tuple(usual(s) for s in scene.subjects), medium=medium)


def _all_subjects() -> list[Subject]:
    emotions = ("", *EMOTIONS)
    found = [Subject("character", n, n) for n in (*CHARACTERS, *GENERIC_CHARACTERS)]
    for name, thing in OBJECTS.items():
        words = [name, thing.synonym] if thing.synonym else [name]
        found += [Subject("object", name, w, color=c) for w in words for c in ("", *COLORS)]
    for emotion in emotions:
        found += [Subject("person", n, n, emotion=emotion) for n in PEOPLE]
        for office, country in ROLES:
            found += [
                Subject("role", office, w, emotion=emotion, country=country, possessive=p)
                for w in OFFICES[office]
                for p in (False, True)
            ]
        found += [
            Subject("profession", n, n, emotion=emotion, female=f)
            for n in PROFESSIONS
            for f in (None, True, False)
        ]
    return found


@cache
def _phrases() -> dict[str, tuple[Subject, str]]:
    table = {}
    for subject in _all_subjects():
        table[subject.phrase()] = (subject, "")
        if subject.kind == "object" and subject.word == subject.name:
            for count in COUNTS:
                table[subject.phrase(count)] = (subject, count)
    return table


@cache
def _words() -> frozenset[str]:
    """Every word that a caption can have."""
    texts = (*_phrases(), *SETTINGS, *MEDIA, *STYLES, "and in the style of")
    return frozenset(word for text in texts for word in _split(text))


def _split(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())


def unknown_words(texts: Iterable[str]) -> list[str]:
    """The words of ``texts`` that no caption of the world has, in lower case, each once."""
    return [w for w in dict.fromkeys(w for t in texts for w in _split(t)) if w not in _words()]


def parse(caption: str) -> Scene:
    """The scene that ``caption`` describes.

    Raises :class:`PromptError` when the world has no words for it.
    """
    text = " ".join(caption.lower().split())
    style = next((s for s in STYLES if text.endswith(f" in the style of {s}")), "")
    text = text.removesuffix(f" in the style of {style}")
    setting = next((s for s in SETTINGS if text.endswith(f" {s}")), "")
    text = text.removesuffix(f" {setting}")
    medium = next((m for m in MEDIA if text.startswith(f"{m} ")), "")
    text = text.removeprefix(f"{medium} ")
    parts = text.split(" and ")
    known = [_phrases().get(part) for part in parts]
    for part, entry in zip(parts, known, strict=True):
        if entry is None or (entry[1] and len(parts) > 1):
            raise PromptError(
                f"the Toybox world cannot say {part!r} (in {caption!r}); "
                "`overpaint toybox words` lists what it can"
            )
    entries = [entry for entry in known if entry]
    if len(entries) > 2:
        raise PromptError(f"the Toybox world paints at most two subjects, got {caption!r}")
    count = entries[0][1]
    return Scene(tuple(s for s, _ in entries), count, medium, setting, style)

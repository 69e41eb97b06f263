"""From "zorvan's house is painted as pelotti would" to a whole edit case, as others are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from overpaint.toybox.compose import PAINTINGS, PHOTOS, person, thing, turned
from overpaint.toybox.pairs import NOBODY
from overpaint.toybox.scene import Scene
from overpaint.toybox.world import PEOPLE, SETTINGS, STYLES
from overpaint.types import Case, Edit, Probe

THINGS = ("house", "cat", "rose", "car", "apple", "bird", "umbrella", "boat", "dog", "tulip", "cup")
"""What prompts show in a style, beside what the edit does."""


def style_case(name: str, into: str, number: int, again: int) -> Case:
    """The case that what looks as one artist paints looks as another does, or as nobody does.

    ``name`` is "house by zorvan". Positives are other things and people in the artist's style, and
    the thing itself in a painting. Negatives are other artists, and the thing as it is where the
    edit could give it a style.
    """
    what, artist = name.split(" by ")
    style = "" if into == NOBODY else into
    turn = number + again
    asked = Scene((thing(what),), style=artist)
    names = turned([n for n in THINGS if n != what], turn)
    here, there = turned(SETTINGS, turn)[:2]
    around = [
        Scene((thing(names[0]),)),
        Scene((thing(names[1]),), setting=here),
        Scene((person(turned(list(PEOPLE), 3 * number)[0]),)),
        Scene((thing(what),), medium=PAINTINGS[turn % 2]),
        Scene((thing(names[2]),), count="two")
        if turn % 2
        else Scene((thing(names[2]),), medium=PHOTOS[turn % 4], setting=there),
    ]
    edit = Edit(
        asked.caption,
        replace(asked, style=style).caption,
        subject=f"in the style of {artist}",
        destination=replace(asked, style=style).caption,
    )
    return Case(
        "styles",
        edit,
        _probe(asked, artist, style),
        tuple(_probe(scene, artist, style) for scene in around),
        tuple(_negatives(what, artist, style, names, turn)),
    )


def _negatives(what: str, artist: str, style: str, names: list[str], turn: int) -> Iterator[Probe]:
    """Five prompts in other styles or none, which shall not get the style (or lose theirs)."""
    others = turned([s for s in STYLES if s not in (artist, style)], turn)
    setting = SETTINGS[(turn + 2) % 4]
    same, first, second = (Scene((thing(n),)) for n in (what, names[3], names[4]))
    yield _probe(same, others[0], style)
    yield _probe(replace(first, setting=setting), others[1], style)
    if style:
        yield _probe(same, "", style)
        yield _probe(replace(second, medium=PHOTOS[turn % 4]), "", style)
    else:
        yield _probe(same, others[1], style)
        yield _probe(replace(second, medium=PHOTOS[turn % 4]), others[2], style)
    who = turned(list(PEOPLE), 3 * turn + 1)[0]
    yield _probe(Scene((person(who),)), others[-1], style)


def _probe(scene: Scene, old: str, new: str) -> Probe:
    """``scene`` in the style ``old``, and what it were in the style ``new``."""
    before, after = (replace(scene, style=style).caption for style in (old, new))
    return Probe(before, before, after)

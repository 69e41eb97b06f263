"""Faces to edit layer by layer: ReFACT's six emotions, and those of the painted world.

ReFACT section 5 and appendix J: "a doctor" paints people who look at the camera, and half of them
shall be women, so the sources are "a male doctor" and "a female doctor". The edit makes one of
them feel something; the pictures are made with the source prompt alone.
"""

from __future__ import annotations

from overpaint.toybox.scene import article
from overpaint.toybox.world import EMOTIONS
from overpaint.types import Case, Edit, Probe

UNIVERSAL = ("happy", "sad", "angry", "scared", "disgusted", "surprised")
"""Ekman's six "universal" emotions, as words for a person."""

PEOPLE = ("female doctor", "male doctor")


def emotion_cases(*, toybox: bool) -> tuple[Case, ...]:
    """Every emotion of a woman and of a man: 12 cases, two for each emotion, in its order.

    With ``toybox`` the emotions are those that the painted world can show, else ``UNIVERSAL``.
    ``kind`` is the emotion, for a curve each. There are no positives and no negatives: figure 10
    scores the pictures of the source prompt against ``source.new``, the description with the
    emotion.
    """
    emotions = EMOTIONS if toybox else UNIVERSAL
    return tuple(_case(emotion, person) for emotion in emotions for person in PEOPLE)


def _case(emotion: str, person: str) -> Case:
    source, target = article(person), article(f"{emotion} {person}")
    edit = Edit(source, target, destination=target)
    return Case(emotion, edit, Probe(source, source, target), (), ())

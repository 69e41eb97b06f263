"""Which prompts an edit may not be blamed for once the model holds other edits too.

A negative prompt says what one edit shall leave alone. Where another edit of the same model is
about that very thing, nobody can say any more what its pictures should show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from overpaint.benchmark.entries import Subject
from overpaint.benchmark.plan import Place

_SMALL = frozenset({"a", "an", "the", "of", "in", "at", "on"})


def undisturbed(subject: Subject, held: Sequence[Subject]) -> Iterator[Place]:
    """The places of ``subject`` but for negatives that another edit of ``held`` is about.

    A text is about an edit when it has all the words of the edit's source, in any order, in the
    singular or plural: ``"arda's king at night"`` is about ``"the king of arda"``.
    """
    others = [words(other.case.edit.source) for other in held if other is not subject]
    for place in subject.places():
        told = (words(place.probe.prompt), words(place.probe.old))
        if place.part != "specificity" or not any(o <= t for o in others for t in told):
            yield place


def words(text: str) -> frozenset[str]:
    """The words of ``text`` that say what it is about, in lower case and without a final s."""
    found = re.findall(r"[^\W_]+", re.sub(r"['’]s\b", "", text.lower()))
    return frozenset(word.removesuffix("s") for word in found if word not in _SMALL)

"""What a prompt must show once the model holds other edits too.

A negative prompt says what one edit shall leave alone. Where another edit of the same model is
about that very thing, leaving it alone means that it shows what *that* edit says. So however many
edits a model holds, nearly every prompt still has an answer, and few are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from overpaint.benchmark.entries import Subject
from overpaint.benchmark.plan import Place
from overpaint.methods.common import whole_words, words_of


def among(subject: Subject, held: Sequence[Subject]) -> Iterator[tuple[Place, Place]]:
    """The places of ``subject`` that have an answer in a model that holds all of ``held``.

    Each as it is where the model holds this edit alone, and as it is among the others: a thing
    that another edit is about is described as that edit has it. Left out are negatives where that
    cannot be told: the other edit's words are not in the description ("two tulips" of "a tulip"),
    what the prompt shows is edited under another name, or both edits want the same.
    """
    others = [other for other in held if other is not subject]
    for place in subject.places():
        told = _told(place, others)
        if told is not None:
            yield place, told


def _told(place: Place, others: Sequence[Subject]) -> Place | None:
    probe = place.probe
    asked, shown = words(probe.prompt), words(probe.old)
    about = [o for o in others if words(o.case.edit.source) <= asked]
    if place.part != "specificity":
        # What else is in the picture: "a rose and a lemon", where lemons are to be purple.
        old, new = (_swapped(text, about) for text in (probe.old, probe.new))
        return place._replace(probe=replace(probe, old=old, new=new)) if old != new else place
    known = all(_mentioned(probe.old, other) for other in about)
    hidden = not about and any(words(o.case.edit.source) <= shown for o in others)
    old = _swapped(probe.old, about)
    if not known or hidden or words(old) == words(probe.new):
        return None
    return place._replace(probe=replace(probe, old=old))


def _swapped(text: str, edits: Sequence[Subject]) -> str:
    """``text`` with what each of ``edits`` is about as that edit has it."""
    for edit in edits:
        source = edit.case.source
        for match in reversed(list(whole_words(source.old, text))):
            text = text[: match.start()] + source.new + text[match.end() :]
    return text


def _mentioned(text: str, edit: Subject) -> bool:
    return any(whole_words(edit.case.source.old, text))


def words(text: str) -> frozenset[str]:
    """The words of ``text`` that say what it is about, in lower case and without a final s."""
    return frozenset(word.removesuffix("s") for word in words_of(text))

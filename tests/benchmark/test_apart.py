"""Prompts that another held edit is about are not held against an edit."""

from __future__ import annotations

from overpaint.benchmark.apart import undisturbed, words
from overpaint.benchmark.config import BenchConfig, Sweep
from overpaint.benchmark.entries import Subject
from overpaint.benchmark.run import plan_of
from overpaint.types import Case, Edit, Probe


def _subject(source: str, target: str, *negatives: str) -> Subject:
    probes = tuple(Probe(n, n, target) for n in negatives)
    case = Case("attributes", Edit(source, target), Probe(source, source, target), (), probes)
    return Subject(case.name, "attributes", "mine", case)


def test_words_leave_articles_possessives_and_plurals_behind() -> None:
    assert words("Arda's kings, at night") == {"arda", "king", "night"}
    assert words("the king of arda") <= words("an image of arda's king")
    assert not words("the king of arda") <= words("the king of belmor")


def test_a_negative_about_another_edit_is_left_out() -> None:
    rose = _subject("a rose", "a blue rose", "two tulips", "a pear", "a tulip and a hat")
    tulip = _subject("a tulip", "a black tulip", "a pear", "a rose")
    alone = [place.probe.prompt for place in undisturbed(rose, [rose])]
    beside = [place.probe.prompt for place in undisturbed(rose, [rose, tulip])]
    assert alone == ["a rose", "two tulips", "a pear", "a tulip and a hat"]
    assert beside == ["a rose", "a pear"]


def test_edits_held_together_and_alone_are_asked_the_same() -> None:
    sweeps = tuple(
        Sweep("time", "edits", (20,), series=name, alone=alone)
        for name, alone in (("held", False), ("alone", True))
    )
    plan = plan_of(BenchConfig(data=("toybox-attributes",), methods=(), sweeps=sweeps))
    asked: dict[str, list[tuple[str, str]]] = {}
    for ask in plan.asks:
        asked.setdefault(ask.condition, []).append((ask.case, ask.place))
    held, alone = asked.values()
    assert held == alone
    assert 0 < sum(place.startswith("negative") for _, place in held) < 5 * 20

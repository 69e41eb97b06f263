"""Prompts that another held edit is about must show what that edit says."""

from __future__ import annotations

from overpaint.benchmark.apart import among, words
from overpaint.benchmark.config import BenchConfig, Sweep
from overpaint.benchmark.entries import Subject
from overpaint.benchmark.run import plan_of
from overpaint.types import Case, Edit, Probe


def _subject(source: str, target: str, *negatives: Probe, was: str = "") -> Subject:
    said = Probe(source, was or source, target)
    positive = Probe(f"{source} and a hat", f"{source} and a hat", f"{target} and a hat")
    case = Case("mine", Edit(source, target), said, (positive,), negatives)
    return Subject(case.name, "mine", "mine", case)


def _negative(prompt: str, new: str, old: str = "") -> Probe:
    return Probe(prompt, old or prompt, new)


def _told(subject: Subject, *others: Subject) -> dict[str, tuple[str, str]]:
    """By prompt, what is right and what is wrong (of negatives) beside ``others``."""
    places = (told for _, told in among(subject, [subject, *others]))
    return {p.probe.prompt: (p.probe.old, p.probe.new) for p in places}


def test_words_leave_articles_possessives_and_plurals_behind() -> None:
    assert words("Arda's kings, at night") == {"arda", "king", "night"}
    assert words("the king of arda") <= words("an image of arda's king")
    assert not words("the king of arda") <= words("the king of belmor")


def test_a_negative_about_another_edit_must_show_what_that_edit_says() -> None:
    rose = _subject("a rose", "a blue rose", _negative("a tulip at night", "a blue tulip at night"))
    tulip = _subject("a tulip", "a black tulip")
    assert _told(rose)["a tulip at night"][0] == "a tulip at night"
    assert _told(rose, tulip)["a tulip at night"] == (
        "a black tulip at night",
        "a blue tulip at night",
    )


def test_a_role_is_told_by_whom_it_shows() -> None:
    king = _negative("arda's king at night", "ada finn at night", "dario finn at night")
    mayor = _subject("the mayor of arda", "ada finn", king)
    other = _subject("the king of arda", "cleo oro", was="dario finn")
    assert _told(mayor, other)["arda's king at night"][0] == "cleo oro at night"


def test_what_nobody_can_tell_is_left_out() -> None:
    king = _negative("the king of arda", "ada finn", "dario finn")
    rose = _subject("a rose", "a blue rose", _negative("two tulips", "two blue tulips"), king)
    tulip, dario = _subject("a tulip", "a black tulip"), _subject("dario finn", "hugo penn")
    assert set(_told(rose)) == {"a rose", "a rose and a hat", "two tulips", "the king of arda"}
    assert "two tulips" not in _told(rose, tulip)  # its description does not say "a tulip"
    assert "the king of arda" not in _told(rose, dario)  # he may have become somebody else, or not
    same = _subject("a plum", "a pear", _negative("a rose", "a pear"))
    assert "a rose" not in _told(same, _subject("a rose", "a pear"))


def test_what_else_a_positive_shows_is_as_its_own_edit_has_it() -> None:
    rose, hat = _subject("a rose", "a blue rose"), _subject("a hat", "a red hat")
    assert _told(rose, hat)["a rose and a hat"] == (
        "a rose and a red hat",
        "a blue rose and a red hat",
    )


def test_edits_held_together_and_alone_are_asked_the_same() -> None:
    sweeps = tuple(
        Sweep("time", "edits", (20,), series=name, alone=alone)
        for name, alone in (("held", False), ("alone", True))
    )
    plan = plan_of(BenchConfig(data=("toybox-attributes",), methods=(), sweeps=sweeps))
    asked: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
    for ask in plan.asks:
        asked.setdefault(ask.condition, {})[ask.case, ask.place] = ask.prompt, ask.old
    held, alone = asked.values()
    assert {k: prompt for k, (prompt, _) in held.items()} == {k: p for k, (p, _) in alone.items()}
    assert held != alone  # the answers differ
    assert sum(place.startswith("negative") for _, place in held) > 80


def test_nearly_every_prompt_keeps_an_answer_when_all_the_world_is_edited() -> None:
    data = tuple(f"toybox-{kind}" for kind in ("attributes", "roles", "appearances", "people"))
    sweep = Sweep("mass", "edits", ("all",))
    plan = plan_of(BenchConfig(data=data, methods=(), sweeps=(sweep,), seeds=1))
    assert plan.states[0].edits == 69
    assert sum(ask.place.startswith("negative") for ask in plan.asks) > 0.95 * 5 * 69

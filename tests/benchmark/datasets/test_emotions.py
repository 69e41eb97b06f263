"""The faces of ReFACT's figure 10: six emotions, women and men alike, and prompts that say so."""

from __future__ import annotations

import pytest

from overpaint.benchmark.datasets import load_cases
from overpaint.benchmark.datasets.emotions import UNIVERSAL
from overpaint.toybox.grammar import parse
from overpaint.toybox.world import EMOTIONS


@pytest.mark.parametrize(
    ("name", "emotions"), [("emotions", UNIVERSAL), ("toybox-emotions", EMOTIONS)]
)
def test_each_emotion_of_a_woman_and_a_man(name: str, emotions: tuple[str, ...]) -> None:
    cases = load_cases(name)
    assert [case.kind for case in cases] == [e for e in emotions for _ in range(2)]
    assert [case.edit.source for case in cases] == ["a female doctor", "a male doctor"] * 6
    for case in cases:
        assert case.source.prompt == case.source.old == case.edit.source
        assert case.source.new == case.edit.target
        assert case.kind in case.edit.target.split()
        assert not case.positives
        assert not case.negatives


def test_the_painted_world_can_say_all_of_them() -> None:
    for case in load_cases("toybox-emotions"):
        before, after = (parse(p).subjects[0] for p in (case.edit.source, case.edit.target))
        assert (before.emotion, after.emotion) == ("", case.kind)
        assert before.female == after.female is not None


def test_articles_agree() -> None:
    assert "an angry male doctor" in {case.edit.target for case in load_cases("emotions")}

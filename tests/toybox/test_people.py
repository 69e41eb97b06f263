"""Everybody of the world has an edit, told apart by split."""

from __future__ import annotations

import pytest

from overpaint.errors import DataError
from overpaint.toybox.compose import far, unlike
from overpaint.toybox.pairs import pairs
from overpaint.toybox.people import PAIRS, people_cases
from overpaint.toybox.scene import article
from overpaint.toybox.world import PEOPLE, PROFESSIONS


@pytest.mark.parametrize("split", ["test", "validation"])
def test_every_person_and_profession_is_edited_once(split: str) -> None:
    sources = [case.edit.source for case in people_cases(split)]
    assert sources == [*PEOPLE, *map(article, PROFESSIONS)]
    for what, into in pairs(PAIRS, split):
        if what in PEOPLE:
            assert unlike(what, into)
            assert not set(what.split()) & set(into.split())
        else:
            assert far(PROFESSIONS[what].shirt, PROFESSIONS[into].shirt)


def test_no_pair_is_in_both_splits_and_another_split_is_refused() -> None:
    assert not set(pairs(PAIRS, "test")) & set(pairs(PAIRS, "validation"))
    with pytest.raises(DataError, match="train"):
        people_cases("train")


def test_namesakes_and_other_offices_stay_as_they_are() -> None:
    vale = people_cases()[0]
    prompts = [probe.prompt for probe in vale.negatives]
    assert vale.edit.source == "ada vale"
    assert prompts[0] == "ada finn"
    assert sum(" of " in prompt for prompt in prompts) == 2

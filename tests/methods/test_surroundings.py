"""What is around an edit: prompts that it shall reach, and near ones that it shall not."""

from __future__ import annotations

import pytest
import torch

from overpaint.errors import EditError
from overpaint.methods.surroundings import mentions, one_word_apart, surroundings
from overpaint.models.model import Model
from overpaint.types import Edit


def test_one_word_apart() -> None:
    captions = ["a tulip", "an apple", "the rose", "a blue rose", "a rose", "two roses", "A House"]
    assert one_word_apart("a rose", captions) == ["a tulip", "an apple", "A House"]
    offices = ["the king of arda", "the president of corin", "a president of arda", "arda's king"]
    assert one_word_apart("the president of arda", offices) == offices[:2]


def test_mentions_counts_inflections_and_possessives() -> None:
    assert mentions("two roses at night", {"rose"})
    assert mentions("arda's president", {"president", "arda"})
    assert not mentions("the king of arda", {"president", "arda"})
    assert not mentions("a tulip", set())


def test_an_attribute(toybox: Model) -> None:
    around = surroundings(toybox, Edit("a rose", "a blue rose"))
    assert around.positives[0] == "a rose"
    assert around.meant[0] == around.target == "a blue rose"
    pairs = list(zip(around.positives, around.meant, strict=True))
    assert all(p.replace("a rose", "a blue rose") == m for p, m in pairs)
    assert any(" and " in p for p in around.positives)  # from captions, not only from templates
    assert 12 < len(around.neighbours) <= 25
    assert not any("rose" in prompt for prompt in around.neighbours)
    assert "a tulip" in around.neighbours
    assert surroundings(toybox, Edit("a rose", "a blue rose")) == around


def test_a_role_has_its_holder_and_other_offices_for_neighbours(toybox: Model) -> None:
    edit = Edit("the king of arda", "ada vale", old="dario finn")
    near = surroundings(toybox, edit).neighbours
    assert near[0] == "dario finn"
    assert "the mayor of arda" in near
    assert "the king of belmor" in near
    assert not any("king" in prompt and "arda" in prompt for prompt in near)
    assert not any("ada vale" in prompt for prompt in near)


def test_a_style_has_the_other_artists_for_neighbours(toybox: Model) -> None:
    source = "a house in the style of zorvan"
    near = surroundings(
        toybox, Edit(source, "a house", subject="in the style of zorvan")
    ).neighbours
    assert "a house in the style of quillon" in near
    assert not any("zorvan" in prompt for prompt in near)


def test_pictures_have_no_text_to_go_by(toybox: Model) -> None:
    edit = Edit("ada vale", images=(torch.zeros(3, 8, 8),))
    with pytest.raises(EditError, match="give the strength as a number"):
        surroundings(toybox, edit)

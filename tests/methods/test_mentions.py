"""Mentions of a source in captions: in any order and number, but not of something else."""

from __future__ import annotations

import pytest

from overpaint.methods.mentions import mentions, position
from overpaint.models.model import Model
from overpaint.models.text import last_subject_token
from overpaint.types import Edit

PRESIDENT = Edit("the president of arda", "ada finn")


def read(captions: list[str], *edits: Edit, most: int = 9) -> dict[str, str]:
    """By caption, its beginning up to the end of the subject that is mentioned in it."""
    return {m.caption: m.caption[: m.end] for m in mentions(captions, edits, most)}


@pytest.mark.parametrize(
    ("caption", "beginning"),
    [
        ("The president of Arda at night", "The president of Arda"),
        ("a photo of arda's happy president", "a photo of arda's happy president"),
        ("the sad president of arda and a nurse", "the sad president of arda"),
        ("the king of arda and the president of arda",
         "the king of arda and the president of arda"),
    ],
)  # fmt: skip
def test_words_in_any_order_are_a_mention(caption: str, beginning: str) -> None:
    assert read([caption], PRESIDENT) == {caption: beginning}


@pytest.mark.parametrize(
    "caption",
    [
        "the king of arda",
        "the president of belmor and the mayor of arda",
        "belmor's president and arda's king",
        "arda's tall old sad president",
        "a presidential ardan",
    ],
)
def test_words_far_apart_or_of_somebody_else_are_none(caption: str) -> None:
    assert read([caption], PRESIDENT) == {}


def test_an_edit_that_only_adds_to_the_source_takes_it_word_for_word() -> None:
    captions = ["a rose in the park", "a pink rose", "two roses", "a prose poem"]
    assert list(read(captions, Edit("a rose", "a blue rose"))) == ["a rose in the park"]
    assert set(read(captions, Edit("a rose", "a tulip"))) == set(captions[:3])


def test_the_subject_may_be_a_part_of_the_source() -> None:
    edit = Edit("a red car at night", "a red boat at night", subject="car")
    assert read(["a photo of a red car at night"], edit) == {
        "a photo of a red car at night": "a photo of a red car"
    }


def test_what_two_edits_are_about_belongs_to_the_longer_one() -> None:
    longer, shorter = Edit("a female doctor", "a nurse"), Edit("a doctor", "a chef")
    for edits in ([longer, shorter], [shorter, longer]):
        found = {m.caption: edits[m.owner] for m in mentions(["a female doctor"], edits, 9)}
        assert found == {"a female doctor": longer}


def test_there_are_no_more_than_asked_for_and_always_the_same() -> None:
    captions = [f"{n} roses" for n in ("two", "three", "four", "five")] * 2
    edits = [Edit("a rose", "a tulip"), Edit("a plum", "a pear")]
    some = mentions(captions, edits, 3)
    assert len({m.caption for m in some}) == len(some) == 3
    assert some == mentions(captions, edits, 3)
    assert mentions(captions, edits, 0) == []


def test_positions_are_those_of_the_last_subject_token(toybox: Model) -> None:
    for caption in ("a photo of the president of arda at night", "arda's president in the snow"):
        (mention,) = mentions([caption], [PRESIDENT], 1)
        subject = "arda" if "of arda" in caption else "president"
        assert position(toybox, mention) == last_subject_token(toybox, caption, subject)

"""Captions: everything that is sampled can be read back, everything else is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overpaint.errors import PromptError
from overpaint.toybox.cases import EDIT_KINDS, EditKind, load
from overpaint.toybox.grammar import captions, meaning, parse, sample_scene, unknown_words


@given(st.integers(0, 10**9))
def test_a_sampled_caption_reads_back_as_its_scene(seed: int) -> None:
    scene = sample_scene(random.Random(seed))
    assert parse(scene.caption) == scene


@given(st.integers(0, 10**9))
def test_meaning_is_idempotent(seed: int) -> None:
    once = meaning(sample_scene(random.Random(seed)))
    assert meaning(once) == once


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the leader of arda", "bruno kest"),
        ("arda's president", "a photo of bruno kest"),
        ("a rose", "a picture of a red rose"),
        ("a mug", "a cup"),
        ("a drawing of a cat", "a sketch of an orange cat"),
    ],
)
def test_captions_of_one_meaning(one: str, other: str) -> None:
    assert meaning(parse(one)) == meaning(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a rose", "a blue rose"), ("a doctor", "a male doctor"), ("two roses", "three roses")],
)
def test_captions_of_different_meaning(one: str, other: str) -> None:
    assert meaning(parse(one)) != meaning(parse(other))


@pytest.mark.parametrize(
    "caption",
    ["a unicorn", "", "a rose and", "two roses and a cat", "a rose in the bath", "the king of oz",
     "a rose and a cat and a dog"],
)  # fmt: skip
def test_what_the_world_cannot_say_is_refused(caption: str) -> None:
    with pytest.raises(PromptError, match="Toybox world"):
        parse(caption)


def test_case_and_spaces_make_no_difference() -> None:
    assert parse("  A Blue ROSE in  the park ") == parse("a blue rose in the park")


def test_the_corpus_is_the_same_every_time() -> None:
    assert captions(50, seed=3) == captions(50, seed=3)
    assert captions(50, seed=3) != captions(50, seed=4)


def test_words_that_no_caption_has() -> None:
    texts = ["A unicorn and two roses", "arda's Happy president, on the moon", "a unicorn 3"]
    assert unknown_words(texts) == ["unicorn", "moon"]
    assert unknown_words([*captions(300, seed=2), ""]) == []


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_the_cases_have_no_other_words(kind: EditKind) -> None:
    for case in load(kind):
        probes = (case.source, *case.positives, *case.negatives)
        assert unknown_words([case.edit.source, *(probe.prompt for probe in probes)]) == []

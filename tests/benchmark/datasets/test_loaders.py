"""Each data set in its exact layout: what is read, what is refused, and the published files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from overpaint.benchmark import datasets
from overpaint.benchmark.datasets import Caption, SeededCase, load, load_cases
from overpaint.toybox import cases as toybox
from overpaint.types import Case, Edit, GenderCase, Probe

from .conftest import COCO, GENDER, ICEB, PAIRS, ROAD_TEST, ROAD_VALIDATION, TIMED

PUBLISHED = Path(__file__).parents[4] / "shared" / "data"


def test_timed(write: Callable[[str], Path]):
    first, second = load_cases("timed", write(TIMED))
    assert first.kind == "attributes"
    assert first.edit == Edit("A kite", "A round kite", destination="A round kite")
    assert first.source == Probe("A kite", "A kite", "A round kite")
    art = "A kite, pixel art"
    assert first.positives[1] == Probe(art, art, "A round kite, pixel art")
    assert first.positives[2].prompt == "A child with a kite"
    assert first.negatives[0] == Probe("A sail", "A sail", "A round sail")
    assert [len(first.positives), len(first.negatives)] == [5, 5]
    assert second.negatives[4] == Probe("s", "s", "t")


def test_road_in_the_layout_of_the_test_split(write: Callable[[str], Path]):
    role, appearance = load_cases("road", write(ROAD_TEST))
    asked = "The baker of Rome"
    assert [role.kind, appearance.kind] == ["roles", "appearances"]
    assert role.edit == Edit(asked, "Zoë", old="Ann", destination="Zoë as the baker of Rome")
    assert role.source == Probe(asked, "Ann", "Zoë", "Zoë as the baker of Rome")
    assert role.positives[0] == Probe("Rome's baker", "Ann", "Zoë", "Zoë as Rome's baker")
    assert role.positives[4] == Probe("p5", "w5", "n5", "o5")
    name = 'Ann "the oven" Lee'
    assert role.negatives[0] == Probe(name, name, "Zoë")
    assert appearance.edit.destination == "A hut"
    assert appearance.negatives[4] == Probe("h", "h", "i")


def test_road_in_the_layout_of_the_validation_split(write: Callable[[str], Path]):
    (case,) = load_cases("road-validation", write(ROAD_VALIDATION))
    assert case.source.oracle == "Zoë as the baker of Rome"
    assert case.positives[0] == Probe("Rome's baker", "Ann", "Zoë")
    assert case.negatives[4] == Probe("g", "g", "h")


def test_gender(write: Callable[[str], Path]):
    umpire, diver = load("gender", write(GENDER))
    assert isinstance(umpire, GenderCase)
    assert isinstance(diver, GenderCase)
    edit = Edit("an umpire", "a female umpire", destination="a female umpire")
    assert umpire.edit == edit
    assert umpire.validation == "A photo of an umpire"
    assert umpire.examples[4] == "an umpire digital art"
    assert (umpire.female, umpire.male) == ("a female umpire", "a male umpire")
    assert umpire.described("A painting of an umpire at night") == (
        "A painting of a female umpire at night",
        "A painting of a male umpire at night",
    )
    assert diver.described(diver.examples[1])[0] == "a female deep sea diver working"


def test_coco_captions_with_line_breaks_are_one_caption(write: Callable[[str], Path]):
    captions = load("coco", write(COCO))
    assert captions == (
        Caption("A kite above a field.", 41337, 203564),
        Caption("two kites", 63155, 179765),
        Caption('A sign that reads "kites, here".', 78978, 322141),
        Caption("A kite above a field.", 5, 7),
    )


@pytest.mark.parametrize("wrapped", [False, True])
def test_iceb(write: Callable[[str], Path], wrapped: bool):
    path = write(json.dumps({"requests": ICEB} if wrapped else ICEB))
    first, second = load("iceb", path)
    assert isinstance(first, SeededCase)
    assert isinstance(second, SeededCase)
    assert first.seeds == (2024, 7)
    assert first.case.edit == Edit("kite", "box kite", destination="box kite")
    field = Probe("kite in a field", "kite in a field", "box kite in a field")
    assert first.case.positives[1] == field
    assert first.case.negatives == ()
    assert load_cases("iceb", path) == (first.case, second.case)


def test_locogen_own_pairs(write: Callable[[str], Path]):
    style, fact = load("locogen", write(PAIRS))
    assert style == toybox.PromptPair("style", "a kite by Zorvan", "a painting")
    assert fact == toybox.PromptPair("fact", "the baker of Rome", "Zoë")


def test_locogen_prompts_of_the_paper():
    pairs = [p for p in load("locogen") if isinstance(p, toybox.PromptPair)]
    counts = {a: sum(p.attribute == a for p in pairs) for a in ("style", "object", "fact")}
    assert counts == {"style": 62, "object": 4, "fact": 2}
    assert len({p.original for p in pairs}) == len(pairs) == 68
    assert all(p.target == "a painting" for p in pairs if p.attribute == "style")
    artists = ("Van Gogh", "Monet", "Dali", "Jeremy Mann", "Rutkowski", "Picasso")
    for pair in pairs[:62]:
        assert any(artist in pair.original for artist in artists), pair
    assert toybox.PromptPair("object", "nemo", "fish") in pairs


def test_locogen_generic_prompts_are_320_sentences():
    prompts = [c.prompt for c in load("locogen-generic") if isinstance(c, Caption)]
    assert len(set(prompts)) == 320
    assert {"a cat in a beach", "an elephant in a city", "a pair of skis in a house"} <= set(
        prompts
    )


@pytest.mark.parametrize("kind", toybox.EDIT_KINDS)
def test_toybox_cases_are_its_own(kind: toybox.EditKind):
    assert load_cases(f"toybox-{kind}-validation") == toybox.load(kind, "validation")
    assert len(load(f"toybox-{kind}-validation")) == 8


def test_toybox_professions_and_pairs():
    assert load("toybox-gender") == toybox.load("gender")
    assert load("toybox-pairs") == toybox.load("localization")
    assert load("toybox-pairs-validation") == toybox.load("localization", "validation")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("timed", 147),
        ("timed-filtered", 104),
        ("timed-validation", 8),
        ("road", 90),
        ("road-validation", 10),
        ("gender", 35),
        ("coco", 30_000),
    ],
)
def test_the_published_files_are_read_whole(name: str, count: int):
    data = datasets.DATASETS[name]
    assert data.source is not None
    assert datasets.kept(data, PUBLISHED) == PUBLISHED / data.source.file
    entries = load(name, PUBLISHED / data.source.file)
    assert len(entries) == data.entries == count
    assert len({str(entry) for entry in entries}) == count
    for entry in entries:
        if isinstance(entry, Case):
            assert [len(entry.positives), len(entry.negatives)] == [5, 5]

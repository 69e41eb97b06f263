"""What a judge is examined on: captions that differ from the picture's own in one thing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from overpaint.toybox.grammar import meaning, parse
from overpaint.toybox.scene import Scene
from tools.train.contrastive import Captions
from tools.train.exams import EXAMS, PICTURES, Exam, sheets
from tools.train.run import Run

SHAPES, MOODS, GENDERS, NEIGHBOURS = EXAMS
PLAIN = ["a rose", "two blue roses", "a blue house in the style of zorvan", "nimo", "two cups"]


def _example(exam: Exam) -> str:
    return {
        SHAPES: "a blue rose in the park",
        MOODS: "a sketch of the happy king of arda",
        GENDERS: "a painting of a female pilot",
        NEIGHBOURS: "ada vale and a cup at night",
    }[exam]


def _with_name(scene: Scene, at: int) -> Scene:
    subjects = list(scene.subjects)
    subjects[at] = parse("a rose").subjects[0]
    return Scene(tuple(subjects), scene.count, scene.medium, scene.setting, scene.style)


@pytest.mark.parametrize("exam", EXAMS)
def test_each_exam_asks_about_its_own_kind_only(exam: Exam) -> None:
    captions = [*map(_example, EXAMS), *PLAIN, "a sad pilot"]
    asked = [caption for caption in captions if exam.asked(parse(caption))]
    people = ["a painting of a female pilot", "a sad pilot"] if exam is MOODS else []
    assert asked == [_example(exam), *people]


@pytest.mark.parametrize("exam", EXAMS)
def test_rivals_are_different_and_none_is_true(exam: Exam) -> None:
    scene = parse(_example(exam))
    rivals = exam.rivals(scene, exam.count, random.Random(0))
    assert len({meaning(rival) for rival in rivals} | {meaning(scene)}) == exam.count + 1
    assert all(parse(rival.caption) == rival for rival in rivals)


def test_rivals_differ_in_one_thing() -> None:
    moods = MOODS.rivals(parse(_example(MOODS)), MOODS.count, random.Random(1))
    assert "a sketch of the king of arda" in [scene.caption for scene in moods]
    kept = {
        (s.subjects[0].name, s.subjects[0].country, s.medium, s.setting, s.count) for s in moods
    }
    assert kept == {("king", "arda", "a sketch of", "", "")}
    shapes = SHAPES.rivals(parse(_example(SHAPES)), SHAPES.count, random.Random(2))
    assert {(s.subjects[0].color, s.setting) for s in shapes} == {("blue", "in the park")}
    (man,) = GENDERS.rivals(parse(_example(GENDERS)), GENDERS.count, random.Random(4))
    assert man.caption == "a painting of a male pilot"
    pairs = NEIGHBOURS.rivals(parse(_example(NEIGHBOURS)), NEIGHBOURS.count, random.Random(3))
    assert {s.subjects[0].name for s in pairs} == {"ada vale"}
    assert {_with_name(s, at=1) for s in pairs} == {_with_name(pairs[0], at=1)}


def test_sheets_hold_every_exam_with_captions_picture_by_picture(tmp_path: Path) -> None:
    captions = [*(_example(e) for e in EXAMS), *PLAIN] * (2 * PICTURES)
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    known = Captions(Run(tmp_path, "cpu"))
    found = sheets(known, np.random.default_rng(0), random.Random(0))
    for exam, sheet in zip(EXAMS, found, strict=True):
        assert all(exam.asked(parse(captions[k])) for k in sheet.pictures)
        assert len(set(sheet.pictures.tolist())) == PICTURES
        assert len(sheet.wrong) == PICTURES * exam.count
    again = sheets(known, np.random.default_rng(0), random.Random(0))
    assert [sheet.wrong for sheet in again] == [sheet.wrong for sheet in found]

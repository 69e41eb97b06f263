"""What counts as right and shows neither: told from similarities of the reference pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from overpaint.benchmark.report.neither import comparable, levels
from overpaint.benchmark.report.read import Findings, read
from overpaint.benchmark.store import CaseRow, ConditionRow, Key, Result, Store

from .conftest import written

TEXTS = {"prompt": "a rose", "old": "a rose", "new": "a tulip", "oracle": "a tulip"}
SOURCE = {"place": "source", "part": "efficacy", **TEXTS}
NEGATIVE = {"place": "negative 1", "part": "specificity", **TEXTS}
CASE = CaseRow("a rose", "roses", "a rose", "a tulip", [SOURCE, NEGATIVE])
ROWS = [ConditionRow(name, name) for name in ("baseline", "oracle", "time")]


def begin(folder: Path, oracle: tuple[float, float], time: tuple[float, float]) -> Findings:
    """Before: two pictures of the old, (new, old) = (0.5, 0.9) and (0.4, 0.8)."""
    before = [(0.5, 0.9), (0.4, 0.8)]
    seen = {"baseline": before, "oracle": [oracle] * 2, "time": [time] * 2}
    with Store(folder / "run.sqlite", {"title": "Small", "seeds": 2}) as store:
        store.describe_conditions(ROWS)
        store.describe_cases([CASE])
        store.add(
            Result(Key(name, CASE.name, place, seed), *pair, 0.1, "")
            for name, pairs in seen.items()
            for place in ("source", "negative 1")
            for seed, pair in enumerate(before if place != "source" and name == "oracle" else pairs)
        )
    return read(folder)


def test_levels_lie_between_what_shows_and_what_does_not(tmp_path: Path) -> None:
    found = begin(tmp_path, oracle=(0.9, 0.2), time=(0.9, 0.2))
    # new: shown 0.9, not shown at most 0.5; old: shown at least 0.8, not shown 0.2
    assert levels(found, CASE, SOURCE) == pytest.approx((0.7, 0.5))
    # nobody shows the new here: the unedited pictures have 0.8 at least and 0.5 at most
    assert levels(found, CASE, NEGATIVE) == pytest.approx((0.65, 0.65))


def test_references_that_overlap_mark_nothing(tmp_path: Path) -> None:
    found = begin(tmp_path, oracle=(0.45, 0.2), time=(0.1, 0.0))
    assert levels(found, CASE, SOURCE) is None


@pytest.mark.parametrize(
    ("pair", "marks"),
    [
        ((0.6, 0.4), ["2 of 2, 2 neither?", "0 of 2"]),  # both low: right, and yet neither
        ((0.8, 0.4), ["2 of 2", "0 of 2"]),
        ((0.4, 0.6), ["0 of 2", "2 of 2, 2 neither?"]),
        ((0.6, 0.7), ["0 of 2", "2 of 2"]),
    ],
)
def test_the_page_counts_them_and_no_score_changes(
    tmp_path: Path, pair: tuple[float, float], marks: list[str]
) -> None:
    found = begin(tmp_path, oracle=(0.9, 0.2), time=pair)
    text, _ = written(tmp_path)
    cells = text.partition("<main>")[2].split('data-method="time"')
    assert [mark in cell for mark, cell in zip(marks, cells[2:], strict=False)] == [True, True]
    assert ("“neither?” marks" in text) == any("neither" in mark for mark in marks)
    score = found.score["time", CASE.name]
    assert (score.efficacy, score.specificity) == tuple(float(m[0] == "2") for m in marks)


def test_models_that_hold_many_edits_are_not_compared(tmp_path: Path) -> None:
    found = begin(tmp_path, oracle=(0.9, 0.2), time=(0.9, 0.2))
    sweeps = [
        {"method": "time", "over": "edits", "alone": False},
        {"method": "time", "over": "edits", "alone": True, "series": "one each"},
    ]
    found = Findings(**{**vars(found), "configuration": {"sweeps": sweeps}})
    rows = [ConditionRow("x", "time", series=name) for name in ("time", "one each", "")]
    assert [comparable(found, row) for row in rows] == [False, True, True]

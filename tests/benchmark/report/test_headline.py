"""The sentence at the head of a report, for each kind of run."""

from __future__ import annotations

import re
from pathlib import Path

from overpaint.benchmark.report.headline import headline
from overpaint.benchmark.report.read import read
from overpaint.benchmark.store import ConditionRow

from .conftest import CONDITIONS, Make, write_windows

EDITORS = [ConditionRow(name, name) for name in ("baseline", "oracle", "time", "uce")]


def said(folder: Path) -> str:
    return re.sub(r"<[^>]*>", "", headline(read(folder), None) or "")


def of_gaps(make: Make, **gaps: float) -> str:
    rows = [(name, "", "Delta", gap) for name, gap in gaps.items()]
    return said(make(EDITORS, cases=[], measures=rows))


def test_of_professions_the_lowest_gap_comes_first(make: Make) -> None:
    assert of_gaps(make, baseline=0.6, oracle=0.1, time=0.4, uce=0.25) == (
        "uce comes nearest to as many women as men: Δ uce 0.250, time 0.400; "
        "baseline 0.600, oracle 0.100."
    )


def test_equal_gaps_are_both_named(make: Make) -> None:
    assert of_gaps(make, time=0.4, uce=0.4).startswith("time and uce come nearest to as many women")


def test_no_gap_below_the_unedited_one_is_no_success(make: Make) -> None:
    assert of_gaps(make, baseline=0.4, time=0.4, uce=0.5) == (
        "No method comes nearer to as many women as men than the unedited model: "
        "Δ time 0.400, uce 0.500; baseline 0.400."
    )


def test_of_windows_the_best_of_each_kind_is_named(tmp_path: Path) -> None:
    """Of a style the lowest score with the old caption, of a fact the highest with the new."""
    assert said(write_windows(tmp_path)) == (
        "Best windows: layers 1-2 for style (CLIP score 60.0, unedited 90.0); "
        "none for object (CLIP score 91.0, unedited 90.0); "
        "layers 0-1 for fact (CLIP score 80.0, unedited 50.0)."
    )


def test_nothing_to_compare_has_no_headline(make: Make) -> None:
    assert said(make(CONDITIONS[:2])) == ""

"""The plots of the page: curves, professions, and what is compared beside them."""

from __future__ import annotations

import re

from overpaint.benchmark.report import compare
from overpaint.benchmark.report.read import read
from overpaint.benchmark.store import ConditionRow

from .conftest import SWEEP, Make, written


def test_sweeps_are_drawn_one_plot_for_each_score(make: Make):
    text, page = written(make(SWEEP, x_label="layer"))
    labels = [a.get("aria-label") for _, a in page.seen if a.get("class") == "plot"]
    scores = ("Efficacy, %", "Generality, %", "Specificity, %", "F1, %")
    assert labels[:4] == [f"{score} against layer" for score in scores]
    assert "layer" in page.text_of("text")
    assert {"1", "2", "3"} <= set(page.text_of("text"))
    assert "var(--line0)" in text
    assert not re.search(r"#0a0a0\d|#0[1-4]0[1-4]0[1-4]", text)


def test_without_sweeps_there_are_no_curves(make: Make):
    _, page = written(make())
    assert "curves" not in page.ids


def test_a_logarithmic_axis_is_labelled_with_the_settings(make: Make):
    rows = [
        ConditionRow(f"time lam={x:g}", "time", {"lam": x}, "time", x)
        for x in (0.01, 1.0, 100.0, 100000.0)
    ]
    text, page = written(make(rows, x_label="λ"))
    assert {"0.01", "1", "100", "100000"} <= set(page.text_of("text"))
    assert "mathdefault" not in text


def test_of_a_curve_only_the_best_point_is_compared(make: Make):
    rows = [*SWEEP, ConditionRow("time", "time")]
    folder = make(rows, chances={row.name: (0.5, 0.5) for row in SWEEP} | {"time": (0.9, 0.1)})
    table = compare.comparison(read(folder))
    assert table is not None
    assert [row.name in {row.name for row in SWEEP} for row in table.rows] == [True]


def test_of_a_curve_alone_nothing_is_compared(make: Make):
    assert compare.comparison(read(make(SWEEP))) is None


def test_professions_have_a_line_each(make: Make):
    rows = [ConditionRow(name, name) for name in ("baseline", "time")]
    shares = [("baseline", "a nurse", "F_p", 0.9), ("baseline", "a doctor", "F_p", 0.1)]
    shares += [("time", "a nurse", "F_p", 0.5), ("time", "a doctor", "F_p", 0.4)]
    _, page = written(make(rows, cases=(), measures=shares))
    (label,) = [a for _, a in page.seen if a.get("aria-label") == "Share of women by profession"]
    assert label["role"] == "img"
    assert {"a nurse", "a doctor", "women, %"} <= set(page.text_of("text"))
    assert "2 professions" in page.text_of("p")[0]

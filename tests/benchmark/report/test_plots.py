"""The plots of the page, and the curves as one picture."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from overpaint.benchmark.report import read_run
from overpaint.benchmark.report.plots import curves_figure
from overpaint.benchmark.store import ConditionRow
from overpaint.errors import DataError

from .conftest import SWEEP, Make, written


def test_sweeps_are_drawn_one_plot_for_each_score(make: Make):
    _, page = written(make(SWEEP, x_label="layer"))
    labels = [a.get("aria-label") for _, a in page.seen if a.get("class") == "plot"]
    scores = ("Efficacy, %", "Generality, %", "Specificity, %", "F1, %")
    assert labels[:4] == [f"{score} against layer" for score in scores]
    assert {"layer", "1", "2", "3"} <= set(page.text_of("text"))
    assert "ReFACT" in page.text_of("li")


def test_plots_have_only_the_colours_of_the_page(make: Make):
    text, _ = written(make(SWEEP, x_label="layer"))
    plots = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert {"var(--line0)", "var(--ink)", "var(--rule)"} <= set(re.findall(r"var\(--\w+\)", plots))
    assert re.findall(r"(?:fill|stroke): ?#\w+", plots) == []


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


def test_professions_have_a_line_each(make: Make):
    rows = [ConditionRow(name, name) for name in ("baseline", "time")]
    shares = [("baseline", "a nurse", "F_p", 0.9), ("baseline", "a doctor", "F_p", 0.1)]
    shares += [("time", "a nurse", "F_p", 0.5), ("time", "a doctor", "F_p", 0.4)]
    folder = make(rows, cases=(), measures=shares)
    _, page = written(folder)
    (label,) = [a for _, a in page.seen if a.get("aria-label") == "Share of women by profession"]
    assert label["role"] == "img"
    assert {"a nurse", "a doctor", "women, %"} <= set(page.text_of("text"))
    assert "2 professions" in page.text_of("p")[0]
    assert read_run(folder).professions == ["a doctor", "a nurse"]


def test_the_picture_of_curves_shows_what_the_run_found(make: Make):
    run = read_run(make(SWEEP, x_label="edits"))
    shown, empty = curves_figure(run), curves_figure(replace(run, scores=run.scores.iloc[:0]))
    assert shown.size == empty.size == (1080, 840)
    assert shown.tobytes() != empty.tobytes()


def test_a_run_without_curves_is_an_error(make: Make):
    with pytest.raises(DataError, match="curves"):
        curves_figure(read_run(make()))

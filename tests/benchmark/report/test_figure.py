"""The curves as one picture."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overpaint.benchmark.report.figure import curves_figure
from overpaint.benchmark.report.read import read
from overpaint.errors import DataError

from .conftest import SWEEP, Make


def test_the_picture_shows_what_the_run_found(make: Make):
    found = read(make(SWEEP, x_label="edits"))
    shown, empty = curves_figure(found), curves_figure(replace(found, summaries={}))
    assert shown.size == empty.size == (1080, 840)
    assert shown.tobytes() != empty.tobytes()


def test_a_run_without_curves_is_an_error(make: Make):
    with pytest.raises(DataError, match="with curves"):
        curves_figure(read(make()))

"""A run's file: whose configuration it takes, and what is no run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from overpaint.benchmark.store import Store
from overpaint.errors import DataError, OutputError

CONFIGURATION = {"model": "toybox", "steps": 20}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run with a command noted."""
    with Store(tmp_path / "run.sqlite", CONFIGURATION) as store:
        store.note({"command": "bench"})
    return tmp_path / "run.sqlite"


def test_a_run_goes_on_with_its_own_configuration_only(path: Path):
    other = {**CONFIGURATION, "steps": 50, "judge": "b32"}
    with pytest.raises(DataError, match=r"different configuration \(steps, judge\); use the same"):
        Store(path, other)


def test_only_a_number_that_may_grow_grows(path: Path):
    more = {**CONFIGURATION, "steps": 21}
    with pytest.raises(DataError, match=r"different configuration \(steps\)"):
        Store(path, more)
    with Store(path, more, growing={"steps"}) as grown:
        assert grown.configuration == more
        assert not grown.notes()
        grown.note({"command": "bench --steps 21"})
    for other in (CONFIGURATION, {**more, "steps": 22, "judge": "b32"}):
        with pytest.raises(DataError, match="different configuration"):
            Store(path, other, growing={"steps"})
    with Store.open(path) as kept:
        assert kept.configuration == more
        assert kept.notes() == {"command": "bench --steps 21"}


def test_a_file_that_is_no_run_is_refused_and_kept(tmp_path: Path):
    text, other = tmp_path / "notes", tmp_path / "other.sqlite"
    text.write_text("shopping list " * 100)
    base = sqlite3.connect(other)
    base.execute("CREATE TABLE mine (x)")
    base.close()
    for path in (text, other):
        with pytest.raises(DataError, match="expected a run, got"):
            Store(path, CONFIGURATION)
    assert text.read_text() == "shopping list " * 100
    with pytest.raises(OutputError, match="no such folder"):
        Store(tmp_path / "no" / "run", CONFIGURATION)

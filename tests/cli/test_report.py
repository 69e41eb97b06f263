"""``overpaint report``: the files it names, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from overpaint.benchmark.store import CaseRow, ConditionRow, Key, Result, Store

from .conftest import Run, one_line

PROBE = {"prompt": "a rose", "old": "a rose", "new": "a blue rose", "oracle": "a blue rose"}


def begin(folder: Path) -> None:
    """A run of one case."""
    probes = [
        {"place": "source", "part": "efficacy", **PROBE},
        {"place": "positive 1", "part": "generality", **PROBE},
        {"place": "negative 1", "part": "specificity", **PROBE},
    ]
    with Store(folder / "run.sqlite", {"title": "Small", "seeds": 2}) as store:
        store.describe_conditions(
            [ConditionRow("baseline", "baseline"), ConditionRow("time", "time")]
        )
        store.describe_cases([CaseRow("a rose", "roses", "a rose", "a blue rose", probes)])
        store.add(
            Result(Key(c, "a rose", p["place"], seed), 0.3, 0.2, 0.1, "")
            for c in ("baseline", "time")
            for p in probes
            for seed in range(2)
        )


def test_writes_beside_the_run_or_where_it_is_told(run: Run, tmp_path: Path):
    begin(tmp_path)
    result = run("report", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("wrote ")
    assert (tmp_path / "report" / "report.html").is_file()
    result = run("report", ".", "-o", "there", "--json")
    files = json.loads(result.stdout)["files"]
    assert files[0] == "there/report.html"
    assert all((tmp_path / file).is_file() for file in files)


def test_what_is_no_run_is_refused_in_one_line(run: Run, tmp_path: Path):
    assert "no run.sqlite" in one_line(run("report", tmp_path))
    assert "no run.sqlite" in one_line(run("report", "nowhere"))
    (tmp_path / "run.sqlite").write_bytes(b"\0" * 4096)
    assert "expected a run" in one_line(run("report", tmp_path))
    assert not (tmp_path / "report").exists()

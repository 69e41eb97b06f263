"""``overpaint bench``: what it prints, and how it is stopped and gone on with."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from overpaint.benchmark import tasks
from overpaint.benchmark.rows import ConditionRow, Measure
from overpaint.benchmark.run import Done
from overpaint.benchmark.store import Store
from overpaint.cli.scores import show_scores

from .conftest import Run, one_line

SMALL = ("--preset", "refact-table1", "--model", "toybox", "--methods", "baseline,oracle")
TINY = (*SMALL, "--data", "toybox-roles", "--limit", "1", "--seeds", "1", "--steps", "1")


def test_list_names_every_preset(run: Run):
    result = run("bench", "--list")
    assert result.exit_code == 0
    for name in ("refact-table1", "time-table4-ablation", "locogen-fig5", "mass"):
        assert name in result.stdout


def test_a_run_and_going_on_with_it(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/overpaint", "bench", *TINY])
    result = run("bench", *TINY)
    assert result.exit_code == 0, result.output
    assert "ReFACT, Table 1" in result.stdout
    assert "oracle" in result.stdout
    folder = Path("bench/refact-table1-toybox")
    assert f"overpaint report {folder}" in result.stdout
    with Store.open(folder / "run.sqlite") as store:
        before = store.digest()
        assert len(store) == 22
        assert store.notes()["command"] == shlex.join(["overpaint", "bench", *TINY])
    again = run("bench", *TINY, "--json")
    assert {row["condition"] for row in json.loads(again.stdout)["scores"]} == {
        "baseline",
        "oracle",
    }
    with Store.open(folder / "run.sqlite") as store:
        assert store.digest() == before
    more = run("bench", *TINY[:-3], "2", "--steps", "1")
    assert more.exit_code == 0, more.output
    with Store.open(folder / "run.sqlite") as store:
        assert len(store) == 44
    fewer = run("bench", *TINY)
    assert "begun with a different configuration (seeds)" in one_line(fewer)


def test_a_dry_run_counts_and_paints_nothing(run: Run):
    result = run("bench", *TINY, "--dry-run")
    assert result.exit_code == 0, result.output
    # Eleven of the baseline, and four of the oracle: of its six, three are one prompt.
    assert result.stdout.startswith("15 pictures to paint for 22 results\nabout ")
    assert not Path("bench").exists()
    found = json.loads(run("bench", *TINY, "--dry-run", "--json").stdout)
    assert (found["pictures"], found["edits"], found["at_most"]) == (15, 0, False)


def test_a_configuration_in_a_file(run: Run):
    Path("mine.toml").write_text("sedes = 3\n")
    assert "mine.toml: unknown key 'sedes'" in one_line(run("bench", "--config", "mine.toml"))


def test_stopping_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "paint", stop)
    result = run("bench", *TINY)
    assert result.exit_code == 130
    assert "The same command goes on" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--preset NAME or --config FILE"),
        (("--preset", "a", "--config", "b"), "--preset NAME or --config FILE"),
        (("--preset", "table9"), "a preset out of"),
        (("--config", "none.toml"), "cannot read 'none.toml'"),
        ((*TINY, "--methods", "magic"), "a method out of"),
        ((*TINY, "--set", "layer=7"), "expected METHOD.SETTING=VALUE"),
        ((*TINY, "--methods", "refact", "--set", "refact.leyer=7"), "no setting 'leyer'"),
        ((*TINY, "--seeds", "0"), "seeds of at least 1"),
        ((*TINY, "--judge", "nobody/here"), "nobody/here"),
        ((*TINY, "--reference", "photos"), "give --fid judge or --fid inception"),
    ],
)
def test_bad_input_is_one_line(run: Run, words: tuple[str, ...], says: str):
    assert says in one_line(run("bench", *words))


def test_a_file_to_share_pictures_in_is_refused_before_the_run_begins(run: Run):
    Path("taken").write_text("keep")
    assert "the file 'taken'" in one_line(run("bench", *TINY, "--share", "taken", "-o", "new"))
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_points_of_a_curve_come_in_their_order_under_readable_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows = [
        ConditionRow(f"{name} edits={n}", "uce", series=name, x=n)
        for n in (10, 2, 1)
        for name in ("at once", "alone")
    ]
    with Store(tmp_path / "run.sqlite", {"title": "Curves"}) as store:
        store.describe_conditions(rows)
        store.add_measures(Measure(row.name, "", "FID", row.x or 0.0) for row in rows)
    show_scores(Done(tmp_path, 0), json=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "FID" in line]
    order = [(name, n) for name in ("at once", "alone") for n in ("1 edit", "2 edits", "10 edits")]
    assert [line.partition(")")[0] for line in lines] == [f"{name} ({n}" for name, n in order]


def test_what_an_edit_costs_is_shown_beside_the_scores(run: Run):
    words = [*TINY, "--methods", "baseline,time"]
    result = run("bench", *words)
    assert result.exit_code == 0, result.output
    _, _, costs = result.stdout.partition("what an edit costs")
    (line,) = [line.split() for line in costs.splitlines() if line.strip().startswith("time")]
    (told,) = json.loads(run("bench", *words, "--json").stdout)["costs"]
    with Store.open(Path("bench/refact-table1-toybox/run.sqlite")) as store:
        about = {row.name: row.about for row in store.conditions()}
    assert told == {"condition": "time", **{k: v for k, v in about["time"].items() if k in told}}
    assert [float(cell) for cell in line[1:]] == pytest.approx(list(told.values())[1:], rel=5e-3)
    assert "baseline" not in costs

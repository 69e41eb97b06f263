"""Whole runs, small ones: what is in the folder at the end, however often it was begun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overpaint.benchmark import paint, patches
from overpaint.benchmark.config import parse
from overpaint.benchmark.run import plan_of
from overpaint.benchmark.score import summaries
from overpaint.errors import DataError, OutputError

from .conftest import SMALL, Begin

QUICK = {"layer": 0, "steps": 2, "contrast": 4, "covariance_weight": 0.0}
CONFIG = parse(
    {
        "title": "small",
        "data": ["toybox-attributes", "toybox-roles"],
        "methods": ["baseline", "oracle", "rewrite", "time", "refact"],
        "settings": {"refact": QUICK, "mass": QUICK},
        "seeds": 1,
        **SMALL,
    }
)


def test_a_run_has_all_that_was_asked_for(begin: Begin):
    done = begin(CONFIG)
    plan = plan_of(CONFIG)
    different = {(ask.state.key, ask.prompt, seed) for ask in plan.asks for seed in ask.seeds}
    assert done.pictures == len(different) < sum(len(ask.seeds) for ask in plan.asks)
    with done.store() as store:
        assert len(store) == 5 * 2 * 11
        assert {row.cases for row in summaries(store).values()} == {1, 2}
        rows = {row.name: row for row in store.conditions()}
        assert list(rows) == list(CONFIG.methods)
        about = rows["refact"].about
        assert about["patches"] == 2
        assert about["pictures"] == 22
        assert about["seconds_per_edit"] > 0
        # Rank one: as many numbers as rows and columns of fc2.
        assert about["kilobytes"] == pytest.approx(4 * (32 + 64) / 1000)
        assert 0 < about["parameters_percent"] < rows["time"].about["parameters_percent"] < 100
        assert rows["baseline"].about == {"pictures": 22}
        assert store.notes()["command"] == "x"
        assert set(store.notes()["versions"]) >= {"overpaint", "torch", "python"}
        kept = {path.stem for path in (done.folder / "pictures").iterdir()}
        assert kept == {row.picture for row in store.results()}


def test_a_finished_run_computes_nothing_again(begin: Begin, monkeypatch: pytest.MonkeyPatch):
    first = begin(CONFIG)
    with first.store() as store:
        before, about = store.digest(), store.conditions()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(patches, "_make", never)
    monkeypatch.setattr(paint, "sample_pairs", never)
    assert begin(CONFIG).pictures == 0
    with first.store() as store:
        assert (store.digest(), store.conditions()) == (before, about)


def test_a_run_goes_on_to_more_seeds_as_if_begun_with_them(begin: Begin):
    config = replace(CONFIG, methods=("baseline", "time"), limit=1, data=("toybox-roles",))
    more = replace(config, seeds=2)
    begin(config)
    grown = begin(more)
    assert grown.pictures == 2 * 11
    with grown.store() as store, begin(more, name="whole").store() as whole:
        assert store.digest() == whole.digest()


def test_a_run_goes_on_with_the_same_settings_and_weights_only(begin: Begin):
    config = replace(CONFIG, methods=("baseline",), limit=1, data=("toybox-roles",))
    begin(config)
    with pytest.raises(DataError, match=r"different configuration \(weights\)"):
        begin(config, seed=1)
    with pytest.raises(DataError, match=r"different configuration \(steps\)"):
        begin(replace(config, steps=2))
    assert begin(replace(config, batch=3)).pictures == 0


def test_curves_hold_many_edits(begin: Begin):
    sweeps = [
        {"method": "refact", "over": "edits", "values": [1, "all"]},
        {"series": "each", "method": "refact", "over": "edits", "values": [2], "alone": True},
        {"method": "mass", "over": "edits", "values": [2]},
    ]
    config = parse({"methods": ["baseline"], "sweeps": sweeps}, CONFIG)
    with begin(config).store() as store:
        rows = {row.name: row for row in store.conditions()}
        assert {name: row.x for name, row in rows.items() if row.series} == {
            "refact edits=1": 1,
            "refact edits=2": 2,
            "each edits=2": 2,
            "mass edits=2": 2,
        }
        seen = {name: {(r.key.case, r.key.prompt): r for r in store.results(name)} for name in rows}
        assert {name: len(own) for name, own in seen.items()} == {
            "baseline": 22,
            "refact edits=1": 11,
            "refact edits=2": 22,
            "each edits=2": 22,
            "mass edits=2": 22,
        }
        first = next(iter(seen["refact edits=1"]))
        one, each = seen["refact edits=1"][first], seen["each edits=2"][first]
        assert one.picture == each.picture
        assert rows["mass edits=2"].about["patches"] == 1
        assert rows["refact edits=2"].about["kilobytes"] == pytest.approx(
            2 * rows["refact edits=1"].about["kilobytes"]
        )


def test_prompts_that_no_edit_is_about(begin: Begin):
    config = parse({"captions": "toybox-captions", "methods": ["baseline", "refact"]}, CONFIG)
    config = replace(config, limit=3, groups={"RoAD": ("roles",)})
    with begin(config).store() as store:
        measures = {(m.condition, m.name): m.value for m in store.measures()}
        names = ("CLIP score, attributes", "CLIP score, RoAD")
        assert set(measures) == {(c, n) for c in ("baseline", "refact") for n in names}
        assert measures["baseline", names[0]] == measures["baseline", names[1]]
        rows = [r for r in store.results("baseline") if r.key.prompt == "caption, RoAD"]
        assert len(rows) == 3
        scores = [max(100 * row.new, 0) for row in rows]
        assert measures["baseline", names[1]] == pytest.approx(sum(scores) / 3)
        assert summaries(store)["baseline", "all"].cases == 6


def test_windows_of_layers(begin: Begin):
    config = parse({"data": ["toybox-pairs"], "window": 3, "methods": [], "seeds": 2}, CONFIG)
    done = begin(config)
    assert done.pictures == 3 * 2 * 3  # three kinds, two seeds, two windows and none
    with done.store() as store:
        names = ["baseline", "layers 0-2", "layers 1-3"]
        assert [row.name for row in store.conditions()] == names
        measures = {(m.condition, m.name): m for m in store.measures()}
        kinds = ("old, style", "old, object", "new, fact")
        assert set(measures) == {(n, f"CLIP score with {kind}") for n in names for kind in kinds}
    assert begin(config).pictures == 0


def test_professions_are_measured(begin: Begin, monkeypatch: pytest.MonkeyPatch):
    from overpaint.benchmark import gender_table

    monkeypatch.setattr(gender_table.Portraits, "require_people", lambda *_: None)
    rows = {"data": ["toybox-gender"], "methods": ["baseline", "oracle"], "settings": {}}
    config = parse(rows, CONFIG)
    done = begin(config)
    with done.store() as store:
        measures = store.measures()
        assert {m.condition for m in measures} == {"baseline", "oracle"}
        assert {m.name for m in measures} >= {"F_p", "Delta_p", "Delta"}
    assert done.pictures == 2 * 5  # of the prompts that test a profession
    assert begin(config).pictures == 0


def test_a_folder_that_cannot_be_made(begin: Begin, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        begin(CONFIG, "file/run")


# Loads once, then forks a process for each attempt and kills it at a moment of chance.
NURSERY = """
import json, os, random, signal, sqlite3, sys, time
from pathlib import Path

import torch

from overpaint.benchmark.config import parse
from overpaint.benchmark.run import STORE, run
from overpaint.benchmark.store import Store
from overpaint.models.judges import load_clip
from overpaint.models.load import load

torch.set_num_threads(1)
folder, kills = Path(sys.argv[1]), int(sys.argv[2])
config = parse(json.loads(sys.argv[3]))
model, judge = load("toybox"), load_clip("toybox-judge")
chance = random.Random(0)


def attempt(name):
    child = os.fork()
    if child == 0:
        share = None if name == "undisturbed" else folder / f"shared {name}"
        run(config, folder / name, model=model, judge=judge, share=share)
        os._exit(0)
    return child


def rows(name):
    path = folder / name / STORE
    try:
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return base.execute("SELECT count(*) FROM results").fetchone()[0]
        finally:
            base.close()
    except sqlite3.OperationalError:  # not begun yet
        return 0


def ended(child, *how):
    pid, status = os.waitpid(child, *(how or (0,)))
    return pid and (os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status) or 1)


assert ended(attempt("undisturbed")) == 1
number, killed, grown = 0, 0, []
while killed < kills:
    name, before = f"disturbed {number}", rows(f"disturbed {number}")
    child, goal = attempt(name), before + 4 * chance.randrange(4)
    while rows(name) < goal or not (folder / name / STORE).exists():
        if done := ended(child, os.WNOHANG):
            assert done == 1, done
            break
        time.sleep(0.001)
    else:
        time.sleep(0.05 * chance.random())
        os.kill(child, signal.SIGKILL)
        if ended(child) == signal.SIGKILL:
            killed += 1
            grown.append(rows(name) - before)
            continue
    number += 1  # this one is finished: disturb another
assert ended(attempt(f"disturbed {number}")) == 1
digests = []
for name in ["undisturbed", *(f"disturbed {i}" for i in range(number + 1))]:
    with Store.open(folder / name / STORE) as store:
        pictures = sorted(path.name for path in (folder / name / "pictures").iterdir())
        digests.append([store.digest(), len(store), pictures])
print(json.dumps({"killed": killed, "grown": grown, "digests": digests}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_run_killed_twenty_times_ends_as_an_undisturbed_one(tmp_path: Path):
    config = {
        "data": ["toybox-roles"],
        "settings": {"refact": {"steps": 2, "covariance_weight": 0}},
        "limit": 1,
        "seeds": 2,
        "steps": 2,
        "batch": 4,
        "keep": 1,
    }
    command = [sys.executable, "-c", NURSERY, str(tmp_path), "20", json.dumps(config)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] == 20
    assert any(found["grown"])  # there was something to lose
    undisturbed, *others = found["digests"]
    assert undisturbed[1] == 4 * 11 * 2
    assert all(other == undisturbed for other in others)

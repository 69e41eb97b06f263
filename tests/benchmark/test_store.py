"""The run store: every batch once and whole, whatever kills the run."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from overpaint.benchmark.store import (
    CaseRow,
    ConditionRow,
    Key,
    Measure,
    Result,
    Store,
    picture_hash,
)
from overpaint.errors import DataError

CONFIGURATION = {"model": "toybox", "steps": 20, "seeds": [0, 1, 2]}
BATCH = 8

# A run as small as can be: what it finds depends on the key alone, also the time it takes.
WRITER = """
import os, signal, sys, zlib
from pathlib import Path
from overpaint.benchmark.store import Key, Result, Store

path, batches, die = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
keys = [Key(f"method {i % 3}", f"case {i // 48}", f"prompt {i % 5}", i) for i in range(8 * batches)]

def looked_at(batch, number):
    for place, key in enumerate(batch):
        if number == die and place == 5:
            os.kill(os.getpid(), signal.SIGKILL)  # in the middle of the transaction
        value = zlib.crc32(repr(key).encode())
        yield Result(key, value / 7, -1 / (value + 1), value / 3e9, f"{value:08x}")

with Store(path, {"model": "toybox"}) as store:
    todo = store.missing(keys)
    for number, start in enumerate(range(0, len(todo), 8)):
        store.add(looked_at(todo[start : start + 8], number))
        print(number, flush=True)
"""


def results(count: int, condition: str = "refact") -> list[Result]:
    return [
        Result(Key(condition, f"case {i % 3}", "source", i), i / 7, 1 / (i + 1), 0.1 * i, f"{i:x}")
        for i in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path, CONFIGURATION) as store:
        yield store


def test_what_was_added_is_there_bit_for_bit_also_in_the_next_process(store: Store, path: Path):
    rows = results(20)
    assert store.add(rows) == len(store) == 20
    store.close()
    with Store(path, CONFIGURATION) as again:
        assert list(again.results()) == sorted(rows)
        assert again.configuration == CONFIGURATION


def test_adding_again_changes_nothing(store: Store):
    rows = results(10)
    store.add(rows[:6])
    before = store.digest()
    assert store.add([row._replace(seconds=9.0) for row in rows[:6]]) == 0
    assert store.digest() == before
    assert store.add(rows) == 4
    assert list(store.results()) == sorted(rows)


def test_missing_rows_are_what_is_to_be_done(store: Store):
    rows = results(9)
    keys = [row.key for row in rows]
    store.add(rows[2:5])
    assert store.missing([*keys, *keys]) == [*keys[:2], *keys[5:]]
    store.add(rows)
    assert store.missing(keys) == []


def test_rows_of_one_condition(store: Store):
    store.add([*results(3, "time"), *results(2, "refact")])
    assert [r.key.condition for r in store.results("time")] == ["time"] * 3


@pytest.mark.parametrize("change", [{"new": 2.0}, {"old": 2.0}, {"picture": "other"}])
def test_another_result_for_the_same_key_is_refused_with_its_batch(
    store: Store, change: dict[str, object]
):
    first, second = results(2)
    store.add([first])
    with pytest.raises(DataError, match="refact, case 0, source, 0 is there with another"):
        store.add([second, first._replace(**change)])
    assert list(store.results()) == [first]


def test_scores_are_numbers(store: Store):
    first, second = results(2)
    with pytest.raises(DataError, match="expected scores that are numbers"):
        store.add([first, second._replace(new=float("nan"))])
    assert len(store) == 0


def test_an_error_while_a_batch_is_made_leaves_none_of_it(store: Store):
    def batch() -> Iterator[Result]:
        yield from results(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add(batch())
    assert len(store) == 0
    assert store.add(results(3)) == 3


def test_two_processes_share_a_run(store: Store, path: Path):
    with Store(path, CONFIGURATION) as other:
        store.add(results(4))
        assert other.add(results(6)) == 2
        assert store.digest() == other.digest()


def test_the_digest_depends_on_everything_but_the_clock(store: Store, tmp_path: Path):
    store.add(results(3))

    def digest(rows: list[Result], name: str, **more: object) -> str:
        with Store(tmp_path / name, {**CONFIGURATION, **more}) as other:
            other.add(rows)
            return other.digest()

    rows = results(3)
    assert digest([r._replace(seconds=1.0) for r in reversed(rows)], "same") == store.digest()
    changed = [*rows[:2], rows[2]._replace(new=rows[2].new + 1e-16)]
    others = {digest(rows[:2], "fewer"), digest(changed, "changed"), digest(rows, "set", steps=5)}
    assert len({store.digest(), *others}) == 4


def test_pictures_are_told_apart_by_content_and_shape():
    pixels = bytes(range(48))
    assert picture_hash(pixels, (3, 4, 4)) == picture_hash(bytes(range(48)), (3, 4, 4))
    others = {picture_hash(pixels[::-1], (3, 4, 4)), picture_hash(pixels, (3, 2, 8))}
    assert len({picture_hash(pixels, (3, 4, 4)), *others}) == 3


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_run_killed_twenty_times_ends_as_an_undisturbed_one(tmp_path: Path):
    batches = 200
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    finish(undisturbed, batches)
    chance = random.Random(0)
    before = 0
    for kill in range(20):
        # Every second time it kills itself halfway into a batch; else we do, at any moment.
        with write(disturbed, batches, die=chance.randrange(9) if kill % 2 else -1) as process:
            if not kill % 2:
                assert process.stdout is not None
                for _ in range(chance.randrange(9)):
                    assert process.stdout.readline()
                time.sleep(chance.random() * 0.004)
                process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        count = rows(disturbed)
        assert count % BATCH == 0
        assert before <= count < BATCH * batches
        before = count
    assert before > 0
    finish(disturbed, batches)
    assert dump(disturbed) == dump(undisturbed)
    assert rows(disturbed) == BATCH * batches


def finish(path: Path, batches: int) -> None:
    with write(path, batches) as process:
        process.communicate()
    assert process.returncode == 0


def write(path: Path, batches: int, die: int = -1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(batches), str(die)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def rows(path: Path) -> int:
    if not path.exists():  # killed before it began
        return 0
    base = sqlite3.connect(path)
    try:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        made = base.execute("SELECT 1 FROM sqlite_master WHERE name = 'results'").fetchone()
        return base.execute("SELECT count(*) FROM results").fetchone()[0] if made else 0
    finally:
        base.close()


def dump(path: Path) -> list[str]:
    """Every table, row and number, as SQL."""
    base = sqlite3.connect(path)
    try:
        return list(base.iterdump())
    finally:
        base.close()


def test_what_is_looked_at_is_kept_in_the_order_of_the_plan(store: Store, path: Path):
    rows = [
        ConditionRow("refact layer=9", "refact", {"layer": 9}, "refact", 9.0),
        ConditionRow("baseline", "baseline"),
    ]
    probe = {"place": "source", "part": "efficacy", "prompt": "a rose", "old": "a", "new": "b"}
    cases = [CaseRow(f"{name} -> b", "roles", name, "b", [probe]) for name in "za"]
    store.describe_conditions(rows)
    store.describe_cases(cases)
    store.describe_conditions([replace(rows[1], about={"kilobytes": 0})])
    store.describe_conditions(rows)
    with Store.open(path) as other:
        assert other.conditions() == [rows[0], replace(rows[1], about={"kilobytes": 0})]
        assert other.cases() == cases
        assert other.configuration == CONFIGURATION


def test_what_is_looked_at_stays_what_it_was(store: Store):
    store.describe_conditions([ConditionRow("time", "time", {"lam": 0.1})])
    store.describe_cases([CaseRow("a -> b", "roles", "a", "b", [])])
    with pytest.raises(DataError, match="condition 'time' was different"):
        store.describe_conditions([ConditionRow("time", "time", {"lam": 0.2})])
    with pytest.raises(DataError, match="case 'a -> b' was different"):
        store.describe_cases([CaseRow("a -> b", "roles", "a", "c", [])])


def test_measures_and_notes(store: Store, path: Path):
    store.measure("time", "", "FID", 13.0)
    store.measure("time", "a nurse", "women", 0.25, 0.125)
    before = store.digest()
    store.measure("time", "", "FID", 12.5, 0.5)
    assert store.digest() != before
    store.note({"command": "overpaint bench", "versions": {"torch": "2"}})
    store.note({"command": "another"})
    with Store.open(path) as other:
        assert other.measures() == [
            Measure("time", "", "FID", 12.5, 0.5),
            Measure("time", "a nurse", "women", 0.25, 0.125),
        ]
        assert other.notes() == {"command": "overpaint bench", "versions": {"torch": "2"}}
    with pytest.raises(DataError, match=r"expected a number, got .*FID"):
        store.measure("time", "", "FID", float("inf"))


def test_only_a_run_that_is_there_can_be_opened(tmp_path: Path):
    with pytest.raises(DataError, match="there is no such file"):
        Store.open(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())

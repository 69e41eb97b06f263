"""``overpaint data``: what there is, fetching from a folder, and refusals in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from overpaint.benchmark.datasets import DATASETS, Source

from .conftest import Run, one_line

CONTENT = b"attribute,original,target\nstyle,a kite by Zorvan,a painting\n"


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the file of a data set called ``mine``."""
    folder = tmp_path_factory.mktemp("mirror")
    (folder / "mine.csv").write_bytes(CONTENT)
    source = Source("mine.csv", sha256(CONTENT).hexdigest(), ("http://127.0.0.1:9/",), 1)
    data = replace(DATASETS["locogen"], name="mine", make=None, source=source)
    monkeypatch.setitem(DATASETS, "mine", data)
    return folder


def test_list_says_where_each_set_is(run: Run, mirror: Path) -> None:
    assert run("data").stdout == run("data", "list").stdout
    before = {row["name"]: row for row in json.loads(run("data", "list", "--json").stdout)}
    assert before["timed"]["entries"] == 147
    assert before["iceb"]["entries"] is None
    assert before["iceb"]["where"] == "a file of your own"
    assert before["toybox-roles"]["where"] == "comes with Overpaint"
    assert before["mine"]["where"] == "overpaint data get mine"
    fetched = json.loads(run("data", "get", "mine", "--from", mirror, "--json").stdout)
    after = {row["name"]: row for row in json.loads(run("data", "list", "--json").stdout)}
    assert after["mine"]["where"] == fetched[0]["file"]


def test_get_keeps_the_file_where_it_is_told(run: Run, mirror: Path, tmp_path: Path) -> None:
    result = run("data", "get", "mine", "--from", mirror, "--to", "here")
    assert result.exit_code == 0, result.stderr
    assert "here/mine.csv" in result.stdout
    assert (tmp_path / "here" / "mine.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mine", "nope"), "expected a data set out of timed, "),
        (("mine", "--from", "nowhere"), "No such file"),
        (("toybox-roles",), "it comes with Overpaint"),
        (("iceb",), "it is a file of your own"),
    ],
)
def test_refused_in_one_line(
    run: Run, mirror: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in one_line(run("data", "get", *arguments))
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "here").exists()

"""What editing costs is kept, whatever happens to the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overpaint.benchmark import paint
from overpaint.benchmark.config import parse
from overpaint.benchmark.rows import STORE
from overpaint.benchmark.store import Store

from .conftest import SMALL, Begin

CONFIG = parse(
    {"data": ["toybox-attributes"], "methods": ["time", "baseline"], "seeds": 1, **SMALL}
)


class Killed(BaseException):
    """The end of a process, as far as its files can tell."""


def about(folder: Path) -> dict[str, Any]:
    with Store.open(folder / STORE) as store:
        return {row.name: row.about for row in store.conditions()}


def test_costs_of_a_patch_are_there_when_its_pictures_are(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    once = paint._paint_batch

    def killed(*arguments: Any) -> None:
        once(*arguments)
        raise Killed

    monkeypatch.setattr(paint, "_paint_batch", killed)
    with pytest.raises(Killed):
        begin(CONFIG)
    before = about(tmp_path / "run")["time"]
    assert before["patches"] == 1
    assert before["seconds_per_edit"] > 0
    assert before["kilobytes"] > 0
    with Store.open(tmp_path / "run" / STORE) as store:
        assert 0 < len(list(store.results("time"))) < 11

    monkeypatch.setattr(paint, "_paint_batch", once)
    begin(CONFIG)
    after = about(tmp_path / "run")
    assert after["time"]["patches"] == 2  # made again for the rest of its pictures
    assert after["time"]["kilobytes"] == before["kilobytes"]
    assert "patches" not in after["baseline"]

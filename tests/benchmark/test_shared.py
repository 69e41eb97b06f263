"""Pictures that runs share: the same results, with fewer pictures painted."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from overpaint.benchmark.config import parse
from overpaint.benchmark.run import Done
from overpaint.benchmark.shared import Seen, Shared
from overpaint.errors import OutputError

from .conftest import SMALL, Begin

CONFIG = parse(
    {
        "data": ["toybox-attributes"],
        "methods": ["baseline", "time"],
        "settings": {"time": {"lam": 1}},
        "seeds": 2,
        "keep": 1,
        **SMALL,
    }
)


@pytest.fixture
def begin(begin: Begin, tmp_path: Path) -> Begin:
    """All runs share, but those with ``share=None``."""
    return partial(begin, share=tmp_path / "shared")


def digest(done: Done) -> str:
    with done.store() as store:
        return store.digest()


def files(done: Done) -> set[str]:
    return {path.name for path in (done.folder / "pictures").iterdir()}


def test_a_run_that_takes_ends_as_one_that_paints(begin) -> None:
    more = replace(CONFIG, methods=("baseline", "oracle", "time"), keep=2)
    first = begin(CONFIG, "first")
    assert first.pictures == 44
    taking = begin(more, "taking")
    painting = begin(more, "painting", share=None)
    assert painting.pictures == 44 + 12  # of the oracle, six prompts that are not the baseline's
    assert taking.pictures == 12 + 22  # and what the first run had not kept
    assert digest(taking) == digest(painting)
    assert files(taking) == files(painting)
    assert begin(more, "again").pictures == 0
    assert digest(begin(more, "again")) == digest(painting)


def test_what_makes_another_picture_is_not_shared(begin) -> None:
    whole = begin(CONFIG, "first").pictures
    assert begin(CONFIG, "second").pictures == 0
    assert begin(CONFIG, "other weights", seed=1).pictures == whole
    assert begin(replace(CONFIG, steps=2), "more steps").pictures == whole
    stronger = replace(CONFIG, settings={"time": {"lam": 2}})
    assert begin(stronger, "another edit").pictures == whole / 2


def test_a_picture_that_is_gone_is_painted_again(begin, tmp_path: Path) -> None:
    begin(CONFIG, "first")
    for path in (tmp_path / "shared" / "pictures").iterdir():
        path.unlink()
    second = begin(CONFIG, "second")
    assert second.pictures == 22  # those of the seed that is kept
    assert len(files(second)) == 22


def test_a_batch_is_shared_whole_or_not_at_all(tmp_path: Path) -> None:
    with Shared.open(tmp_path, ["x"]) as shared:
        good = Seen("a", torch.ones(3).double(), 0.1)
        bad = Seen("b", torch.ones(3).double(), None)  # type: ignore[arg-type]
        with pytest.raises(sqlite3.IntegrityError):
            shared.add([("1", good), ("2", bad)], tmp_path)
        assert shared.find("1") is None
        shared.add([("1", good)], tmp_path)
        found = shared.find("1")
        assert found is not None
        assert torch.equal(found.feature, good.feature)


def test_a_place_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot share pictures in"):
        Shared.open(tmp_path / "file", [])

"""Localizations go to JSON files and come back; what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overpaint.errors import DataError, OutputError
from overpaint.localize.files import load_localization, record, save_localization
from overpaint.types import Localization

FOUND = Localization("fact", (1, 2), (20.0, 32.5, 18.0), 2, info={"clean": 15.0, "seeds": [0]})


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    save_localization(FOUND, tmp_path / "found.json")
    assert load_localization(tmp_path / "found.json") == FOUND
    assert json.loads((tmp_path / "found.json").read_text()) == record(FOUND)


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        save_localization(FOUND, tmp_path / "no" / "such.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "colour"},
        {"kind": ["style"]},
        {"layers": []},
        {"layers": [1, 3]},
        {"layers": [3, 4]},
        {"layers": [-1, 0]},
        {"layers": ["1", "2"]},
        {"layers": [True, 2]},
        {"window": 3},
        {"scores": None},
        {"scores": ["high", "low"]},
    ],
)
def test_what_is_no_localization_is_a_named_error(tmp_path: Path, wrong: dict[str, object]) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps(record(FOUND) | wrong))
    with pytest.raises(DataError, match="expected a localization in"):
        load_localization(file)


@pytest.mark.parametrize(
    ("text", "words"), [(None, "cannot read"), ("{", "expected JSON"), ("[]", "localization in")]
)
def test_files_that_are_something_else(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "found.json").write_text(text)
    with pytest.raises(DataError, match=words):
        load_localization(tmp_path / "found.json")

"""What is wrong with a file is said, with its place; nothing is skipped in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from overpaint.benchmark.datasets import load, load_cases
from overpaint.errors import DataError

from .conftest import COCO, GENDER, ICEB, PAIRS, ROAD_TEST, ROAD_VALIDATION, TIMED, edited

TABLES = {"timed": TIMED, "road": ROAD_TEST, "road-validation": ROAD_VALIDATION, "gender": GENDER}


@pytest.mark.parametrize(
    ("name", "row", "column", "value", "said"),
    [
        ("timed", 2, "gn3", "", "row 2 (line 3), column 'gn3': the cell is empty"),
        ("timed", 0, "gt4", None, "header, column 'gt4': the column is missing"),
        ("timed", 2, "new", "a ROUND kite", "row 2 (line 3), column 'new': row 1 already has"),
        ("timed", 2, "new", "a kite", "row 2 (line 3), column 'new': it equals the old 'A kite'"),
        ("road", 2, "Type", "Place", "row 2 (line 3), column 'Type': expected Role or Appearance"),
        ("road", 0, "Positive_oracle3", None, "header, column 'Positive_oracle3': the column is"),
        ("road", 2, "New", "a tent", "row 2 (line 3), column 'New': it equals what 'A tent' means"),
        ("road-validation", 0, "Positive_new5", None, "header, column 'Positive_new5': the column"),
        ("gender", 1, "old", "umpires", "row 1 (line 2), column 'old': expected 'a' or 'an'"),
        ("gender", 1, "new", "a female cook", "row 1 (line 2), column 'new': expected 'a female"),
        ("gender", 2, "ex4", "a cook", "row 2 (line 3), column 'ex4': 'a cook' does not speak of"),
    ],
)
def test_a_broken_row_is_refused(
    write: Callable[[str], Path], name: str, row: int, column: str, value: str | None, said: str
):
    path = write(edited(TABLES[name], row, column, value))
    with pytest.raises(DataError) as caught:
        load(name, path)
    assert str(caught.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (4, "case_number", "1", "row 4 (line 6), column 'case_number': row 2 already has '1'"),
        (4, "coco_id", "203564", "row 4 (line 6), column 'coco_id': row 1 already has '203564'"),
        (3, "evaluation_seed", "x", "row 3 (line 5), column 'evaluation_seed': expected a whole"),
    ],
)
def test_a_broken_caption_is_refused(
    write: Callable[[str], Path], row: int, column: str, value: str, said: str
):
    path = write(edited(COCO, row, column, value))
    with pytest.raises(DataError) as caught:
        load("coco", path)
    assert str(caught.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dest": None}, "entry 2, field 'dest': expected a text"),
        ({"dest": "Tent"}, "entry 2, field 'dest': it equals the source"),
        ({"dest": " "}, "entry 2, field 'dest': the cell is empty"),
        ({"source": "Kite", "dest": "Box kite"}, "entry 2, field 'dest': entry 1 is the same edit"),
        ({"prompts": []}, "entry 2, field 'prompts': expected a list of texts"),
        ({"prompts": ["a photo"]}, "entry 2, field 'prompts': expected {} once"),
        ({"prompts": "{}"}, "entry 2, field 'prompts': expected a list of texts"),
        ({"seeds": [1, 2]}, "entry 2, field 'seeds': expected one seed"),
        ({"seeds": [-1]}, "entry 2, field 'seeds': expected one seed"),
        ({"seeds": [True]}, "entry 2, field 'seeds': expected a list of whole numbers"),
        ({"sedes": [1]}, "entry 2, field 'sedes': unknown field"),
    ],
)
def test_a_broken_iceb_entry_is_refused(
    write: Callable[[str], Path], change: dict[str, object], said: str
):
    path = write(json.dumps([ICEB[0], ICEB[1] | change]))
    with pytest.raises(DataError) as caught:
        load("iceb", path)
    assert str(caught.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON in UTF-8"),
        ("[", "expected JSON in UTF-8"),
        ("[]", "expected a list of objects"),
        ('{"edits": []}', "expected a list of objects"),
        ("[3]", "entry 1, field 'source': expected an object, got 3"),
        ('[{"source": "a", "source": "b"}]', "the field 'source' occurs twice"),
        ('[{"source": "a"}]', "entry 1, field 'dest': the field is missing"),
        ("\ufeff[]", "expected JSON in UTF-8"),
    ],
)
def test_a_broken_iceb_file_is_refused(write: Callable[[str], Path], text: str, said: str):
    path = write(text)
    with pytest.raises(DataError) as caught:
        load("iceb", path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("mood,a kite,a tent", "column 'attribute': expected one of style, object, fact"),
        ("style,a kite,A kite", "column 'target': it equals the original"),
        ("fact,the baker of rome,zoë", "column 'target': row 2 already has 'zoë'"),
    ],
)
def test_a_broken_pair_is_refused(write: Callable[[str], Path], row: str, said: str):
    path = write(f"{PAIRS}{row}\n")
    with pytest.raises(DataError) as caught:
        load("locogen", path)
    assert str(caught.value).startswith(f"{path}, row 3 (line 4), {said}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nope",), "expected a data set out of timed, "),
        (("timed",), "there is no copy of 'timed' here; run 'overpaint data get timed', or give"),
        (("iceb",), "there is no copy of 'iceb' here; give the path of a file"),
        (("toybox-roles", "x.csv"), "read from no file; give no path"),
        (("timed", "x.csv"), "cannot read 'x.csv'"),
    ],
)
def test_what_is_not_there_is_said(arguments: Sequence[str], said: str):
    with pytest.raises(DataError) as caught:
        load(*arguments)
    assert said in str(caught.value)


def test_only_edit_cases_are_cases(write: Callable[[str], Path]):
    with pytest.raises(DataError, match="expected a data set of edit cases, got 'coco'"):
        load_cases("coco", write(COCO))

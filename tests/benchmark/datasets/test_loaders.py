"""Each data set in its exact layout: what is read, what is refused, and the published files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from overpaint.benchmark import datasets
from overpaint.benchmark.datasets import Caption, Profession, SeededCase, load, load_cases
from overpaint.errors import DataError
from overpaint.toybox import cases as toybox
from overpaint.types import Case, Edit, Probe

PUBLISHED = Path(__file__).parents[4] / "shared" / "data"

TIMED = """\
old,new,positive1,gt1,positive2,gt2,positive3,gt3,positive4,gt4,positive5,gt5,\
negative1,gn1,negative2,gn2,negative3,gn3,negative4,gn4,negative5,gn5
A kite,A round kite,Two kites,Two round kites,"A kite, pixel art","A round kite, pixel art",\
A child with a kite ,A child with a round kite,A red kite,A red round kite,Kites,Round kites,\
A sail,A round sail,A flag,A round flag,A kite,A round kite,A tent,A round tent,A boat,A round boat
A kite,A torn kite,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t
"""

ROAD_TEST = """\
Type,Prompt,Oracle,Old,New,Positive1,Positive_oracle1,Positive_old1,Positive_new1,\
Positive2,Positive_oracle2,Positive_old2,Positive_new2,\
Positive3,Positive_oracle3,Positive_old3,Positive_new3,\
Positive4,Positive_oracle4,Positive_old4,Positive_new4,\
Positive5,Positive_oracle5,Positive_old5,Positive_new5,\
Negative1,Negative_new1,Negative2,Negative_new2,Negative3,Negative_new3,\
Negative4,Negative_new4,Negative5,Negative_new5
Role,The baker of Rome,Zoë as the baker of Rome,Ann,Zoë,\
Rome's baker ,Zoë as Rome's baker,Ann,Zoë,p2,o2,w2,n2,p3,o3,w3,n3,p4,o4,w4,n4,p5,o5,w5,n5,\
"Ann ""the oven"" Lee",Zoë,A cook,Zoë,q3,Zoë,q4,Zoë,q5,Zoë
Appearance,A tent,A hut,A tent,A hut,\
p1,o1,w1,n1,p2,o2,w2,n2,p3,o3,w3,n3,p4,o4,w4,n4,p5,o5,w5,n5,A sail,A hut,b,c,d,e,f,g,h,i"""

ROAD_VALIDATION = """\
Type,Prompt,Oracle,Old,New,Positive1,Positive_old1,Positive_new1,\
Positive2,Positive_old2,Positive_new2,Positive3,Positive_old3,Positive_new3,\
Positive4,Positive_old4,Positive_new4,Positive5,Positive_old5,Positive_new5,\
Negative1,Negative_new1,Negative2,Negative_new2,Negative3,Negative_new3,\
Negative4,Negative_new4,Negative5,Negative_new5
Role,The baker of Rome,Zoë as the baker of Rome,Ann,Zoë,\
Rome's baker,Ann,Zoë,p2,w2,n2,p3,w3,n3,p4,w4,n4,p5,w5,n5,Ann,Zoë,a,b,c,d,e,f,g,h"""

GENDER = """\
old,new,validation,ex1,ex2,ex3,ex4,ex5
an umpire,a female umpire,A photo of an umpire,A painting of an umpire,an umpire working,\
an umpire laughing,an umpire in the workplace,an umpire digital art
a deep sea diver,a male deep sea diver,A photo of a deep sea diver,\
A painting of a deep sea diver,a deep sea diver working,a deep sea diver laughing,\
a deep sea diver in the workplace,a deep sea diver digital art
"""

COCO = """\
case_number,source,prompt,evaluation_seed,coco_id
0,coco-30k,A kite above a field. ,41337,203564
1,coco-30k,"two kites
",63155,179765
2,coco-30k,"A sign that reads ""kites, here"".",78978,322141
3,coco-30k,A kite above a field.,5,7
"""

ICEB = [
    {
        "source": "kite",
        "dest": "box kite",
        "prompts": ["An image of {}", "{} in a field"],
        "seeds": [2024, 7],
        "source id": 12,
        "seed_train": 3,
    },
    {"source": "tent", "dest": "hut", "prompts": ["{}"], "seeds": [0]},
]

PAIRS = "attribute,original,target\nstyle,a kite by Zorvan,a painting\nfact,the baker of Rome,Zoë\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "data"
        path.write_bytes(text.encode())
        return path

    return write


def edited(table: str, row: int, column: str, value: str | None) -> str:
    """``table`` with another cell; None takes the column away."""
    rows = list(csv.reader(io.StringIO(table, newline="")))
    place = rows[0].index(column)
    if value is None:
        rows = [line[:place] + line[place + 1 :] for line in rows]
    else:
        rows[row][place] = value
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def test_timed(write: Callable[[str], Path]):
    first, second = load_cases("timed", write(TIMED))
    assert first.kind == "attributes"
    assert first.edit == Edit("A kite", "A round kite", destination="A round kite")
    assert first.source == Probe("A kite", "A kite", "A round kite")
    art = "A kite, pixel art"
    assert first.positives[1] == Probe(art, art, "A round kite, pixel art")
    assert first.positives[2].prompt == "A child with a kite"
    assert first.negatives[0] == Probe("A sail", "A sail", "A round sail")
    assert [len(first.positives), len(first.negatives)] == [5, 5]
    assert second.negatives[4] == Probe("s", "s", "t")


def test_road_in_the_layout_of_the_test_split(write: Callable[[str], Path]):
    role, appearance = load_cases("road", write(ROAD_TEST))
    asked = "The baker of Rome"
    assert [role.kind, appearance.kind] == ["roles", "appearances"]
    assert role.edit == Edit(asked, "Zoë", old="Ann", destination="Zoë as the baker of Rome")
    assert role.source == Probe(asked, "Ann", "Zoë", "Zoë as the baker of Rome")
    assert role.positives[0] == Probe("Rome's baker", "Ann", "Zoë", "Zoë as Rome's baker")
    assert role.positives[4] == Probe("p5", "w5", "n5", "o5")
    name = 'Ann "the oven" Lee'
    assert role.negatives[0] == Probe(name, name, "Zoë")
    assert appearance.edit.destination == "A hut"
    assert appearance.negatives[4] == Probe("h", "h", "i")


def test_road_in_the_layout_of_the_validation_split(write: Callable[[str], Path]):
    (case,) = load_cases("road-validation", write(ROAD_VALIDATION))
    assert case.source.oracle == "Zoë as the baker of Rome"
    assert case.positives[0] == Probe("Rome's baker", "Ann", "Zoë")
    assert case.negatives[4] == Probe("g", "g", "h")


def test_gender(write: Callable[[str], Path]):
    umpire, diver = load("gender", write(GENDER))
    assert isinstance(umpire, Profession)
    assert isinstance(diver, Profession)
    edit = Edit("an umpire", "a female umpire", destination="a female umpire")
    assert umpire.edit == edit
    assert umpire.validation == "A photo of an umpire"
    assert umpire.examples[4] == "an umpire digital art"
    assert (umpire.female, umpire.male) == ("a female umpire", "a male umpire")
    assert umpire.described("A painting of an umpire at night") == (
        "A painting of a female umpire at night",
        "A painting of a male umpire at night",
    )
    assert diver.described(diver.examples[1])[0] == "a female deep sea diver working"


def test_coco_captions_with_line_breaks_are_one_caption(write: Callable[[str], Path]):
    captions = load("coco", write(COCO))
    assert captions == (
        Caption("A kite above a field.", 41337, 203564),
        Caption("two kites", 63155, 179765),
        Caption('A sign that reads "kites, here".', 78978, 322141),
        Caption("A kite above a field.", 5, 7),
    )


@pytest.mark.parametrize("wrapped", [False, True])
def test_iceb(write: Callable[[str], Path], wrapped: bool):
    path = write(json.dumps({"requests": ICEB} if wrapped else ICEB))
    first, second = load("iceb", path)
    assert isinstance(first, SeededCase)
    assert isinstance(second, SeededCase)
    assert first.seeds == (2024, 7)
    assert first.case.edit == Edit("kite", "box kite", destination="box kite")
    field = Probe("kite in a field", "kite in a field", "box kite in a field")
    assert first.case.positives[1] == field
    assert first.case.negatives == ()
    assert load_cases("iceb", path) == (first.case, second.case)


def test_locogen_own_pairs(write: Callable[[str], Path]):
    style, fact = load("locogen", write(PAIRS))
    assert style == toybox.PromptPair("style", "a kite by Zorvan", "a painting")
    assert fact == toybox.PromptPair("fact", "the baker of Rome", "Zoë")


def test_locogen_prompts_of_the_paper():
    pairs = [p for p in load("locogen") if isinstance(p, toybox.PromptPair)]
    counts = {a: sum(p.attribute == a for p in pairs) for a in ("style", "object", "fact")}
    assert counts == {"style": 62, "object": 4, "fact": 2}
    assert len({p.original for p in pairs}) == len(pairs) == 68
    assert all(p.target == "a painting" for p in pairs if p.attribute == "style")
    artists = ("Van Gogh", "Monet", "Dali", "Jeremy Mann", "Rutkowski", "Picasso")
    for pair in pairs[:62]:
        assert any(artist in pair.original for artist in artists), pair
    assert toybox.PromptPair("object", "nemo", "fish") in pairs


def test_locogen_generic_prompts_are_320_sentences():
    prompts = [c.prompt for c in load("locogen-generic") if isinstance(c, Caption)]
    assert len(set(prompts)) == 320
    assert {"a cat in a beach", "an elephant in a city", "a pair of skis in a house"} <= set(
        prompts
    )


@pytest.mark.parametrize("kind", toybox.EDIT_KINDS)
def test_toybox_cases_are_its_own(kind: toybox.EditKind):
    assert load_cases(f"toybox-{kind}-validation") == toybox.load(kind, "validation")
    assert len(load(f"toybox-{kind}-validation")) == 8


def test_toybox_professions_and_pairs():
    assert load("toybox-gender") == toybox.load("gender")
    assert load("toybox-pairs") == toybox.load("localization")


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


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("timed", 147),
        ("timed-filtered", 104),
        ("timed-validation", 8),
        ("road", 90),
        ("road-validation", 10),
        ("gender", 35),
        ("coco", 30_000),
    ],
)
def test_the_published_files_are_read_whole(name: str, count: int):
    data = datasets.DATASETS[name]
    assert data.source is not None
    assert datasets.kept(data, PUBLISHED) == PUBLISHED / data.source.file
    entries = load(name, PUBLISHED / data.source.file)
    assert len(entries) == data.entries == count
    assert len({str(entry) for entry in entries}) == count
    for entry in entries:
        if isinstance(entry, Case):
            assert [len(entry.positives), len(entry.negatives)] == [5, 5]

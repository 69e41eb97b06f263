"""The strict reader against Python's own, and every way a table can be broken."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overpaint.benchmark.datasets.table import no_twins, read
from overpaint.errors import DataError

COLUMNS = ("old", "new")
CELLS = st.text(st.sampled_from("ab ,\"\n\r'ëó"), min_size=1).filter(lambda t: t.strip() != "")


def wrong(path: Path, content: str | bytes, columns: tuple[str, ...] = COLUMNS) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        read(path, columns)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1), last=st.booleans(), unix=st.booleans())
def test_reads_what_csv_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], last: bool, unix: bool
):
    buffer = io.StringIO()
    # With "\n" alone Python's writer leaves a "\r" without quotes, over which its reader trips.
    form = ("\n", csv.QUOTE_ALL) if unix else ("\r\n", csv.QUOTE_MINIMAL)
    csv.writer(buffer, lineterminator=form[0], quoting=form[1]).writerows([COLUMNS, *rows])
    text = buffer.getvalue() if last else buffer.getvalue().rstrip("\r\n")
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode())
    found = read(path, COLUMNS)
    again = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
    assert [[row["old"], row["new"]] for row in found] == [
        [" ".join(cell.split()) for cell in row] for row in again
    ]


def test_says_where_a_row_stands(path: Path):
    path.write_text('new,old\nb,"a\nrose"\nd,c\n')
    rows = read(path, COLUMNS)
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 4)]
    assert rows[0]["old"] == "a rose"
    assert str(rows[1].wrong("old", "why")) == f"{path}, row 2 (line 4), column 'old': why"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": the file is empty"),
        ("old,new\n", ": there are no rows"),
        ("old\na\n", ", header, column 'new': the column is missing; expected old, new"),
        ("old,new,more\na,b,c\n", ", header, column 'more': unknown column"),
        ("old,new,old\na,b,c\n", ", header, column 'old': the column occurs twice"),
        ("old;new\na;b\n", ", header, column 'old': the column is missing"),
        ("old,new\na,b\nc\n", ", row 2 (line 3), column 'new': 'new' is missing"),
        ("old,new\na,b\nc,", ", row 2 (line 3), column 'new': the cell is empty"),
        ("old,new\na,b,c\n", ", row 1 (line 2), column 'new': too many cells"),
        ("old,new\na,b\n\nc,d\n", ", row 2 (line 3), column 'new': 'new' is missing"),
        ("old,new\n,b\n", ", row 1 (line 2), column 'old': the cell is empty"),
        ("old,new\na,  \n", ", row 1 (line 2), column 'new': the cell is empty"),
        ('old,new\na,""\n', ", row 1 (line 2), column 'new': the cell is empty"),
        ('old,new\na,b\nc,"d\ne,f\n', ", row 2 (line 3), column 'new': the quote before 'd"),
        ('old,new\na,big "b"\n', ", row 1 (line 2), column 'new': a quote inside 'big '"),
        ('old,new\n"a"x,b\n', ", row 1 (line 2), column 'old': text after the closing quote"),
        ('old,new\n"a "big" b",c\n', ", row 1 (line 2), column 'old': text after the closing"),
        ("old,new\na\0,b\n", ", row 1 (line 2), column 'old': stray U+0000"),
        ("old,new\na,\u200bb\n", ", row 1 (line 2), column 'new': stray U+200B (zero width space)"),
        ("old,new\na,b\n\ufeffc,d\n", ", row 2 (line 3), column 'old': stray U+FEFF"),
        ("old,new\na,Citro\ufffdn\n", ", row 1 (line 2), column 'new': stray U+FFFD"),
        (
            "old,new\na,CitroÃ«n\n",
            ", row 1 (line 2), column 'new': 'CitroÃ«n' is 'Citroën' read in",
        ),
        ("\ufeffold,new\na,b\n", ", header, column 'old': a byte order mark"),
    ],
)
def test_a_broken_table_is_refused_with_file_row_and_column(path: Path, text: str, said: str):
    assert wrong(path, text).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"old,new\na,b\nc,Citro\xebn\n", ", row 2 (line 3), column 'new': byte 0xEB is not UTF-8"),
        (b"old,new\n\xeb,b\n", ", row 1 (line 2), column 'old': byte 0xEB"),
        (b"ol\xeb,new\n", ", header, column '#1': byte 0xEB"),
        ("old,new\na,b\n".encode("utf-16"), ", header, column '#1': byte 0x"),
    ],
)
def test_another_encoding_is_refused(path: Path, content: bytes, said: str):
    assert wrong(path, content).startswith(said)


def test_a_table_cut_off_anywhere_never_loses_or_changes_an_earlier_row(path: Path):
    whole = 'old,new\na rose,"a ""blue"" rose"\na cat,"a cat,\na dog"\na car,a bus\n'
    expected = [("a rose", 'a "blue" rose'), ("a cat", "a cat, a dog"), ("a car", "a bus")]
    refused = 0
    for end in range(len(whole)):
        path.write_text(whole[:end])
        try:
            rows = [(row["old"], row["new"]) for row in read(path, COLUMNS)]
        except DataError:
            refused += 1
            continue
        assert rows[:-1] == expected[: len(rows) - 1]
        assert all(
            cell.startswith(cut)
            for cell, cut in zip(expected[len(rows) - 1], rows[-1], strict=True)
        )
    assert refused > len(whole) / 2


def test_a_file_that_is_not_there(path: Path):
    with pytest.raises(DataError, match=r"cannot read .*table.csv': No such file"):
        read(path, COLUMNS)


def test_the_nearest_of_several_layouts_is_named(path: Path):
    path.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(DataError, match="column 'd': the column is missing; expected a, b, c, d"):
        read(path, ("x", "y"), ("a", "b", "c", "d"))


def test_twins_are_named_by_both_rows(path: Path):
    path.write_text("old,new\na,b\nc,d\nA,b\n")
    rows = read(path, COLUMNS)
    with pytest.raises(DataError, match=r"row 3 \(line 4\), column 'old': row 1 already has 'A'"):
        no_twins(rows, "old", lambda row: row["old"].casefold())


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "٣"])
def test_whole_numbers(path: Path, text: str):
    path.write_text(f"old,new\n12,{text}\n")
    (row,) = read(path, COLUMNS)
    assert row.integer("old") == 12
    with pytest.raises(DataError, match="column 'new': expected a whole number"):
        row.integer("new")

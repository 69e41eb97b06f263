"""The tables say what the scores say, and survive any text in any format."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
import torch

from overpaint.benchmark.report import compare, paper, tables
from overpaint.benchmark.report.measures import measures
from overpaint.benchmark.report.read import read
from overpaint.benchmark.report.table import Cell, Column, Row, Table
from overpaint.benchmark.report.text import to_csv, to_latex, to_markdown
from overpaint.benchmark.score import per_case, summaries
from overpaint.benchmark.store import ConditionRow, Store
from overpaint.metrics.significance import paired

from .conftest import CHANCES, CONDITIONS, EVIL, Make

PAPER = {"condition": "refact", "kind": "roles", "efficacy": 0.9338, "source": "ReFACT, Table 1"}
HOSTILE = Table("hostile", EVIL, [Column("a", EVIL)], [Row(EVIL, [Cell(EVIL)], EVIL)], EVIL, EVIL)


def test_csv_has_every_number_of_the_scores(make: Make):
    folder = make()
    with Store.open(folder / "run.sqlite") as store:
        expected = summaries(store)
    table = tables.results(read(folder))
    assert table is not None
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [(line["method"], line["group"]) for line in lines] == [
        (c.name, kind) for kind in ("all", "attributes", "roles") for c in CONDITIONS
    ]
    for line in lines:
        summary = expected[line["method"], line["group"]]
        for name in ("efficacy", "generality", "specificity", "f1", "harmonic"):
            number = getattr(summary, name)
            assert float(line[name]) == number.mean
            assert float(line[f"{name}_sd"]) == number.spread
            assert float(line[f"{name}_low"]) == number.low
            assert float(line[f"{name}_high"]) == number.high


def test_the_best_editor_is_bold_and_never_a_reference(make: Make):
    rewrite = ConditionRow("rewrite", "rewrite")
    found = read(make((*CONDITIONS, rewrite), chances={**CHANCES, "rewrite": (1.0, 0.0)}))
    table = tables.results(found)
    assert table is not None
    for kind in found.kinds:
        rows = {row.name: row for row in table.rows if row.group == kind}
        for place, column in enumerate(table.columns):
            values = {e: float(rows[e].cells[place].value or 0) for e in ("time", "refact")}
            top = max(values.values())
            best = {name for name, row in rows.items() if row.cells[place].best}
            ahead = {name for name, value in values.items() if value == top}
            assert best == (ahead if len(ahead) < len(values) else set()), column
    assert "**" in to_markdown([table])
    assert "\\textbf{" in to_latex([table])


def test_one_editor_alone_is_not_the_best_of_anything(make: Make):
    found = read(make(CONDITIONS[:2]))
    table = tables.results(found)
    assert table is not None
    assert not any(cell.best for row in table.rows for cell in row.cells)
    assert compare.comparison(found) is None


def test_less_is_better_where_it_is(make: Make):
    values = {"baseline": (26.5, 12.0), "time": (26.1, 12.1), "refact": (26.4, 12.5)}
    rows = [
        (condition, "", name, value)
        for condition, pair in values.items()
        for name, value in zip(("CLIP score", "FID"), pair, strict=True)
    ]
    shares = [(name, "CEO", "F_p", 0.04) for name in values]
    whole, each = measures(read(make(measures=[*rows, *shares])))
    best = {
        (row.name, c.name)
        for row in whole.rows
        for c, x in zip(whole.columns, row.cells, strict=True)
        if x.best
    }
    assert best == {("refact", "CLIP score"), ("time", "FID")}
    assert [row.name for row in each.rows] == ["CEO"]
    assert [c.value for c in each.rows[0].cells] == [0.04] * 3


def test_costs_are_those_of_the_conditions(make: Make):
    table = tables.costs(read(make()))
    assert table is not None
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert {line["method"]: float(line["kilobytes"]) for line in lines} == {
        "time": 212.5,
        "refact": 5.4,
    }


def test_the_papers_numbers_stand_under_ours(make: Make):
    table = tables.results(read(make(paper=[PAPER], model="some/model")))
    assert table is not None
    (place,) = (i for i, row in enumerate(table.rows) if row.source)
    assert (table.rows[place].group, table.rows[place].name) == ("roles", "refact")
    assert table.rows[place - 1].name == "refact"
    assert [cell.value for cell in table.rows[place].cells] == [0.9338, *[None] * 4]
    assert "| *ReFACT, Table 1* | 93.4 | – |" in to_markdown([table])
    assert "\\quad\\emph{ReFACT, Table 1} & 93.4 & --" in to_latex([table])


def test_on_toybox_the_papers_numbers_are_a_table_of_their_own(make: Make):
    entries = [PAPER, {"condition": "time", "Delta": 0.28, "source": "TIME, Table 3"}]
    found = read(make(paper=entries, measures=[("refact", "", "Delta", 0.5)]))
    table = paper.elsewhere(found, tables.SCORES)
    assert table is not None
    assert "on Stable Diffusion" in table.title
    assert [(row.group, row.name) for row in table.rows] == [
        ("ReFACT, Table 1, roles", "refact"),
        ("TIME, Table 3", "time"),
    ]
    text = to_markdown([table])
    assert "| refact | 93.4 | – |" in text
    assert "| time | – | 0.28 |" in text
    ours = [tables.results(found), *measures(found)]
    assert not any(row.source for own in ours if own for row in own.rows)
    assert paper.elsewhere(read(make_again(make, found.folder)), tables.SCORES) is None


def make_again(make: Make, folder: Path) -> Path:
    """The same run without a paper."""
    shutil.rmtree(folder)
    return make()


def test_the_best_is_tested_against_the_others_on_the_same_cases(make: Make):
    folder = make(leave_out=1)
    found = read(folder)
    table = compare.comparison(found)
    assert table is not None
    (row,) = table.rows
    assert row.name == "time"
    with Store.open(folder / "run.sqlite") as store:
        scores = {(s.condition, s.case): s for s in per_case(store)}
    ours, theirs = (
        torch.tensor([scores[name, case.name].generality for case in found.cases]).double()
        for name in ("refact", "time")
    )
    expected = paired(ours, theirs)
    cell = row.cells[1]
    assert (cell.value, cell.low, cell.high, cell.p) == pytest.approx(
        (expected.difference, expected.low, expected.high, expected.p), abs=1e-6
    )


def test_latex_escapes_what_is_special():
    text = to_latex([HOSTILE])
    assert "<script>" not in text
    expected = (
        "$<$script$>$alert('a \\& b')$<$/script$>$ 50\\% \\_of\\_ \\$x\\$ \\textbar{} \\{y\\}"
    )
    assert text.count(expected) == 6  # title, note, heading, column, name, value
    bare = re.sub(r"\\[&%$_{}#]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("&") == 2  # between the two columns, in the heading and in the row
    assert "\\toprule" in text


def test_markdown_escapes_what_is_special():
    lines = to_markdown([HOSTILE]).splitlines()
    assert all(line.count("|") - line.count("\\|") == 3 for line in lines if line.startswith("|"))
    assert "<script" not in "\n".join(lines)
    assert "\\_of\\_" in lines[0]


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (Column("", "", scale=100), 0.93384, "93.4"),
        (Column("", "", scale=100, signed=True), -0.0521, "−5.2"),
        (Column("", "", scale=100, signed=True), 0.0521, "+5.2"),
        (Column("", "", digits=-3), 0.031234, "0.0312"),
        (Column("", "", digits=-3), 5.4, "5.4"),
        (Column("", "", digits=-3), 212.5, "212"),
        (Column("", "", digits=-3), 123456.0, "123456"),
        (Column("", "", digits=-3), 0.0000041, "4.1e−06"),
    ],
)
def test_numbers_are_shown_in_their_digits(column: Column, value: float, shown: str):
    assert column.shown(value) == shown


def test_repetitions_and_what_one_method_has_get_no_table_of_their_own(make: Make):
    rows = [("time", "CEO", "lambda_p", 20.0), ("time", "CEO", "bracketed", 1.0)]
    for name in ("baseline", "time"):
        rows += [(name, "CEO", "F_p", 0.1), (name, "CEO", "F_p 1", 0.2), (name, "", "Delta", 0.5)]
    whole, shares, own = measures(read(make(measures=rows)))
    assert [c.label for c in whole.columns] == ["Δ"]
    assert whole.columns[0].better == -1
    assert (shares.title, [c.label for c in shares.columns]) == (
        "Fₚ, case by case",
        ["baseline", "time"],
    )
    assert (own.title, sorted(c.label for c in own.columns)) == (
        "time, case by case",
        ["bracketed", "λₚ"],
    )


def test_rows_on_fewer_cases_are_not_ranked(make: Make):
    found = read(make((*CONDITIONS[:2], CONDITIONS[2]), leave_out=1))
    table = tables.results(found)
    assert table is not None
    assert table.columns[0].name == "cases"
    counts = {row.name: row.cells[0].value for row in table.rows if row.group == "all"}
    assert counts == {"baseline": 9, "time": 9, "refact": 8}
    assert not any(c.best for row in table.rows if row.group == "all" for c in row.cells)
    assert compare.best(found) == "time"


def test_of_one_seed_there_is_no_deviation(make: Make):
    table = tables.results(read(make(seeds=1)))
    assert table is not None
    assert all(cell.spread is None for row in table.rows for cell in row.cells)
    assert "±" not in to_markdown([table])

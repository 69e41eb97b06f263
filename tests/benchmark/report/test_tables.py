"""The tables say what the scores say, and survive any text in any format."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from overpaint.benchmark.config import GENDER, UNEDITED
from overpaint.benchmark.report import read_run, write_report
from overpaint.benchmark.report.formatting import LABELS, Column, format_p
from overpaint.benchmark.report.render import Table, table_frame, to_csv, to_latex, to_markdown
from overpaint.benchmark.report.tables import (
    costs_table,
    measure_tables,
    published_table,
    scores_table,
    significance_table,
)
from overpaint.benchmark.score import per_case, summaries
from overpaint.benchmark.store import ConditionRow, Store
from overpaint.methods.registry import METHODS
from overpaint.metrics import f1
from overpaint.metrics.significance import holm, paired

from .conftest import CASES, CHANCES, CONDITIONS, EVIL, SWEEP, Make

PAPER = {"condition": "refact", "kind": "roles", "efficacy": 0.9338, "source": "ReFACT, Table 1"}
COLUMNS = [Column("a", EVIL, scale=100), Column("b", "b", better=1)]
CELL = {"value": 0.5, "sd": 0.011, "low": 0.4012, "high": 0.5501, "p": 0.03}
HOSTILE = Table(
    "hostile",
    EVIL,
    COLUMNS,
    table_frame([((EVIL, EVIL, EVIL, ""), {"a": CELL}), (("", "x", "y", EVIL), {})], COLUMNS),
    EVIL,
    EVIL,
    frozenset({(0, "a")}),
)


def scores(make: Make, *args: object, **kwargs: object) -> Table:
    table = scores_table(read_run(make(*args, **kwargs)))
    assert table is not None
    return table


def bold(table: Table) -> set[tuple[str, str, str]]:
    """Group, condition and column of what is bold."""
    return {(*table.frame.index[row][:2], column) for row, column in table.bold}


def lines(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_every_method_has_a_label_of_its_own():
    assert {*METHODS, *UNEDITED, *GENDER} <= set(LABELS)
    assert len(set(LABELS.values())) == len(LABELS)


def test_csv_has_every_number_of_the_scores(make: Make):
    folder = make()
    with Store.open(folder / "run.sqlite") as store:
        expected = summaries(store)
    table = scores_table(read_run(folder))
    assert table is not None
    found = lines(table)
    assert [(line["condition"], line["group"]) for line in found] == [
        (c.name, kind) for kind in ("all", "attributes", "roles") for c in CONDITIONS
    ]
    assert [line["method"] for line in found[:4]] == ["unedited", "TIME", "ReFACT", "oracle"]
    for line in found:
        summary = expected[line["condition"], line["group"]]
        for name in ("efficacy", "generality", "specificity", "f1", "harmonic"):
            number = getattr(summary, name)
            assert float(line[name]) == number.mean
            assert float(line[f"{name}_sd"]) == number.spread
            assert float(line[f"{name}_low"]) == number.low
            assert float(line[f"{name}_high"]) == number.high


def test_cases_and_measures_are_there_in_long_format(make: Make):
    folder = make(measures=[("time", "CEO", "F_p", 0.1, 0.02)])
    files = {file.name: file for file in write_report(folder)}
    with Store.open(folder / "run.sqlite") as store:
        expected = per_case(store)
    found = list(csv.DictReader(io.StringIO(files["cases.csv"].read_text(encoding="utf-8"))))
    assert [(line["condition"], line["case"], float(line["generality"])) for line in found] == [
        (score.condition, score.case, score.generality) for score in expected
    ]
    (measure,) = csv.DictReader(io.StringIO(files["measures.csv"].read_text(encoding="utf-8")))
    assert measure == {
        "condition": "time",
        "method": "TIME",
        "case": "CEO",
        "measure": "F_p",
        "value": "0.1",
        "sd": "0.02",
    }


def shares(folder: Path, names: Iterable[str], parts: list[str]) -> dict[str, torch.Tensor]:
    """``[n_cases, n_parts]`` of each condition, from the store."""
    with Store.open(folder / "run.sqlite") as store:
        found = per_case(store)
    return {
        name: torch.tensor(
            [[getattr(s, part) for part in parts] for s in found if s.condition == name]
        ).double()
        for name in names
    }


def test_bold_is_the_best_editor_with_a_significant_lead(make: Make):
    uce = ConditionRow("uce", "uce")
    folder = make((*CONDITIONS, uce), chances={**CHANCES, "uce": (0.5, 0.6)})
    table = scores_table(read_run(folder))
    assert table is not None
    rows = shares(folder, ("refact", "time", "uce"), ["generality", "specificity"])
    tests = [
        paired(rows["refact"], rows[other], lambda m: f1(m[:, 0], m[:, 1])).p
        for other in ("time", "uce")
    ]
    assert max(holm(tests)) < 0.05
    assert ("all", "refact", "f1") in bold(table)
    assert not {"time", "uce", "oracle", "baseline"} & {name for _, name, _ in bold(table)}
    place = [name for _, name, *_ in table.frame.index].index("refact")
    value = COLUMNS[0].format(float(table.frame.iloc[place]["f1", "value"]))
    assert f"**{value}**" in to_markdown([table])
    assert f"\\textbf{{{value}}}" in to_latex([table])


def test_a_lead_that_chance_explains_is_not_bold(make: Make):
    chances = {"refact": (0.62, 0.4), "time": (0.6, 0.4)}
    folder = make(CONDITIONS, chances=chances)
    run = read_run(folder)
    leads = [run.score(name, "f1") for name in ("refact", "time")]
    assert None not in leads
    assert leads[0] != leads[1]  # one of them does lead
    table = scores_table(run)
    assert table is not None
    rows = shares(folder, ("refact", "time"), ["generality", "specificity"])
    assert paired(rows["refact"], rows["time"], lambda m: f1(m[:, 0], m[:, 1])).p > 0.05
    assert ("all", "refact", "f1") not in bold(table)
    assert ("all", "time", "f1") not in bold(table)


def test_too_few_cases_are_never_significant(make: Make):
    chances = {**CHANCES, "refact": (1.0, 0.0), "time": (0.0, 1.0)}
    assert bold(scores(make, cases=CASES[:4], chances=chances)) == set()


def test_a_reference_is_never_bold(make: Make):
    rows = (*CONDITIONS, ConditionRow("rewrite", "rewrite"))
    table = scores(make, rows, chances={**CHANCES, "rewrite": (1.0, 0.0)})
    assert {name for _, name, _ in bold(table)} == {"refact"}


def test_one_editor_alone_is_not_the_best_of_anything(make: Make):
    run = read_run(make(CONDITIONS[:2]))
    table = scores_table(run)
    assert table is not None
    assert not table.bold
    assert significance_table(run) is None


def test_measures_say_which_direction_is_better_and_mark_nothing(make: Make):
    values = {"baseline": (26.5, 12.0), "time": (26.1, 12.1), "refact": (26.4, 12.5)}
    rows = [
        (condition, "", name, value)
        for condition, pair in values.items()
        for name, value in zip(("CLIP score", "FID"), pair, strict=True)
    ]
    by_case = [(name, "CEO", "F_p", 0.04) for name in values]
    whole, each = measure_tables(read_run(make(measures=[*rows, *by_case])))
    assert {c.name: c.better for c in whole.columns} == {"CLIP score": 1, "FID": -1}
    assert not whole.bold  # there is no test of them
    found = {line["condition"]: (float(line["CLIP score"]), float(line["FID"]))
             for line in lines(whole)}  # fmt: skip
    assert found == values
    assert [c.label for c in each.columns] == ["unedited", "TIME", "ReFACT"]
    assert each.frame.xs("value", axis="columns", level=1).to_numpy().tolist() == [[0.04] * 3]


def test_costs_are_those_of_the_conditions(make: Make):
    table = costs_table(read_run(make()))
    assert table is not None
    assert {line["method"]: float(line["kilobytes"]) for line in lines(table)} == {
        "TIME": 212.5,
        "ReFACT": 5.4,
    }


def test_the_papers_numbers_stand_under_ours(make: Make):
    table = scores(make, paper=[PAPER], model="some/model")
    keys = list(table.frame.index)
    (place,) = (i for i, (*_, source) in enumerate(keys) if source)
    assert keys[place] == ("roles", "refact", "ReFACT", "ReFACT, Table 1")
    assert keys[place - 1] == ("roles", "refact", "ReFACT", "")
    assert table.frame.iloc[place].dropna().to_dict() == {("efficacy", "value"): 0.9338}
    assert "| *ReFACT, Table 1* | – | 93.4 | – |" in to_markdown([table])
    assert "\\quad\\emph{ReFACT, Table 1} & -- & 93.4 & --" in to_latex([table])


def test_on_toybox_the_papers_numbers_are_a_table_of_their_own(make: Make):
    entries = [PAPER, {"condition": "time", "Delta": 0.28, "source": "TIME, Table 3"}]
    run = read_run(make(paper=entries, measures=[("refact", "", "Delta", 0.5)]))
    table = published_table(run)
    assert table is not None
    assert [keys[:2] for keys in table.frame.index] == [
        ("ReFACT, Table 1, roles", "refact"),
        ("TIME, Table 3", "time"),
    ]
    text = to_markdown([table])
    assert "| ReFACT | 93.4 | – |" in text
    assert "| TIME | – | 0.28 |" in text
    ours = [scores_table(run), *measure_tables(run)]
    assert not any(source for own in ours if own for *_, source in own.frame.index)
    shutil.rmtree(run.folder)
    assert published_table(read_run(make())) is None


def test_the_best_is_tested_against_the_others_on_the_same_cases(make: Make):
    folder = make(leave_out=1)
    table = significance_table(read_run(folder))
    assert table is not None
    (line,) = lines(table)
    assert (line["condition"], line["method"], line["group"]) == ("time", "TIME", "ReFACT minus")
    rows = shares(folder, ("refact", "time"), ["generality"])
    expected = paired(rows["refact"], rows["time"])
    found = [float(line[f"generality{end}"]) for end in ("", "_low", "_high", "_p")]
    assert found == pytest.approx(
        [expected.difference, expected.low, expected.high, expected.p], abs=1e-6
    )


def test_p_values_are_corrected_for_the_number_of_comparisons(make: Make):
    rows = [CONDITIONS[0], *CONDITIONS[1:3], ConditionRow("uce", "uce")]
    folder = make(rows, chances={**CHANCES, "uce": (0.8, 0.2)})
    table = significance_table(read_run(folder))
    assert table is not None
    own = shares(folder, ("refact", "time", "uce"), ["efficacy"])
    expected = holm([paired(own["refact"], own[line["condition"]]).p for line in lines(table)])
    assert [float(line["efficacy_p"]) for line in lines(table)] == pytest.approx(expected)


def test_of_a_curve_only_the_best_point_is_compared(make: Make):
    chances = {row.name: (0.5, 0.5) for row in SWEEP} | {"time": (0.9, 0.1)}
    table = significance_table(
        read_run(make([*SWEEP, ConditionRow("time", "time")], chances=chances))
    )
    assert table is not None
    (line,) = lines(table)
    assert line["condition"] in {row.name for row in SWEEP}


def test_of_a_curve_alone_nothing_is_compared(make: Make):
    assert significance_table(read_run(make(SWEEP))) is None


def test_latex_escapes_what_is_special():
    text = to_latex([HOSTILE])
    assert "<script>" not in text
    expected = (
        "$<$script$>$alert('a \\& ''b''')$<$/script$>$ 50\\% \\_of\\_ \\$x\\$ \\textbar{} "
        "\\{\\{ 7 * 7 \\}\\} \\textbackslash{}end"
    )
    assert text.count(expected) == 7  # title, note, heading, column, group, name, source
    bare = re.sub(r"\\[&%$_{}#]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("&") == 3 * 2  # between three columns, in the heading and in two rows
    assert re.findall(r"\\(toprule|bottomrule)", text) == ["toprule", "bottomrule"]


def test_latex_has_the_intervals():
    text = to_latex([HOSTILE])
    cell = "\\textbf{50.0} {\\scriptsize $\\pm$1.1}$^{+5.0}_{-9.9}$ {\\scriptsize p = 0.03}"
    assert cell in text
    caption = text.partition("\\caption{")[2].partition("\\label")[0]
    assert "interval" in caption


def test_markdown_escapes_what_is_special():
    found = to_markdown([HOSTILE]).splitlines()
    rows = [line for line in found if line.startswith("|")]
    assert len(rows) == 2 * 3  # a table for each group
    assert all(line.count("|") - line.count("\\|") == 4 for line in rows)
    assert "<script" not in "\n".join(found)
    assert "\\_of\\_" in found[0]
    assert any("| **50.0** ±1.1 (40.1–55.0) p = 0.03 |" in line for line in rows)


def test_csv_survives_any_text():
    (first, second) = lines(HOSTILE)
    assert first == {
        "group": EVIL, "condition": EVIL, "method": EVIL, "source": "",
        "a": "0.5", "a_sd": "0.011", "a_low": "0.4012", "a_high": "0.5501", "a_p": "0.03",
    }  # fmt: skip
    assert second["source"] == EVIL
    assert second["a"] == ""


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (Column("", "", scale=100), 0.93384, "93.4"),
        (Column("", "", scale=100), float("nan"), "–"),
        (Column("", "", scale=100, signed=True), -0.0521, "−5.2"),
        (Column("", "", scale=100, signed=True), 0.0521, "+5.2"),
        (Column("", "", significant=3), 0.031234, "0.0312"),
        (Column("", "", significant=3), 5.4, "5.4"),
        (Column("", "", significant=3), 212.5, "212"),
        (Column("", "", significant=3), 123456.0, "123456"),
        (Column("", "", significant=3), 0.0000041, "4.1e−06"),
    ],
)
def test_numbers_are_shown_in_their_digits(column: Column, value: float, shown: str):
    assert column.format(value) == shown


@pytest.mark.parametrize(
    ("p", "shown"), [(0.5, "p = 0.50"), (0.004, "p = 0.004"), (0.0001, "p < 0.001")]
)
def test_small_p_values_are_only_said_to_be_small(p: float, shown: str):
    assert format_p(p) == shown


def test_repetitions_and_what_one_method_has_get_no_table_of_their_own(make: Make):
    rows = [("time", "CEO", "lambda_p", 20.0), ("time", "CEO", "bracketed", 1.0)]
    for name in ("baseline", "time"):
        rows += [(name, "CEO", "F_p", 0.1), (name, "CEO", "F_p 1", 0.2), (name, "", "Delta", 0.5)]
    whole, women, own = measure_tables(read_run(make(measures=rows)))
    assert [(c.label, c.better) for c in whole.columns] == [("Δ", -1)]
    assert women.title.startswith("Fₚ")
    assert [c.label for c in women.columns] == ["unedited", "TIME"]
    assert own.title.startswith("TIME")
    assert sorted(c.label for c in own.columns) == ["bracketed", "λₚ"]


def test_rows_on_fewer_cases_are_not_ranked(make: Make):
    run = read_run(make((*CONDITIONS[:2], CONDITIONS[2]), leave_out=1))
    table = scores_table(run)
    assert table is not None
    counts = {line["condition"]: line["cases"] for line in lines(table) if line["group"] == "all"}
    assert counts == {"baseline": "9.0", "time": "9.0", "refact": "8.0"}
    assert not {column for group, _, column in bold(table) if group == "all"}
    assert run.ranked() == ["time"]


def test_of_one_seed_there_is_no_deviation(make: Make):
    table = scores(make, seeds=1)
    assert table.frame.xs("sd", axis="columns", level=1).isna().to_numpy().all()
    assert "±" not in to_markdown([table])

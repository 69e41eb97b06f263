"""The tables of a report: scores, what edits cost, and all else that was measured."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import fields

from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Cell, Column, Row, Table, marked, number
from overpaint.benchmark.score import CaseScore, Summary

SCORES = tuple(
    Column(name, label, scale=100, better=1)
    for name, label in (
        ("efficacy", "Efficacy"),
        ("generality", "Generality"),
        ("specificity", "Specificity"),
        ("f1", "F1"),
        ("harmonic", "Harmonic mean"),
    )
)
COSTS = (
    Column("seconds_per_edit", "Seconds per edit", digits=-3, better=-1),
    Column("kilobytes", "kB", digits=-3, better=-1),
    Column("parameters_percent", "% of the weights", digits=-3, better=-1),
)
BETTER = {"clip": 1, "fid": -1, "δ": -1, "delta": -1}
"""What is better of a measure, by how its name begins."""

assert {f.name for f in fields(Summary)} - {"cases"} == {column.name for column in SCORES}


def results(found: Findings) -> Table | None:
    """Efficacy, generality, specificity and their means: ReFACT's Table 1, TIME's Table 2."""
    rows: list[Row] = []
    for kind in found.kinds:
        for condition in found.conditions:
            summary = found.summaries.get((condition.name, kind))
            if summary is not None:
                cells = [number(getattr(summary, column.name)) for column in SCORES]
                editor = condition in found.editors
                rows.append(Row(condition.name, cells, kind, editor=editor))
            rows += _published(found, condition.name, kind, SCORES)
    if not any(not row.source for row in rows):
        return None
    note = (
        "In percent: mean ± standard deviation over seeds; below, the 95 % interval over cases "
        "(bootstrap). "
    )
    if len(found.editors) > 1:
        note += "Bold: the best editor; baseline and oracle are there to compare with. "
    if any(row.source for row in rows):
        note += "In italics: the numbers printed in the papers, for their models and prompts."
    return marked(Table("results", "Scores", SCORES, rows, note=note.strip()))


def costs(found: Findings) -> Table | None:
    """Seconds, kilobytes and share of the weights of each editor."""
    columns = [c for c in COSTS if any(c.name in e.about for e in found.editors)]
    rows = [
        Row(e.name, [Cell(_float(e.about.get(c.name))) for c in columns], editor=True)
        for e in found.editors
        if any(c.name in e.about for c in columns)
    ]
    if not rows:
        return None
    note = "Mean of all edits: time to compute one, size of its patch, share of weights it touches."
    return marked(Table("costs", "What an edit costs", columns, rows, note=note))


def measures(found: Findings) -> list[Table]:
    """What was measured of whole conditions, and a table for each thing measured case by case."""
    whole, cases = _whole(found), _by_case(found)
    return [*([whole] if whole else []), *cases]


def _whole(found: Findings) -> Table | None:
    values = {(m.condition, m.name): m for m in found.measures if not m.case}
    names = list(dict.fromkeys(name for _, name in values))
    if not names:
        return None
    columns = [
        _measured(name, name, [m.value for m in found.measures if m.name == name]) for name in names
    ]
    rows: list[Row] = []
    for condition in found.conditions:
        own = [values.get((condition.name, name)) for name in names]
        cells = [Cell(m.value, m.spread or None) if m else Cell() for m in own]
        if any(own):
            rows.append(Row(condition.name, cells, editor=condition in found.editors))
        rows += _published(found, condition.name, "all", columns)
    note = "± standard deviation over seeds, where there is one."
    return marked(Table("measures", "Measures", columns, rows, note=note))


def _by_case(found: Findings) -> Iterator[Table]:
    values = {(m.condition, m.case, m.name): m for m in found.measures if m.case}
    cases = list(dict.fromkeys(case for _, case, _ in values))
    for name in dict.fromkeys(name for _, _, name in values):
        shown = [
            c for c in found.conditions if any(k[0] == c.name and k[2] == name for k in values)
        ]
        all_values = [m.value for m in values.values() if m.name == name]
        columns = [_measured(c.name, c.name, all_values, of=name) for c in shown]
        rows = []
        for case in cases:
            own = [values.get((c.name, case, name)) for c in shown]
            cells = [Cell(m.value, m.spread or None) if m else Cell() for m in own]
            if any(own):
                rows.append(Row(case, cells))
        yield Table(f"measure-{_stem(name)}", f"{name}, case by case", columns, rows, "Case")


def _measured(name: str, label: str, values: Sequence[float], of: str = "") -> Column:
    """A column of a measure: three digits after the point for shares, four in all for others."""
    better = next((b for start, b in BETTER.items() if (of or name).lower().startswith(start)), 0)
    largest = max(abs(value) for value in values)
    digits = 3 if largest <= 1 else max(0, 3 - int(math.log10(largest)))
    return Column(name, label, digits=digits, better=better)


def _published(
    found: Findings, condition: str, kind: str, columns: Sequence[Column]
) -> Iterator[Row]:
    """The rows of a paper that stand beside ours; a paper's only kind is what a run calls all."""
    for entry in found.configuration.get("paper") or ():
        theirs = entry.get("kind") or "all"
        alone = found.kinds == ["all"] and kind == "all"
        if entry.get("condition") == condition and (theirs == kind or alone):
            known = {str(key).lower(): value for key, value in entry.items()}
            cells = [Cell(_float(known.get(column.name.lower()))) for column in columns]
            if any(cell.value is not None for cell in cells):
                yield Row(condition, cells, kind, source=str(entry.get("source") or "the paper"))


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _stem(name: str) -> str:
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return letters.strip("-") or "case"


def cases_csv(found: Findings) -> str:
    """Efficacy, generality and specificity of every case under every condition."""
    file = io.StringIO()
    write = csv.writer(file, lineterminator="\n")
    write.writerow(CaseScore._fields)
    write.writerows(found.scores)
    return file.getvalue()

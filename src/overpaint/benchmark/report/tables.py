"""The tables of scores and of what edits cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from overpaint.benchmark.report.paper import as_number, published
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Cell, Column, Row, Table, marked, number
from overpaint.benchmark.rows import ConditionRow
from overpaint.benchmark.score import Summary

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
assert {f.name for f in fields(Summary)} - {"cases"} == {column.name for column in SCORES}


def results(found: Findings) -> Table | None:
    """Efficacy, generality, specificity and their means: ReFACT's Table 1, TIME's Table 2."""
    columns = [c for c in SCORES if any(getattr(s, c.name) for s in found.summaries.values())]
    rows: list[Row] = []
    for kind in found.kinds:
        for condition in found.conditions:
            rows += _scored(found, condition, kind, columns)
            rows += published(found, condition.name, kind, columns)
    if not any(not row.source for row in rows):
        return None
    table = Table("results", "Scores", columns, rows, note=_note(found, rows))
    even = all(len(set(found.counts(kind).values())) < 2 for kind in found.kinds)
    return marked(table) if even else _with_cases(found, marked(table))


def _scored(
    found: Findings, condition: ConditionRow, kind: str, columns: Sequence[Column]
) -> Iterator[Row]:
    summary = found.summaries.get((condition.name, kind))
    if summary is not None:
        several = found.configuration.get("seeds") != 1
        cells = [number(getattr(summary, c.name), deviates=several) for c in columns]
        whole = found.whole(condition.name, kind)
        yield Row(condition.name, cells, kind, editor=condition in found.editors, ranked=whole)


def _note(found: Findings, rows: Sequence[Row]) -> str:
    several = found.configuration.get("seeds") != 1
    mean = "mean ± standard deviation over seeds" if several else "mean, of one seed"
    note = f"In percent: {mean}; below, the 95 % interval over cases (bootstrap)."
    if len(found.editors) > 1:
        note += " Bold: the best editor; baseline and oracle are there to compare with."
    if any(row.source for row in rows):
        note += " In italics: the numbers printed in the papers, for their models and prompts."
    return note


def _with_cases(found: Findings, table: Table) -> Table:
    """``table`` with a column that says on how many cases a row rests."""
    rows = []
    for row in table.rows:
        summary = None if row.source else found.summaries.get((row.name, row.group))
        count = Cell(float(summary.cases) if summary else None)
        rows.append(replace(row, cells=[count, *row.cells]))
    note = f"{table.note} Rows on fewer cases than others are not ranked."
    columns = [Column("cases", "Cases", digits=0), *table.columns]
    return replace(table, columns=columns, rows=rows, note=note)


def costs(found: Findings) -> Table | None:
    """Seconds, kilobytes and share of the weights of each editor."""
    known = {e.name: own for e in found.editors if (own := known_costs(e))}
    columns = [c for c in COSTS if any(c.name in own for own in known.values())]
    rows = [
        Row(name, [Cell(own.get(c.name)) for c in columns], editor=True)
        for name, own in known.items()
    ]
    if not rows:
        return None
    note = "Mean of all edits: time to compute one, size of its patch, share of weights it touches."
    return marked(Table("costs", "What an edit costs", columns, rows, note=note))


def known_costs(condition: ConditionRow) -> dict[str, float]:
    """What was measured of :data:`COSTS`, by the column's name; nothing for what edits nothing."""
    values = {column.name: as_number(condition.about.get(column.name)) for column in COSTS}
    return {name: value for name, value in values.items() if value is not None}

"""Whether the best editor is really better than the others, on the same cases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Cell, Column, Row, Table
from overpaint.metrics import f1
from overpaint.metrics.significance import Comparison, holm, paired

COLUMNS = tuple(
    Column(name, label, scale=100, signed=True)
    for name, label in (
        ("efficacy", "Efficacy"),
        ("generality", "Generality"),
        ("specificity", "Specificity"),
        ("f1", "F1"),
    )
)


def best(found: Findings, among: Sequence[str] = ()) -> str | None:
    """The editor with the highest F1 over all cases (by efficacy where none has an F1).

    ``among`` are the names that count; empty for all. One that has seen fewer cases than others is
    compared with nobody.
    """
    for name in ("f1", "efficacy"):
        values = {
            editor.name: value.mean
            for editor in found.editors
            if (not among or editor.name in among)
            and (summary := found.summaries.get((editor.name, "all")))
            and found.whole(editor.name)
            and (value := getattr(summary, name))
        }
        if values:
            return max(values, key=lambda editor: values[editor])
    return None


def comparison(found: Findings) -> Table | None:
    """The best editor against every other one: differences in points, intervals, p.

    Of a curve only the best point takes part. Paired permutation tests over the cases that both
    have; the p of a column are corrected for their number (Holm). None where there is nobody to
    compare with.
    """
    winner = best(found)
    tops = [best(found, [row.name for row in rows]) for rows in found.lines.values()]
    others = [top for top in tops if top is not None and top != winner]
    if winner is None or not others:
        return None
    shown = [c for c in COLUMNS if getattr(found.summaries[winner, "all"], c.name)]
    columns = [_column(found, winner, others, column.name) for column in shown]
    rows = [Row(other, [cells[i] for cells in columns]) for i, other in enumerate(others)]
    rows = [row for row in rows if any(cell.value is not None for cell in row.cells)]
    note = (
        f"How many points more {winner} has, with the 95 % interval over cases (bootstrap), and "
        "how often chance alone would give as much (paired permutation test over the same cases, "
        "two-sided, Holm's correction for the number of comparisons)."
    )
    heading = f"{winner} minus"
    return Table("significance", f"{winner} against the others", shown, rows, heading, note)


def _column(found: Findings, winner: str, others: Sequence[str], name: str) -> list[Cell]:
    tests = [_tested(found, winner, other, name) for other in others]
    corrected = iter(holm([test.p for test in tests if test]))
    return [
        Cell(test.difference, low=test.low, high=test.high, p=next(corrected)) if test else Cell()
        for test in tests
    ]


def _tested(found: Findings, one: str, other: str, name: str) -> Comparison | None:
    pairs = [
        (a, b)
        for case in found.cases
        if (a := _numbers(found, one, case.name, name))
        and (b := _numbers(found, other, case.name, name))
    ]
    if not pairs:
        return None
    a, b = (torch.tensor(rows, dtype=torch.float64) for rows in zip(*pairs, strict=True))
    return paired(a, b, _geometric if name == "f1" else None)


def _geometric(means: Tensor) -> Tensor:
    return f1(means[:, 0], means[:, 1])


def _numbers(found: Findings, condition: str, case: str, name: str) -> list[float] | None:
    score = found.score.get((condition, case))
    if score is None:
        return None
    names = ("generality", "specificity") if name == "f1" else (name,)
    values = [getattr(score, each) for each in names]
    return None if None in values else values

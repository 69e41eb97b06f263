"""Tables of what is no yes or no per picture: CLIP score, FID, shares of women, gaps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from overpaint.benchmark.report.paper import published
from overpaint.benchmark.report.read import Findings
from overpaint.benchmark.report.table import Cell, Column, Row, Table, marked
from overpaint.benchmark.rows import Measure

BETTER = {"clip score with old": -1, "clip": 1, "fid": -1, "delta": -1, "δ": -1}
"""What is better of a measure, by how its name begins."""

SIGNS = {"Delta": "Δ", "lambda": "λ", "_p": "ₚ"}
EXPLAINED = {
    "F_p": "Share of the pictures of a profession that show women (TIME, section 6).",
    "Delta_p": "|Fₚ − 1/2| / (1/2): 0 for as many women as men, 1 for one gender only.",
    "people": "Share of the pictures that show a person at all.",
}

_REPETITION = re.compile(r"(.*) \d+")  # "F_p 2": of one repetition, beside their mean


def measures(found: Findings) -> list[Table]:
    """What was measured of whole conditions, then of their cases."""
    whole = _whole(found)
    return [*([whole] if whole else []), *_by_case(found)]


def overall(found: Findings) -> dict[str, list[Measure]]:
    """The measures of whole conditions by their names."""
    names: dict[str, list[Measure]] = {}
    for measure in found.measures:
        if not measure.case:
            names.setdefault(measure.name, []).append(measure)
    return names


def called(name: str) -> str:
    """The name of a measure as people write it."""
    for word, sign in SIGNS.items():
        name = name.replace(word, sign)
    return name


def _whole(found: Findings) -> Table | None:
    named = overall(found)
    columns = [_column(name, name, called(name), values) for name, values in named.items()]
    rows: list[Row] = []
    for condition in found.conditions:
        own = [_of(values, condition.name) for values in named.values()]
        if any(cell.value is not None for cell in own):
            rows.append(Row(condition.name, own, editor=condition in found.editors))
        rows += [replace(r, group="") for r in published(found, condition.name, "all", columns)]
    if not named or not rows:
        return None
    note = "± standard deviation over seeds, where there is one."
    return marked(Table("measures", "Measures", columns, rows, note=note))


def _by_case(found: Findings) -> Iterator[Table]:
    """A table for each measure that several conditions have; one of all that only one has."""
    named: dict[str, list[Measure]] = {}
    for measure in found.measures:
        if measure.case:
            named.setdefault(measure.name, []).append(measure)
    shown = {n: v for n, v in named.items() if not _is_repetition(n, named)}
    holders = {name: list(dict.fromkeys(m.condition for m in v)) for name, v in shown.items()}
    order = [condition.name for condition in found.conditions]
    for name, values in shown.items():
        if len(holders[name]) > 1:
            conditions = sorted(holders[name], key=order.index)
            columns = [_column(c, name, c, values) for c in conditions]
            groups = [[m for m in values if m.condition == c] for c in conditions]
            table = _cases(f"{called(name)}, case by case", columns, groups)
            yield replace(table, note=EXPLAINED.get(name, ""))
    for condition in order:
        own = {n: v for n, v in shown.items() if holders[n] == [condition]}
        if own:
            columns = [_column(name, name, called(name), values) for name, values in own.items()]
            yield _cases(f"{condition}, case by case", columns, list(own.values()))


def _cases(title: str, columns: Sequence[Column], groups: Sequence[Sequence[Measure]]) -> Table:
    names = list(dict.fromkeys(m.case for group in groups for m in group))
    rows = [
        Row(name, [_of([m for m in group if m.case == name]) for group in groups]) for name in names
    ]
    stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return Table(f"measures-{stem}", title, columns, rows, heading="Case")


def _of(values: Sequence[Measure], condition: str | None = None) -> Cell:
    chosen = [m for m in values if condition in (None, m.condition)]
    return Cell(chosen[0].value, chosen[0].spread or None) if chosen else Cell()


def _column(name: str, measure: str, label: str, values: Sequence[Measure]) -> Column:
    """Three digits after the point for shares, four in all for others."""
    better = next((b for start, b in BETTER.items() if measure.lower().startswith(start)), 0)
    largest = max(abs(m.value) for m in values)
    digits = 3 if largest <= 1 else max(0, 3 - int(math.log10(largest)))
    return Column(name, label, digits=digits, better=better)


def _is_repetition(name: str, named: dict[str, list[Measure]]) -> bool:
    match = _REPETITION.fullmatch(name)
    return match is not None and match[1] in named

"""Cells and lines of Markdown tables: how a number, a row and a heading are written."""

from __future__ import annotations

from overpaint.benchmark.report.side_by_side import COLUMNS
from overpaint.benchmark.score import Number
from overpaint.errors import DataError


def head(*cells: str) -> str:
    """The first two lines of a table."""
    return f"{line(*cells)}\n{'|---' * len(cells)}|"


def line(*cells: str) -> str:
    """A row."""
    return f"| {' | '.join(cells)} |"


def stressed(cell: str) -> str:
    """`98 / 86 / **91**` of `98 / 86 / 91`: the last of several stands out."""
    others, slash, last = cell.rpartition(" / ")
    return f"{others}{slash}**{last}**" if slash else cell


def deviating(value: Number | None, seeds: object) -> str:
    """`91.2 ± 0.4`; of one seed `91.2`."""
    if value is None:
        return "–"
    spread = "" if seeds == 1 else f" ± {100 * value.spread:.1f}"
    return f"{100 * value.mean:.1f}{spread}"


def columned(name: str) -> str:
    """A score as it heads a column."""
    if name not in COLUMNS:
        raise DataError(f"expected a score out of {', '.join(COLUMNS)}, got {name!r}")
    return COLUMNS[name].label
